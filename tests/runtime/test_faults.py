"""Failures of disks and of the weights hub: no existing data is lost, and the error says what to do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from inception import load
from inception.cli.main import main
from inception.errors import WeightsError
from inception.training.checkpoint import read_checkpoint
from support.command import run_inception
from support.hub import Hub
from support.networks import have_equal_logits
from support.paths import ROOT
from support.photo_folders import make_photo, read_rows
from support.training import COLOURS, SHORT_RECIPE, colour_folders

PUBLISHED = "onnxmodelzoo/googlenet-8/googlenet-8.onnx"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount small disks: `disk("1m")` returns a folder on a new disk of that size; with "ro" the disk is read-only."""
    mounted: list[Path] = []

    def mount(size: str, mode: str = "rw") -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},{mode}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a small disk needs root and the permission to mount")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk; return the file that fills it."""
    ballast = disk / "ballast"
    for size in (2**20, 2**12):
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * size)
    return ballast


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- weights: the hub and the cache


def use_hub(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)


def test_a_file_with_a_wrong_content_length_is_rejected(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WrongLength(Hub):
        def __call__(self, request: BaseHTTPRequestHandler) -> None:
            send_header = request.send_header

            def halve(name: str, value: str) -> None:
                send_header(name, str(int(value) // 2) if name == "Content-Length" and int(value) else value)

            request.send_header = halve  # type: ignore[method-assign]
            super().__call__(request)

    use_hub(http_server(WrongLength({PUBLISHED: published})), monkeypatch)
    with pytest.raises(WeightsError, match=r"not the published file|could not be fetched"):
        load("googlenet")
    # Nothing was cached: the file is downloaded again.
    use_hub(http_server(Hub({PUBLISHED: published})), monkeypatch)
    assert load("googlenet").name == "googlenet"


def test_a_slow_download_does_not_time_out(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Hub):
        def __call__(self, request: BaseHTTPRequestHandler) -> None:
            write, chunks = request.wfile.write, 8

            def write_slowly(data: bytes) -> int:
                step = -(-len(data) // chunks)
                for start in range(0, len(data), step):
                    write(data[start : start + step])
                    request.wfile.flush()
                    time.sleep(0.1 if len(data) > 1_000_000 else 0)
                return len(data)

            request.wfile.write = write_slowly  # type: ignore[method-assign]
            super().__call__(request)

    use_hub(http_server(Slow({PUBLISHED: published})), monkeypatch)
    assert load("googlenet").name == "googlenet"


def test_an_interrupted_download_is_resumed(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges: list[str | None] = []

    class Interrupting(Hub):
        def __call__(self, request: BaseHTTPRequestHandler) -> None:
            if request.command == "GET":
                ranges.append(request.headers.get("Range"))
            super().__call__(request)

    half = len(published) // 2
    use_hub(http_server(Interrupting({PUBLISHED: published}, cut_at=half)), monkeypatch)
    assert load("googlenet").labels[340] == "zebra"
    assert len(ranges) > 1
    assert ranges[0] is None
    assert None not in ranges[1:], "only the remainder is requested"


def test_a_full_disk_is_reported_and_another_model_still_works(
    http_server: Callable, published: bytes, monkeypatch: pytest.MonkeyPatch, disk: Callable[..., Path]
) -> None:
    small = disk("1m")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(small / "hub"))
    monkeypatch.setattr("tempfile.tempdir", str(small))
    use_hub(http_server(Hub({PUBLISHED: published})), monkeypatch)
    with pytest.raises(WeightsError, match="There is no room left on the disk for the weights of googlenet") as error:
        load("googlenet")
    assert error.value.kind == "weights_no_room"
    assert load("tiny-imagenet").name == "tiny-imagenet"
    # With room again, the same process can load it.
    subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
    assert load("googlenet").name == "googlenet"


@pytest.mark.parametrize("cache_state", ["full", "read-only", "a file in its place"])
def test_weights_load_without_a_writable_cache(
    http_server: Callable,
    published: bytes,
    monkeypatch: pytest.MonkeyPatch,
    disk: Callable[..., Path],
    tmp_path: Path,
    cache_state: str,
) -> None:
    if cache_state == "a file in its place":
        caches = tmp_path / "caches"
        caches.write_text("in the way")
    else:
        caches = disk("200k", "ro" if cache_state == "read-only" else "rw")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(caches / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches / "own"))
    hub = Hub({PUBLISHED: published})
    use_hub(http_server(hub), monkeypatch)
    first = load("googlenet")
    request_count = hub.request_count
    assert have_equal_logits(load("googlenet").model, first.model)
    assert hub.request_count > request_count > 0
    files = file_names(caches) if caches.is_dir() else set()
    assert not [name for name in files if name.endswith((".safetensors", ".onnx", ".part"))], "no partial file is left"


FETCH = """
import hashlib, sys
from pathlib import Path
from inception import load
from inception.pretrained import zoo
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import Description
from inception.pretrained.hub import HubFile

digest = sys.argv[1]
zoo.GOOGLENET_FILES = tuple(HubFile(f.repository, f.name, int(sys.argv[2]), digest) for f in zoo.GOOGLENET_FILES)
Path(sys.argv[3]).touch()
while len(list(Path(sys.argv[3]).parent.glob("ready-*"))) < 2:
    pass
load("googlenet")
net = load("googlenet")
description = Description("googlenet", net.labels, net.preprocessing, net.provenance)
save_checkpoint(Path(sys.argv[4]), net.model.state_dict(), description)
"""


def test_two_processes_can_fill_one_cache_concurrently(http_server: Callable, published: bytes, tmp_path: Path) -> None:
    hub = Hub({PUBLISHED: published})
    environment = {
        **os.environ,
        "HF_ENDPOINT": http_server(hub),
        "HF_HOME": str(tmp_path / "hub"),
        "XDG_CACHE_HOME": str(tmp_path / "own"),
    }
    digest, size = hashlib.sha256(published).hexdigest(), str(len(published))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH, digest, size, tmp_path / f"ready-{n}", tmp_path / f"{n}.safetensors"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    for process in processes:
        _, stderr = process.communicate(timeout=240)
        assert process.returncode == 0, stderr
    assert (tmp_path / "0.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()
    cached = list((tmp_path / "own").rglob("*.*"))
    assert [path.name for path in cached] == [f"googlenet-{digest[:12]}.safetensors"], "one file, and no partial one"


# ---------------------------------------------------------------- full disks: results, training


def test_a_full_disk_keeps_the_results_of_a_folder(
    tmp_path: Path, disk: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    small = disk("200k")
    for number in range(12):
        make_photo(tmp_path / "photos" / f"{number:02}.jpg", number)
    out = small / "r.parquet"
    command = ["predict", str(tmp_path / "photos"), "--out", str(out)]
    assert main(command) == 0
    known, before = read_rows(out), out.read_bytes()

    for number in range(12, 20):
        make_photo(tmp_path / "photos" / f"{number:02}.jpg", number)
    ballast = fill(small)
    capsys.readouterr()
    assert main(command) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"There is no room left on the disk for '{str(small)[:70]}")
    assert message.count("\n") == 1
    assert out.read_bytes() == before
    assert file_names(small) == {"ballast", "r.parquet"}, "no partial file is left"

    ballast.unlink()
    assert main(command) == 0
    assert "20 photos, 12 known before, 0 refused" in capsys.readouterr().out
    assert read_rows(out)[:12] == known


def test_training_resumes_from_its_last_checkpoint_after_a_full_disk(tmp_path: Path, disk: Callable[..., Path]) -> None:
    data = colour_folders(tmp_path / "meadow", COLOURS, 20)
    small = disk("130m")  # room for one checkpoint, not for two
    out = small / "out"
    command = ("train", "--data", data, "--out", out, "--workers", 1, *replace(SHORT_RECIPE, epochs=1).as_options())
    failed = run_inception(*command, "--save-every", 0)
    assert failed.returncode == 2, failed.stderr
    message = failed.stderr.splitlines()[-1]
    assert message.startswith("There is no room left on the disk for ")
    assert message.endswith("go on with the same command and --resume.")
    assert "Traceback" not in failed.stderr
    assert file_names(out) == {"checkpoint.pt"}, "complete, and no partial one beside it"
    steps = read_checkpoint(out / "checkpoint.pt")["step"]
    assert steps > 0

    subprocess.run(["mount", "-o", "remount,size=400m", str(small)], check=True)
    resumed = run_inception(*command, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming after step {steps} " in resumed.stderr
    assert load(out / "model.safetensors").labels == ("grass", "sky")
