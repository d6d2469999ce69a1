"""Faults of disks and of the weights hub, really made: nothing that was there is lost, a sentence says what to do."""

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
from conftest import ROOT, Hub
from test_cli import inception
from test_folder import make_photo, rows_of
from test_training import COLOURS, SMALL, painted
from test_weights import answers_alike

from inception import load
from inception.cli.main import main
from inception.errors import WeightsError
from inception.training.trainer import read_checkpoint

PUBLISHED = "onnxmodelzoo/googlenet-8/googlenet-8.onnx"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Small disks: `disk("1m")` is a folder on a new one of that size, `disk("1m", "ro")` on one that is read-only."""
    mounted: list[Path] = []

    def mount(size: str, how: str = "rw") -> Path:
        where = tmp_path / f"disk-{len(mounted)}"
        where.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},{how}", "tmpfs", str(where)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a small disk can only be mounted by root, with the right to do so")
        mounted.append(where)
        return where

    yield mount
    for where in mounted:
        subprocess.run(["umount", "-l", str(where)], check=True)


def fill(disk: Path) -> Path:
    """Take all room on a disk; the file that does it."""
    ballast = disk / "ballast"
    for size in (2**20, 2**12):
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * size)
    return ballast


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- weights: the hub and the cache


def at(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)


def test_a_hub_that_lies_about_the_length_is_not_believed(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Liar(Hub):
        def __call__(self, request: BaseHTTPRequestHandler) -> None:
            send = request.send_header

            def lie(name: str, value: str) -> None:
                send(name, str(int(value) // 2) if name == "Content-Length" and int(value) else value)

            request.send_header = lie  # type: ignore[method-assign]
            super().__call__(request)

    at(http_server(Liar({PUBLISHED: published})), monkeypatch)
    with pytest.raises(WeightsError, match=r"not the published file|could not be fetched"):
        load("googlenet")
    # Nothing of it was taken for the file: an honest hub is asked anew.
    at(http_server(Hub({PUBLISHED: published})), monkeypatch)
    assert load("googlenet").name == "googlenet"


def test_a_slow_hub_is_waited_for_while_it_sends(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Hub):
        def __call__(self, request: BaseHTTPRequestHandler) -> None:
            write, pieces = request.wfile.write, 8

            def drop_by_drop(data: bytes) -> int:
                step = -(-len(data) // pieces)
                for start in range(0, len(data), step):
                    write(data[start : start + step])
                    request.wfile.flush()
                    time.sleep(0.1 if len(data) > 1_000_000 else 0)
                return len(data)

            request.wfile.write = drop_by_drop  # type: ignore[method-assign]
            super().__call__(request)

    at(http_server(Slow({PUBLISHED: published})), monkeypatch)
    assert load("googlenet").name == "googlenet"


def test_a_download_that_is_cut_off_half_way_is_gone_on_with_from_there(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str | None] = []

    class Breaking(Hub):
        def __call__(self, request: BaseHTTPRequestHandler) -> None:
            if request.command == "GET":
                sent.append(request.headers.get("Range"))
            super().__call__(request)

    half = len(published) // 2
    at(http_server(Breaking({PUBLISHED: published}, cut_at=half)), monkeypatch)
    assert load("googlenet").labels[340] == "zebra"
    assert len(sent) > 1
    assert sent[0] is None
    assert None not in sent[1:], "never from the beginning again"


def test_a_full_disk_is_told_and_another_model_still_works(
    http_server: Callable, published: bytes, monkeypatch: pytest.MonkeyPatch, disk: Callable[..., Path]
) -> None:
    small = disk("1m")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(small / "hub"))
    monkeypatch.setattr("tempfile.tempdir", str(small))
    at(http_server(Hub({PUBLISHED: published})), monkeypatch)
    with pytest.raises(WeightsError, match="There is no room left on the disk for the weights of googlenet") as told:
        load("googlenet")
    assert told.value.kind == "weights_no_room"
    assert load("tiny-imagenet").name == "tiny-imagenet"
    # With room again, the same process has it.
    subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
    assert load("googlenet").name == "googlenet"


@pytest.mark.parametrize("full", ["full", "read-only", "a file in its place"])
def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    http_server: Callable,
    published: bytes,
    monkeypatch: pytest.MonkeyPatch,
    disk: Callable[..., Path],
    tmp_path: Path,
    full: str,
) -> None:
    if full == "a file in its place":
        caches = tmp_path / "caches"
        caches.write_text("in the way")
    else:
        caches = disk("200k", "ro" if full == "read-only" else "rw")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(caches / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches / "own"))
    hub = Hub({PUBLISHED: published})
    at(http_server(hub), monkeypatch)
    first = load("googlenet")
    asked = hub.asked
    assert answers_alike(load("googlenet").model, first.model)
    assert hub.asked > asked > 0
    left = names(caches) if caches.is_dir() else set()
    assert not [name for name in left if name.endswith((".safetensors", ".onnx", ".part"))], "nothing half is left"


FETCH = """
import hashlib, sys
from pathlib import Path
from inception import load, weights

digest = sys.argv[1]
files = tuple(weights.HubFile(f.repository, f.name, int(sys.argv[2]), digest) for f in weights.GOOGLENET_FILES)
weights.GOOGLENET_FILES = files
Path(sys.argv[3]).touch()
while len(list(Path(sys.argv[3]).parent.glob("ready-*"))) < 2:
    pass
weights.load("googlenet")
weights.save(Path(sys.argv[4]), load("googlenet").model.state_dict(), weights._googlenet_description(""))
"""


def test_two_processes_that_fill_one_cache_at_once_both_have_the_weights(
    http_server: Callable, published: bytes, tmp_path: Path
) -> None:
    hub = Hub({PUBLISHED: published})
    environment = {
        **os.environ,
        "HF_ENDPOINT": http_server(hub),
        "HF_HOME": str(tmp_path / "hub"),
        "XDG_CACHE_HOME": str(tmp_path / "own"),
    }
    digest, size = hashlib.sha256(published).hexdigest(), str(len(published))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH, digest, size, tmp_path / f"ready-{n}", tmp_path / f"{n}.safetensors"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    for process in both:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
    assert (tmp_path / "0.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()
    own = list((tmp_path / "own").rglob("*.*"))
    assert [path.name for path in own] == [f"googlenet-{digest[:12]}.safetensors"], "one file, and no half of another"


# ---------------------------------------------------------------- full disks: answers, training


def test_answers_for_a_folder_are_kept_until_there_is_room(
    tmp_path: Path, disk: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    small = disk("200k")
    for number in range(12):
        make_photo(tmp_path / "photos" / f"{number:02}.jpg", number)
    out = small / "r.parquet"
    command = ["predict", str(tmp_path / "photos"), "--out", str(out)]
    assert main(command) == 0
    known, before = rows_of(out), out.read_bytes()

    for number in range(12, 20):
        make_photo(tmp_path / "photos" / f"{number:02}.jpg", number)
    ballast = fill(small)
    capsys.readouterr()
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"There is no room left on the disk for '{small}")
    assert said.count("\n") == 1
    assert out.read_bytes() == before
    assert names(small) == {"ballast", "r.parquet"}, "nothing half is left"

    ballast.unlink()
    assert main(command) == 0
    assert "20 photos, 12 known before, 0 refused" in capsys.readouterr().out
    assert rows_of(out)[:12] == known


def test_a_training_whose_disk_becomes_full_goes_on_from_its_last_checkpoint(
    tmp_path: Path, disk: Callable[..., Path]
) -> None:
    data = painted(tmp_path / "meadow", COLOURS, 20)
    small = disk("130m")  # room for one checkpoint, and not for the next beside it
    out = small / "out"
    command = ("train", "--data", data, "--out", out, "--workers", 1, *replace(SMALL, epochs=1).as_options())
    full = inception(*command, "--save-every", 0)
    assert full.returncode == 2, full.stderr
    said = full.stderr.splitlines()[-1]
    assert said.startswith("There is no room left on the disk for ")
    assert said.endswith("go on with the same command and --resume.")
    assert "Traceback" not in full.stderr
    assert names(out) == {"checkpoint.pt"}, "whole, and no half of the next"
    steps = read_checkpoint(out / "checkpoint.pt")["step"]
    assert steps > 0

    subprocess.run(["mount", "-o", "remount,size=400m", str(small)], check=True)
    again = inception(*command, "--resume")
    assert again.returncode == 0, again.stderr
    assert f"resuming after step {steps} " in again.stderr
    assert load(out / "model.safetensors").labels == ("grass", "sky")
