"""Loading networks by name, and every way in which that can fail."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnx import numpy_helper

from benchmarks.peers import caffe_onnx
from inception import load
from inception.errors import DeviceError, WeightsError
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.pretrained import convert, hub, zoo
from inception.pretrained.checkpoint import CHECKPOINT_SUFFIXES, save_checkpoint
from inception.pretrained.description import Description, Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import CAFFE, TORCHVISION
from inception.web.words import say_error
from support.hub import Hub
from support.networks import have_equal_logits, randomise
from support.paths import ROOT

# ---------------------------------------------------------------- embedded


def test_the_embedded_weights_include_labels_provenance_and_means(embedded: PretrainedModel) -> None:
    assert not embedded.model.training
    assert len(embedded.labels) == len(set(embedded.labels)) == 200
    assert embedded.model.variant.name == "batchnorm"
    assert embedded.input_size == 160
    assert all(vars(embedded.provenance)[name] for name in ("source", "licence", "training_data", "accuracy"))
    assert embedded.temperature == pytest.approx(0.79)
    assert set(embedded.means) == set(BLOCKS)
    assert all(
        len(embedded.means[block]) == sum(embedded.model.block(block).branch_channels.values()) for block in BLOCKS
    )
    assert embedded.training["command"].startswith("python -m inception train")


def test_the_embedded_weights_need_no_internet_access() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('the network was used')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from inception import load\n"
        "print(load().name)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "tiny-imagenet"


def test_a_loaded_model_cannot_be_changed_by_accident(embedded: PretrainedModel) -> None:
    with pytest.raises(AttributeError):
        embedded.temperature = 2.0  # type: ignore[misc]
    assert not any(parameter.requires_grad for parameter in embedded.model.parameters())


# ---------------------------------------------------------------- names and devices


@pytest.mark.parametrize("name", ["resnet50", "../../etc/passwd", "missing.safetensors", None, 3])
def test_an_unknown_name_is_rejected(name: Any) -> None:
    with pytest.raises(WeightsError, match=r"choose one of tiny-imagenet, googlenet, torchvision|There is no file"):
        load(name)


@pytest.mark.parametrize("device", ["cpu:1", "meta", "abacus", torch.device("cpu", 7)])
def test_an_unknown_device_is_rejected(device: str | torch.device) -> None:
    with pytest.raises(DeviceError, match=r"There is no device called .*; choose one of auto, cpu, cuda, mps"):
        load("tiny-imagenet", device)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda"), torch.device("cuda", 1)])
def test_an_unavailable_device_is_rejected(monkeypatch: pytest.MonkeyPatch, device: str | torch.device) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no cuda device that PyTorch can use"):
        load("tiny-imagenet", device)


@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0", torch.device("cpu"), torch.device("cpu", 0)])
def test_a_device_can_be_named_or_numbered(device: str | torch.device) -> None:
    assert load("tiny-imagenet", device).device.type in ("cpu", "cuda", "mps")


# ---------------------------------------------------------------- googlenet: a folder, the hub, the cache


def test_the_weights_folder_is_searched_first(
    tmp_path: Path, random_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "googlenet-bvlc.onnx").write_bytes(random_onnx.read_bytes())
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path))
    loaded = load("googlenet")
    assert loaded.preprocessing == CAFFE
    assert loaded.labels[340] == "zebra"
    assert "differs from the published one" in loaded.provenance.notice
    first = next(iter(convert.read_onnx(random_onnx).values()))
    assert torch.equal(loaded.model.stem.conv1.conv.weight, first)


def test_a_damaged_file_does_not_hide_a_good_one(
    tmp_path: Path, random_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "googlenet-8.onnx").write_bytes(random_onnx.read_bytes()[:1000])
    (tmp_path / "googlenet-bvlc.onnx").write_bytes(random_onnx.read_bytes())
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path))
    assert load("googlenet").labels[340] == "zebra"


def test_a_missing_weights_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path / "typo"))
    with pytest.raises(WeightsError, match="INCEPTION_WEIGHTS_DIR names a folder that does not exist"):
        load("googlenet")


@pytest.mark.parametrize("name", zoo.MODEL_NAMES)
def test_networks_are_listed_although_the_weights_folder_is_missing(
    tmp_path: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch-hub"))
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path / "typo"))
    assert zoo.describe(name)["at_hand"] == (name == "tiny-imagenet")


@pytest.mark.parametrize("name", zoo.MODEL_NAMES)
def test_networks_are_listed_although_folders_cannot_be_read(
    tmp_path: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stat = Path.stat

    def refusing_stat(path: Path, **options: bool) -> os.stat_result:
        if tmp_path in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch-hub"))
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path / "weights"))
    monkeypatch.setattr(Path, "stat", refusing_stat)
    assert zoo.describe(name)["at_hand"] == (name == "tiny-imagenet")


def test_an_unreadable_file_in_the_weights_folder_is_reported(
    tmp_path: Path, random_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "googlenet-8.onnx").write_bytes(random_onnx.read_bytes())

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # Stands for a file that this user may not open; as root, tests may open every file.
    monkeypatch.setattr(zoo, "sha256_of", refuse)
    monkeypatch.setattr(onnx, "load", refuse)
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsError, match=r"googlenet-8\.onnx is damaged"):
        load("googlenet")


def test_only_integer_tensors_are_ignored(tmp_path: Path) -> None:
    path = caffe_onnx(tmp_path / "googlenet-8.onnx")
    assert set(convert.read_onnx(path)) == set(convert.caffe_names())
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "surprise"))
    onnx.save(model, path)
    with pytest.raises(WeightsError, match="unknown surprise"):
        convert.rename_tensors(convert.read_onnx(path), convert.caffe_names(), source="googlenet-8.onnx")


def test_a_file_of_another_model_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = onnx.helper.make_graph([], "other", [], [], [numpy_helper.from_array(np.ones(3, np.float32), "fc_w")])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "googlenet-8.onnx")
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsError, match=r"missing conv1/7x7_s2_b_0.* and 113 more; unknown fc_w"):
        load("googlenet")
    (tmp_path / "googlenet-8.onnx").write_bytes(b"\x08\x07 damaged")
    with pytest.raises(WeightsError, match="damaged"):
        load("googlenet")


def cached_models(folder: Path) -> list[Path]:
    return (
        [path for path in folder.rglob("*") if path.is_file() and path.suffix in (".onnx", ".safetensors", "")]
        if folder.exists()
        else []
    )


@pytest.mark.parametrize("repository", ["onnxmodelzoo/googlenet-8", "onnxmodelzoo/googlenet-6"])
def test_googlenet_is_downloaded_once_and_then_loaded_from_the_cache(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch, repository: str
) -> None:
    hub = Hub({f"{repository}/{repository.split('/')[1]}.onnx": published})
    monkeypatch.setenv("HF_ENDPOINT", http_server(hub))
    first = load("googlenet")
    request_count = hub.request_count
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    second = load("googlenet")
    assert request_count > 0
    assert hub.request_count == request_count
    assert have_equal_logits(first.model, second.model)
    assert (first.labels, first.preprocessing, first.provenance) == (
        second.labels,
        second.preprocessing,
        second.provenance,
    )


def test_a_file_with_a_wrong_checksum_is_rejected_and_not_cached(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    corrupted = published[:-1] + bytes([published[-1] ^ 1])
    monkeypatch.setenv("HF_ENDPOINT", http_server(Hub({"onnxmodelzoo/googlenet-8/googlenet-8.onnx": corrupted})))
    with pytest.raises(WeightsError, match="not the published file"):
        load("googlenet")
    assert not [path for path in cached_models(hub_cache) if path.suffix == ".onnx" or len(path.name) == 64]
    assert not cached_models(tmp_path / "cache")


def test_an_incomplete_download_is_not_cached(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub({"onnxmodelzoo/googlenet-8/googlenet-8.onnx": published}, cut_at=100_000)
    monkeypatch.setenv("HF_ENDPOINT", http_server(hub))
    with pytest.raises(WeightsError, match="could not be fetched"):
        load("googlenet")
    assert not [path for path in cached_models(hub_cache) if path.suffix == ".onnx"]


def test_a_file_missing_from_the_hub_is_reported(
    http_server: Callable, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", http_server(Hub({})))
    with pytest.raises(WeightsError, match=r"googlenet-8\.onnx, googlenet-6\.onnx.*INCEPTION_WEIGHTS_DIR"):
        load("googlenet")


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_an_unreachable_hub_is_reported_in_one_sentence(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(WeightsError, match=r"could not be fetched.*googlenet-8\.onnx.*INCEPTION_WEIGHTS_DIR") as error:
        load("googlenet")
    assert "\n" not in str(error.value)
    assert load("tiny-imagenet").name == "tiny-imagenet"


def test_a_damaged_cached_file_is_replaced(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", http_server(Hub({"onnxmodelzoo/googlenet-8/googlenet-8.onnx": published})))
    first = load("googlenet")
    (cached,) = (tmp_path / "cache").rglob("*.safetensors")
    cached.write_bytes(cached.read_bytes()[:1000])
    assert have_equal_logits(load("googlenet").model, first.model)
    assert cached.stat().st_size > 1_000_000


def test_a_damaged_file_in_the_hubs_cache_is_fetched_anew(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", http_server(Hub({"onnxmodelzoo/googlenet-8/googlenet-8.onnx": published})))
    first = load("googlenet")
    (converted,) = (tmp_path / "cache").rglob("*.safetensors")
    converted.unlink()
    (cached,) = hub_cache.rglob("*.onnx")
    cached.write_bytes(b"damaged on this disk")
    assert have_equal_logits(load("googlenet").model, first.model)
    assert cached.read_bytes() == published


def test_the_second_file_in_the_hubs_cache_is_used_without_a_network(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", http_server(Hub({"onnxmodelzoo/googlenet-6/googlenet-6.onnx": published})))
    first = load("googlenet")
    (converted,) = (tmp_path / "cache").rglob("*.safetensors")
    converted.unlink()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    assert have_equal_logits(load("googlenet").model, first.model)


def test_converted_weights_have_the_description_of_this_version(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", http_server(Hub({"onnxmodelzoo/googlenet-8/googlenet-8.onnx": published})))
    first = load("googlenet")
    (converted,) = (tmp_path / "cache").rglob("*.safetensors")
    earlier = Description("googlenet", ("one label",) * 1000, TORCHVISION, Provenance("me", "MIT", "none", "none"))
    save_checkpoint(converted, first.model.state_dict(), earlier)
    again = load("googlenet")
    assert have_equal_logits(again.model, first.model)
    assert (again.labels, again.preprocessing, again.provenance) == (first.labels, CAFFE, first.provenance)


def test_without_a_home_folder_networks_are_listed_and_loaded(
    http_server: Callable, hub_cache: Path, published: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    assert not zoo.describe("googlenet")["at_hand"]
    monkeypatch.setenv("HF_ENDPOINT", http_server(Hub({"onnxmodelzoo/googlenet-8/googlenet-8.onnx": published})))
    assert load("googlenet").labels[340] == "zebra"
    assert zoo.describe("googlenet")["at_hand"]


# ---------------------------------------------------------------- torchvision


@pytest.fixture
def torchvision_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = randomise(torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False))
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch-hub"))
    return (tmp_path / "theirs.pth").read_bytes()


def serve_torchvision(http_server: Callable, monkeypatch: pytest.MonkeyPatch, data: bytes, digest: str) -> None:
    """Let torchvision download `data` from a local server, under a file name that promises the checksum `digest`."""

    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    entry = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.value
    # torchvision's dataclass is not frozen; monkeypatch restores the entry after the test.
    monkeypatch.setattr(entry, "url", f"{http_server(respond)}/googlenet-{digest[:8]}.pth")


def test_torchvisions_weights_are_downloaded_through_its_own_api(
    http_server: Callable, torchvision_file: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_torchvision(http_server, monkeypatch, torchvision_file, hashlib.sha256(torchvision_file).hexdigest())
    loaded = load("torchvision")
    assert loaded.model.variant.name == "torchvision"
    assert loaded.labels[340] == "zebra"
    assert "69.8 %" in loaded.provenance.accuracy
    assert len(list((tmp_path / "torch-hub").rglob("*.pth"))) == 1


def test_torchvisions_weights_with_a_wrong_checksum_are_not_cached(
    http_server: Callable, torchvision_file: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_torchvision(http_server, monkeypatch, torchvision_file, "1378be20")
    with pytest.raises(WeightsError, match="could not be fetched"):
        load("torchvision")
    assert not list((tmp_path / "torch-hub").rglob("*.pth"))


def test_a_download_of_torchvisions_weights_that_stalls_is_given_up(
    http_server: Callable, torchvision_file: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given_up = threading.Event()

    def stall(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(torchvision_file)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(torchvision_file[:1000])
            given_up.wait(60)

    entry = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.value
    monkeypatch.setattr(entry, "url", f"{http_server(stall)}/googlenet-1378be20.pth")
    monkeypatch.setattr(hub, "STALLED_SECONDS", 0.2)
    with pytest.raises(WeightsError, match="could not be fetched from torchvision"):
        load("torchvision")
    assert not given_up.is_set()
    given_up.set()
    assert not [path for path in (tmp_path / "torch-hub").rglob("*") if path.is_file()]


def test_a_download_is_bounded_in_size(http_server: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(bytes(1001))

    monkeypatch.setattr(hub, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        hub.fetched(http_server(answer), "")


def test_a_damaged_file_in_torch_hubs_cache_is_downloaded_again(
    http_server: Callable, torchvision_file: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digest = hashlib.sha256(torchvision_file).hexdigest()
    serve_torchvision(http_server, monkeypatch, torchvision_file, digest)
    cached = tmp_path / "torch-hub" / "checkpoints" / f"googlenet-{digest[:8]}.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(torchvision_file[:1_000_000])
    assert len(load("torchvision").labels) == 1000
    assert cached.read_bytes() == torchvision_file


def test_torchvisions_weights_are_used_where_the_cache_is_read_only(
    http_server: Callable, torchvision_file: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_torchvision(http_server, monkeypatch, torchvision_file, hashlib.sha256(torchvision_file).hexdigest())

    def refuse(file: Path, data: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(file))

    monkeypatch.setattr(zoo, "replace_file", refuse)
    assert len(load("torchvision").labels) == 1000
    assert not list((tmp_path / "torch-hub").rglob("*.pth"))


def test_an_unreadable_published_file_is_named_in_the_error(
    http_server: Callable, torchvision_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = torchvision_file[:1_000_000]
    digest = hashlib.sha256(damaged).hexdigest()
    serve_torchvision(http_server, monkeypatch, damaged, digest)
    for _ in range(2):
        with pytest.raises(WeightsError, match=rf"googlenet-{digest[:8]}\.pth is damaged"):
            load("torchvision")


def test_torchvisions_weights_are_found_in_the_weights_folder(
    torchvision_file: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "googlenet-1378be20.pth").write_bytes(torchvision_file)
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path))
    assert len(load("torchvision").labels) == 1000


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        (convert.caffe_names(), "googlenet"),
        (convert.torchvision_names(), "torchvision"),
        (convert.design_names(), "batchnorm"),
    ],
)
def test_each_name_map_covers_exactly_its_variant(names: dict[str, str], variant: str) -> None:
    assert sorted(names.values()) == sorted(InceptionV1(variant=variant).state_dict())
    assert all(any(f"inception_{block}." in name for name in names.values()) for block in BLOCKS)


def test_the_torchvision_file_name_matches_torchvision() -> None:
    assert Path(torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.url).name == zoo.TORCHVISION_FILE


def test_listing_the_networks_imports_no_slow_modules() -> None:
    code = "import sys; from inception.pretrained import zoo; [zoo.describe(one) for one in zoo.MODEL_NAMES]; "
    code += "zoo.load().engine; print([one for one in ('torchvision', 'torch._dynamo', 'sympy') if one in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert process.stdout.strip() == "[]", process.stdout


def test_the_kinds_of_checkpoints_are_named_in_both_languages() -> None:
    with pytest.raises(WeightsError) as refused:
        load("resnet50")
    for language in ("en", "zh"):
        assert all(suffix in say_error(language, refused.value) for suffix in CHECKPOINT_SUFFIXES)
