"""Checkpoints that attack or cannot be: each is refused in one sentence, and nothing of it is run or believed."""

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
from support.entry_points import by_command
from support.memory import Memory
from support.networks import lively

MEGABYTE = 2**20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and sets back the highest memory")

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return dict(lively(InceptionV1(classes=2)).state_dict())


def refused(path: Path) -> WeightsError:
    """The error, after a look at its sentence: one line, no folder, and what to do."""
    with pytest.raises(WeightsError) as told:
        load(path)
    sentence = str(told.value)
    assert str(path.parent) not in sentence
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 500
    assert any(word in sentence for word in ("please", "Please", "Save it", "save it", "it is a JSON object")), sentence
    return told.value


# ---------------------------------------------------------------- pickles that would run code


class Call:
    """Pickled, it is a call of a function when it is read."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def zipped(obj: object, path: Path) -> None:
    torch.save(obj, path)


def legacy(obj: object, path: Path) -> None:
    torch.save(obj, path, _use_new_zipfile_serialization=False)


def bare(obj: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(obj))


def text_pickle(obj: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(obj, protocol=0))


def attacks(mark: Path) -> dict[str, object]:
    """What would leave `mark` if any of it was run."""
    write = f"open({str(mark)!r}, 'w').close()"
    import os
    import subprocess

    return {
        "system": Call(os.system, f"touch {mark}"),
        "exec": Call(exec, write),
        "eval": Call(eval, write),
        "popen": Call(subprocess.Popen, ["touch", str(mark)]),
        "open": Call(open, str(mark), "w"),
        "touch": Call(Path.touch, mark),
        "load": Call(pickle.loads, pickle.dumps(Call(Path.touch, mark))),
        "torch.load": Call(torch.load, str(mark.with_name("inner.pth"))),
    }


@pytest.mark.parametrize("write", [zipped, legacy, bare, text_pickle])
@pytest.mark.parametrize("attack", ["system", "exec", "eval", "popen", "open", "touch", "load", "torch.load"])
def test_a_pickle_that_would_run_code_runs_none(tmp_path: Path, attack: str, write: Callable, state: State) -> None:
    mark = tmp_path / "was-run"
    torch.save({"x": Call(Path.touch, mark)}, tmp_path / "inner.pth")
    path = tmp_path / "evil.pth"
    write({"head.classifier.bias": torch.ones(2), "code": attacks(mark)[attack]}, path)
    opened: list[str] = []
    WATCHED.append(opened)
    try:
        refused(path)
    finally:
        WATCHED.remove(opened)
    assert not mark.exists()
    assert opened == []
    # The same bytes read without care do run: what was refused was no dud.
    if write is bare and attack == "touch":
        pickle.loads(path.read_bytes())
        assert mark.exists()


WATCHED: list[list[str]] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    for opened in WATCHED:
        if event in ("os.system", "subprocess.Popen"):
            opened.append(f"{event} {arguments[0]}")


sys.addaudithook(watch)


# ---------------------------------------------------------------- tensors that lie


def expanded(tensor: torch.Tensor, *shape: int) -> torch.Tensor:
    """A tensor of one number that says it has this shape."""
    return torch.zeros(1).expand(*shape)


ODD_STATES: dict[str, Callable[[State], object]] = {
    "no-dict": lambda s: [1, 2],
    "one-tensor": lambda s: torch.ones(3),
    "numbers": lambda s: {**s, "epoch": 3},
    "numbered": lambda s: {3: torch.ones(1)},
    "nested": lambda s: {"state_dict": s},
    "expanded": lambda s: {**s, "head.classifier.weight": expanded(s["head.classifier.weight"], 10**9, 1024)},
    "billion-classes": lambda s: {**s, "head.classifier.weight": torch.zeros(10**9, 0)},
    "two-million-classes": lambda s: {**s, "head.classifier.weight": torch.zeros(2_000_000, 1)},
    "sparse": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].to_sparse()},
    "meta": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].to("meta")},
    "complex": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].to(torch.complex64)},
    "quantised": lambda s: {
        **s,
        "head.classifier.weight": torch.quantize_per_tensor(s["head.classifier.weight"], 0.1, 0, torch.qint8),
    },
    "scalar-classes": lambda s: {**s, "head.classifier.weight": torch.tensor(3.0)},
    "infinite": lambda s: {**s, "stem.conv1.conv.weight": torch.full((64, 3, 7, 7), torch.inf)},
    "too-large": lambda s: {**s, "stem.conv1.conv.weight": torch.full((64, 3, 7, 7), 1e300, dtype=torch.float64)},
    "infinite-half": lambda s: {**s, "stem.conv1.conv.weight": torch.full((64, 3, 7, 7), torch.inf).half()},
    "no-number-in-means": lambda s: {**s, "means.4c": torch.full((512,), torch.nan)},
    "negative-variance": lambda s: {**s, "inception_3a.1x1.bn.running_var": torch.full((64,), -1.0)},
    "renamed": lambda s: {f"module.{name}": tensor for name, tensor in s.items()},
    "one-renamed": lambda s: {name.replace("4c.5x5.conv", "4c.five.conv"): tensor for name, tensor in s.items()},
    "swapped": lambda s: {
        **s,
        "inception_3a.3x3.conv.weight": s["inception_3b.3x3.conv.weight"],
        "inception_3b.3x3.conv.weight": s["inception_3a.3x3.conv.weight"],
    },
    "transposed": lambda s: {**s, "head.classifier.weight": s["head.classifier.weight"].T.contiguous()},
}


@pytest.mark.parametrize("what", ODD_STATES)
def test_a_state_that_cannot_be_is_refused_at_little_cost(tmp_path: Path, what: str, state: State) -> None:
    path = tmp_path / "odd.pth"
    torch.save(ODD_STATES[what](state), path)
    memory = Memory()
    refused(path)
    assert memory.highest < 300


def test_a_checkpoint_that_unpacks_to_gigabytes_is_refused_before(tmp_path: Path, state: State) -> None:
    """`torch.save` packs nothing; a file that is packed may be a thousand times larger than it looks."""
    path = tmp_path / "bomb.pth"
    out = io.BytesIO()
    torch.save({"head.classifier.weight": torch.zeros(64 * MEGABYTE)}, out)
    with zipfile.ZipFile(out) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    del out
    assert path.stat().st_size < MEGABYTE
    memory = Memory()
    assert "damaged" in str(refused(path))
    assert memory.highest < 100


# ---------------------------------------------------------------- safetensors, byte by byte


def header(length: int | None = None, **tensors: dict[str, object]) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BAD_SAFETENSORS: dict[str, bytes] = {
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
    "more-than-said": header(x=tensor([1], 0, 4)) + bytes(400),
}


@pytest.mark.parametrize("what", BAD_SAFETENSORS)
def test_safetensors_that_lie_are_refused_at_little_cost(tmp_path: Path, what: str) -> None:
    path = tmp_path / "lying.safetensors"
    path.write_bytes(BAD_SAFETENSORS[what])
    memory = Memory()
    assert refused(path).kind == "weights_unreadable"
    assert memory.highest < 100


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_checkpoint_that_was_cut_off_is_refused(tmp_path: Path, state: State, suffix: str, share: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    whole = io.BytesIO()
    if suffix == "pth":
        torch.save(state, whole)
    data = whole.getvalue() or safetensors_bytes({name: tensor.contiguous() for name, tensor in state.items()})
    path.write_bytes(data[: int(share * len(data))])
    assert "damaged" in str(refused(path))


# ---------------------------------------------------------------- what stands beside


NAMED = {"classes": ["cat", "dog"], "preprocessing": IMAGENET.to_dict()}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        b"\xff\xfe\xfa",
        json.dumps({**NAMED, "variant": ["batchnorm"]}),
        json.dumps({**NAMED, "variant": "vgg"}),
        json.dumps({**NAMED, "classes": ["cat", "\ud800"]}),
        json.dumps({**NAMED, "classes": [f"{number}" for number in range(200_000)]}),
        json.dumps({**NAMED, "temperature": "NaN"}),
        json.dumps({**NAMED, "temperature": float("nan")}),
        json.dumps({**NAMED, "temperature": 1e-300}),
        json.dumps({**NAMED, "temperature": 10**400}),
        json.dumps({**NAMED, "preprocessing": {**IMAGENET.to_dict(), "std": [float("inf"), 1, 1]}}),
        json.dumps({**NAMED, "preprocessing": {**IMAGENET.to_dict(), "divisor": -255}}),
        json.dumps({**NAMED, "preprocessing": {**IMAGENET.to_dict(), "size": 10**9}}),
        json.dumps({**NAMED, "preprocessing": {**IMAGENET.to_dict(), "resize": 10**9, "crop": 10**9}}),
        json.dumps({**NAMED, "preprocessing": {**IMAGENET.to_dict(), "mean": ["a", "b", "c"]}}),
        json.dumps({**NAMED, "preprocessing": {**IMAGENET.to_dict(), "mean": 5}}),
        json.dumps({**NAMED, "preprocessing": {**IMAGENET.to_dict(), "std": [1e-320, 1, 1]}}),
        json.dumps({**NAMED, "training": 5}),
        json.dumps({**NAMED, "provenance": {"owner": "me"}}),
    ],
    ids=lambda text: str(text)[:30] if len(text) > 1000 else None,
)
def test_a_description_that_cannot_be_is_refused(tmp_path: Path, state: State, text: str | bytes) -> None:
    torch.save(state, tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert refused(tmp_path / "pets.pth").kind == "weights_description"


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", '{"threshold": "x"}', '{"threshold": NaN}'])
def test_a_rule_that_cannot_be_is_refused(tmp_path: Path, state: State, text: str) -> None:
    torch.save(state, tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_text(json.dumps(NAMED))
    (tmp_path / "pets.unknown.json").write_text(text)
    assert refused(tmp_path / "pets.pth").kind == "weights_doubt"


def test_a_description_that_is_a_folder_or_a_long_name_is_refused(tmp_path: Path, state: State) -> None:
    with pytest.raises(WeightsError, match="There is no file"):
        load("x" * 300 + ".pth")
    with pytest.raises(WeightsError, match="There is no file"):
        load("a\0b.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(WeightsError, match="There is no file"):
        load(tmp_path / "folder.pth")


# ---------------------------------------------------------------- ONNX


def test_onnx_that_points_to_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(bytes(range(8)))
    monkeypatch.chdir(tmp_path)
    outside = TensorProto(name="conv1/7x7_s2_w_0", dims=[2], data_type=TensorProto.FLOAT)
    outside.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret"), ("offset", "0"), ("length", "8")):
        outside.external_data.add(key=key, value=value)
    graph = onnx.helper.make_graph([], "outside", [], [], [outside])
    (tmp_path / "googlenet-8.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(WeightsError, match="damaged or not an ONNX file"):
        convert.read_onnx(tmp_path / "googlenet-8.onnx")


# ---------------------------------------------------------------- as a user meets it


def test_at_the_command_line_it_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "header.safetensors").write_bytes(BAD_SAFETENSORS["10-gigabyte-header"])
    bare({"x": Call(Path.touch, tmp_path / "was-run")}, tmp_path / "evil.pth")
    (tmp_path / "empty.pt").touch()
    for name, said in (
        ("header.safetensors", "is damaged or not a checkpoint; please fetch or save it again."),
        ("evil.pth", "running code from a checkpoint is not allowed"),
        ("empty.pt", "is damaged or not a checkpoint"),
        ("x" * 300 + ".pth", "There is no file"),
    ):
        told, _ = by_command("models", "--model", tmp_path / name)
        assert told.returncode == 2, told.stderr
        assert said in told.stderr
        assert len(told.stderr.splitlines()) == 1, told.stderr
        assert str(tmp_path) not in told.stderr
    assert not (tmp_path / "was-run").exists()
