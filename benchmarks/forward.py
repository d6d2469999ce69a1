"""The network alone: `python -m benchmarks.forward`.

The unit is one forward pass of torchvision's googlenet at batch 1, eagerly, in float32. Ours keeps
all block outputs. Weights are random, which costs what trained ones cost; that "fast" keeps every
top-5 with the trained ones is `tests/network/test_fused.py`.

- `forward-fp32`: in float32, the slowest of the three variants.
- `forward-fp32-onnxruntime`: the `googlenet` variant against onnxruntime on the same weights.
- `forward-fp32-openvino`: the same against OpenVINO in float32, which keeps all block outputs too.
- `forward-fast-openvino`: the fastest precision against OpenVINO's.
- `forward-fast`: in the fastest precision that keeps every top-5, the slowest variant.
- `forward-batch16`: the same for a batch of 16 photos, for each photo.

Beside those in float32 and in the fastest precision stands the limit of the machine's arithmetic (`Row.limit`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from inception.network.compiled import compile_engines
from inception.network.cost import published_size
from inception.network.fused import HALF, fast_engine, fused_engine
from inception.network.inception_v1 import VARIANTS, InceptionV1
from inception.pretrained import convert

from .measure import Row, arithmetic_limit, compared, machine
from .peers import CLASSES, caffe_onnx, noise, openvino_forward, plain_forward, runtime_forward

BOUNDS = {
    "forward-fp32": 0.42,
    "forward-fp32-onnxruntime": 0.8,
    "forward-fp32-openvino": 1.05,
    "forward-fast-openvino": 1.05,
    "forward-fast": 0.3,
    "forward-batch16": 0.25,
}
BATCH = 16


def forward(engine: InceptionV1, photos: int = 1) -> Callable[[], object]:
    """A forward pass that keeps all block outputs."""
    given = noise(photos).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def answer() -> object:
        return engine.trace(given)

    return answer


def rows(rounds: int = 15) -> list[Row]:
    peer = plain_forward()
    exact, fast, many = [], [], []
    for variant in VARIANTS:
        torch.manual_seed(0)
        model = InceptionV1(variant=variant, classes=CLASSES).eval()
        full, half = engines_of(model)
        exact.append(_row("forward-fp32", forward(full), peer, rounds))
        fast.append(_row("forward-fast", forward(half), peer, rounds))
        many.append(_row("forward-batch16", forward(half, BATCH), peer, rounds, BATCH))
    work = published_size().multiplications
    full_limit = arithmetic_limit(work, peer)
    half_limit = min(full_limit, arithmetic_limit(work, peer, HALF))
    return [
        replace(_worst(exact), limit=full_limit),
        *against_runtimes(rounds),
        replace(_worst(fast), limit=half_limit),
        replace(_worst(many), limit=half_limit),
    ]


def engines_of(model: InceptionV1) -> tuple[InceptionV1, InceptionV1]:
    """Return the engines that a server uses after its first seconds, in float32 and with `--precision fast`."""
    full = fused_engine(model)
    # As in a server, chosen before any of the two is compiled.
    fast = fast_engine(model, full)
    compile_engines(model, full, fast)
    return full, fast


def against_runtimes(rounds: int) -> list[Row]:
    """Ours and each other runtime with the weights of one ONNX file."""
    with TemporaryDirectory() as folder:
        file = caffe_onnx(Path(folder) / "googlenet.onnx")
        model = InceptionV1(variant="googlenet", classes=CLASSES).eval()
        weights = convert.rename_tensors(convert.read_onnx(file), convert.caffe_names(), source=file.name)
        convert.load_state(model, weights, source=file.name)
        full, fast = engines_of(model)
        return [
            _row("forward-fp32-onnxruntime", forward(full), runtime_forward(file), rounds),
            _row("forward-fp32-openvino", forward(full), openvino_forward(file, "f32"), rounds),
            _row("forward-fast-openvino", forward(fast), openvino_forward(file, "bf16"), rounds),
        ]


def _row(name: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int, photos: int = 1) -> Row:
    return compared(name, ours, peer, bound=BOUNDS[name], rounds=rounds, times=photos)


def _worst(rows: list[Row]) -> Row:
    return max(rows, key=lambda row: row.ratio)


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
