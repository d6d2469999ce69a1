"""Malicious and invalid checkpoints: each is rejected in one sentence, without running its code or much memory."""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto
from safetensors.torch import save as safetensors_bytes

from inception import load
from inception.errors import WeightsError
from inception.network.inception_v1 import InceptionV1
from inception.pretrained import convert
from inception.vision.preprocessing import IMAGENET
from support.entry_points import run_and_measure
from support.memory import Memory
from support.networks import randomise

MEGABYTE = 2**20

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux can report and reset a process's peak memory"
)

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return dict(randomise(InceptionV1(classes=2)).state_dict())


def load_error(path: Path) -> WeightsError:
    """Return the error of loading `path`, having checked that it is one line without the folder and says what to do."""
    with pytest.raises(WeightsError) as error:
        load(path)
    sentence = str(error.value)
    assert str(path.parent) not in sentence
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 500
    assert any(word in sentence for word in ("please", "Please", "Save it", "save it", "it is a JSON object")), sentence
    return error.value


# ---------------------------------------------------------------- pickles that would run code


class Call:
    """An object whose unpickling calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def zip_pickle(obj: object, path: Path) -> None:
    torch.save(obj, path)


def legacy_pickle(obj: object, path: Path) -> None:
    torch.save(obj, path, _use_new_zipfile_serialization=False)


def bare_pickle(obj: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(obj))


def text_pickle(obj: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(obj, protocol=0))


def attacks(marker: Path) -> dict[str, object]:
    """Return objects that create `marker` if they are unpickled."""
    write = f"open({str(marker)!r}, 'w').close()"
    import os
    import subprocess

    return {
        "system": Call(os.system, f"touch {marker}"),
        "exec": Call(exec, write),
        "eval": Call(eval, write),
        "popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "open": Call(open, str(marker), "w"),
        "touch": Call(Path.touch, marker),
        "load": Call(pickle.loads, pickle.dumps(Call(Path.touch, marker))),
        "torch.load": Call(torch.load, str(marker.with_name("inner.pth"))),
    }


@pytest.mark.parametrize("write", [zip_pickle, legacy_pickle, bare_pickle, text_pickle])
@pytest.mark.parametrize("attack", ["system", "exec", "eval", "popen", "open", "touch", "load", "torch.load"])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, attack: str, write: Callable) -> None:
    marker = tmp_path / "was-run"
    torch.save({"x": Call(Path.touch, marker)}, tmp_path / "inner.pth")
    path = tmp_path / "evil.pth"
    write({"head.classifier.bias": torch.ones(2), "code": attacks(marker)[attack]}, path)
    events: list[str] = []
    WATCHERS.append(events)
    try:
        load_error(path)
    finally:
        WATCHERS.remove(events)
    assert not marker.exists()
    assert events == []
    # Plain unpickling does run the code, so the attack is a real one.
    if write is bare_pickle and attack == "touch":
        pickle.loads(path.read_bytes())
        assert marker.exists()


WATCHERS: list[list[str]] = []


def record_event(event: str, arguments: tuple[object, ...]) -> None:
    for events in WATCHERS:
        if event in ("os.system", "subprocess.Popen"):
            events.append(f"{event} {arguments[0]}")


sys.addaudithook(record_event)


# ---------------------------------------------------------------- invalid state dicts


def expanded(*shape: int) -> torch.Tensor:
    """Return a tensor of this shape that stores a single number."""
    return torch.zeros(1).expand(*shape)


INVALID_STATES: dict[str, Callable[[State], object]] = {
    "no-dict": lambda s: [1, 2],
    "one-tensor": lambda s: torch.ones(3),
    "numbers": lambda s: {**s, "epoch": 3},
    "numbered": lambda s: {3: torch.ones(1)},
    "nested-deeply": lambda s: {"state_dict": {"model": s}},
    "nested-numbers": lambda s: {"state_dict": {**s, "epoch": 3}},
    "expanded": lambda s: {**s, "head.classifier.weight": expanded(10**9, 1024)},
    "billion-classes": lambda s: {**s, "head.classifier.weight": torch.zeros(10**9, 0)},
    "two-million-classes": lambda s: {**s, "head.classifier.weight": torch.zeros(2_000_000, 1)},
    "sparse": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].to_sparse()},
    "meta": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].to("meta")},
    "complex": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].to(torch.complex64)},
    "quantised": lambda s: {
        **s,
        "head.classifier.weight": torch.quantize_per_tensor(s["head.classifier.weight"], 0.1, 0, torch.qint8),
    },
    "four-bit": lambda s: {**s, "head.classifier.bias": torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)},
    "bits": lambda s: {**s, "head.classifier.bias": torch.zeros(4, dtype=torch.uint8).view(torch.bits8)},
    "nested-tensor": lambda s: {**s, "head.classifier.bias": torch.nested.nested_tensor([torch.zeros(2)])},
    "scalar-classes": lambda s: {**s, "head.classifier.weight": torch.tensor(3.0)},
    "infinite": lambda s: {**s, "stem.conv1.conv.weight": torch.full((64, 3, 7, 7), torch.inf)},
    "too-large": lambda s: {**s, "stem.conv1.conv.weight": torch.full((64, 3, 7, 7), 1e300, dtype=torch.float64)},
    "infinite-half": lambda s: {**s, "stem.conv1.conv.weight": torch.full((64, 3, 7, 7), torch.inf).half()},
    "no-number-in-means": lambda s: {**s, "means.4c": torch.full((512,), torch.nan)},
    "negative-variance": lambda s: {**s, "inception_3a.1x1.bn.running_var": torch.full((64,), -1.0)},
    "renamed": lambda s: {f"module-{name}": tensor for name, tensor in s.items()},
    "half-renamed": lambda s: {f"{'module.' * ('4c' in name)}{name}": tensor for name, tensor in s.items()},
    "one-renamed": lambda s: {name.replace("4c.5x5.conv", "4c.five.conv"): tensor for name, tensor in s.items()},
    "swapped": lambda s: {
        **s,
        "inception_3a.3x3.conv.weight": s["inception_3b.3x3.conv.weight"],
        "inception_3b.3x3.conv.weight": s["inception_3a.3x3.conv.weight"],
    },
    "transposed": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].T.contiguous()},
}


@pytest.mark.parametrize("case", INVALID_STATES)
def test_invalid_state_dicts_are_rejected_with_little_memory(tmp_path: Path, case: str, state: State) -> None:
    path = tmp_path / "odd.pth"
    torch.save(INVALID_STATES[case](state), path)
    memory = Memory()
    load_error(path)
    assert memory.peak < 300


def test_a_zip_bomb_is_rejected_before_it_is_unpacked(tmp_path: Path) -> None:
    """`torch.save` does not compress; a compressed checkpoint may be a thousand times larger than its file."""
    path = tmp_path / "bomb.pth"
    buffer = io.BytesIO()
    torch.save({"head.classifier.weight": torch.zeros(64 * MEGABYTE)}, buffer)
    with zipfile.ZipFile(buffer) as original, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as compressed:
        for name in original.namelist():
            compressed.writestr(name, original.read(name))
    del buffer
    assert path.stat().st_size < MEGABYTE
    memory = Memory()
    assert "damaged" in str(load_error(path))
    assert memory.peak < 100


# ---------------------------------------------------------------- safetensors


def header(length: int | None = None, **tensors: dict[str, object]) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


INVALID_SAFETENSORS: dict[str, bytes] = {
    "10-gigabyte-header": header(10 * 2**30),
    "10-gigabyte-header-and-more": header(10 * 2**30) + bytes(MEGABYTE),
    "largest-header": header(2**64 - 1),
    "header-of-nothing": header(0),
    "no-header": b"\x05\0\0",
    "no-json": struct.pack("<Q", 4) + b"{{{{",
    "deep-json": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "huge-tensor": header(x=tensor([10**6, 10**6], 0, 4 * 10**12)),
    "overflowing-tensor": header(x=tensor([2**40, 2**40], 0, 8)) + bytes(8),
    "negative-shape": header(x=tensor([-1], 0, 4)) + bytes(4),
    "offsets-backwards": header(x=tensor([1], 4, 0)) + bytes(4),
    "offsets-overlap": header(x=tensor([1], 0, 4), y=tensor([1], 0, 4)) + bytes(4),
    "a-hole": header(x=tensor([1], 4, 8)) + bytes(8),
    "unknown-type": header(x=tensor([1], 0, 4, "F99")) + bytes(4),
    "four-bit": header(x=tensor([2], 0, 1, "F4")) + bytes(1),
    "more-than-said": header(x=tensor([1], 0, 4)) + bytes(400),
}


@pytest.mark.parametrize("case", INVALID_SAFETENSORS)
def test_invalid_safetensors_are_rejected_with_little_memory(tmp_path: Path, case: str) -> None:
    path = tmp_path / "lying.safetensors"
    path.write_bytes(INVALID_SAFETENSORS[case])
    memory = Memory()
    assert load_error(path).kind == "weights_unreadable"
    assert memory.peak < 100


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_truncated_checkpoint_is_rejected(tmp_path: Path, state: State, suffix: str, share: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    buffer = io.BytesIO()
    if suffix == "pth":
        torch.save(state, buffer)
    data = buffer.getvalue() or safetensors_bytes({name: tensor.contiguous() for name, tensor in state.items()})
    path.write_bytes(data[: int(share * len(data))])
    assert "damaged" in str(load_error(path))


# ---------------------------------------------------------------- files beside the checkpoint


DESCRIPTION = {"classes": ["cat", "dog"], "preprocessing": IMAGENET.to_dict()}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        b"\xff\xfe\xfa",
        json.dumps({**DESCRIPTION, "variant": ["batchnorm"]}),
        json.dumps({**DESCRIPTION, "variant": "vgg"}),
        json.dumps({**DESCRIPTION, "classes": ["cat", "\ud800"]}),
        json.dumps({**DESCRIPTION, "classes": [f"{number}" for number in range(200_000)]}),
        json.dumps({**DESCRIPTION, "temperature": "NaN"}),
        json.dumps({**DESCRIPTION, "temperature": float("nan")}),
        json.dumps({**DESCRIPTION, "temperature": 1e-300}),
        json.dumps({**DESCRIPTION, "temperature": 10**400}),
        json.dumps({**DESCRIPTION, "preprocessing": {**IMAGENET.to_dict(), "std": [float("inf"), 1, 1]}}),
        json.dumps({**DESCRIPTION, "preprocessing": {**IMAGENET.to_dict(), "divisor": -255}}),
        json.dumps({**DESCRIPTION, "preprocessing": {**IMAGENET.to_dict(), "size": 10**9}}),
        json.dumps({**DESCRIPTION, "preprocessing": {**IMAGENET.to_dict(), "resize": 10**9, "crop": 10**9}}),
        json.dumps({**DESCRIPTION, "preprocessing": {**IMAGENET.to_dict(), "mean": ["a", "b", "c"]}}),
        json.dumps({**DESCRIPTION, "preprocessing": {**IMAGENET.to_dict(), "mean": 5}}),
        json.dumps({**DESCRIPTION, "preprocessing": {**IMAGENET.to_dict(), "std": [1e-320, 1, 1]}}),
        json.dumps({**DESCRIPTION, "training": 5}),
        json.dumps({**DESCRIPTION, "provenance": {"owner": "me"}}),
    ],
    ids=lambda text: str(text)[:30] if len(text) > 1000 else None,
)
def test_an_invalid_description_is_rejected(tmp_path: Path, state: State, text: str | bytes) -> None:
    torch.save(state, tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert load_error(tmp_path / "pets.pth").kind == "weights_description"


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", '{"threshold": "x"}', '{"threshold": NaN}'])
def test_an_invalid_rejection_rule_is_rejected(tmp_path: Path, state: State, text: str) -> None:
    torch.save(state, tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_text(json.dumps(DESCRIPTION))
    (tmp_path / "pets.unknown.json").write_text(text)
    assert load_error(tmp_path / "pets.pth").kind == "weights_doubt"


def test_folders_and_impossible_file_names_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no file"):
        load("x" * 300 + ".pth")
    with pytest.raises(WeightsError, match="There is no file"):
        load("a\0b.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(WeightsError, match="There is no file"):
        load(tmp_path / "folder.pth")


# ---------------------------------------------------------------- ONNX


def test_onnx_with_external_data_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(bytes(range(8)))
    monkeypatch.chdir(tmp_path)
    external = TensorProto(name="conv1/7x7_s2_w_0", dims=[2], data_type=TensorProto.FLOAT)
    external.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret"), ("offset", "0"), ("length", "8")):
        external.external_data.add(key=key, value=value)
    graph = onnx.helper.make_graph([], "outside", [], [], [external])
    (tmp_path / "googlenet-8.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(WeightsError, match="damaged or not an ONNX file"):
        convert.read_onnx(tmp_path / "googlenet-8.onnx")


# ---------------------------------------------------------------- the command line


def test_the_command_line_reports_a_bad_checkpoint_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "header.safetensors").write_bytes(INVALID_SAFETENSORS["10-gigabyte-header"])
    bare_pickle({"x": Call(Path.touch, tmp_path / "was-run")}, tmp_path / "evil.pth")
    (tmp_path / "empty.pt").touch()
    for name, message in (
        ("header.safetensors", "is damaged or not a checkpoint; please fetch or save it again."),
        ("evil.pth", "running code from a checkpoint is not allowed"),
        ("empty.pt", "is damaged or not a checkpoint"),
        ("x" * 300 + ".pth", "There is no file"),
    ):
        process, _ = run_and_measure("models", "--model", tmp_path / name)
        assert process.returncode == 2, process.stderr
        assert message in process.stderr
        assert len(process.stderr.splitlines()) == 1, process.stderr
        assert str(tmp_path) not in process.stderr
    assert not (tmp_path / "was-run").exists()
