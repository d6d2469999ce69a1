"""Forward passes of the network: `python -m benchmarks.forward`.

The unit is one forward pass of torchvision's googlenet at batch size 1, eager, in float32. Ours returns all block
outputs. Weights are random, which are as fast as trained ones; `tests/network/test_fused.py` tests with trained ones
that "fast" keeps every top-5.

- `forward-fp32`: in float32, the slowest of the three variants.
- `forward-fp32-onnxruntime`: the `googlenet` variant against onnxruntime with the same weights.
- `forward-fp32-openvino`: the same against OpenVINO in float32, which also returns all block outputs.
- `forward-fast-openvino`: the fastest precision against OpenVINO's.
- `forward-fast`: in the fastest precision that keeps every top-5, the slowest variant.
- `forward-batch16`: the same for a batch of 16 photos, per photo.

The rows that are compared with torchvision also show the arithmetic limit (`Row.limit`).
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

from .measure import Row, arithmetic_limit, compare, machine
from .peers import CLASSES, caffe_onnx, noise, onnxruntime_forward, openvino_forward, torchvision_forward

BOUNDS = {
    "forward-fp32": 0.42,
    "forward-fp32-onnxruntime": 0.8,
    "forward-fp32-openvino": 1.05,
    "forward-fast-openvino": 1.05,
    "forward-fast": 0.3,
    "forward-batch16": 0.25,
}
BATCH = 16


def traced_forward(engine: InceptionV1, photos: int = 1) -> Callable[[], object]:
    """Return a function that runs a forward pass and returns all block outputs."""
    inputs = noise(photos).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> object:
        return engine.trace(inputs)

    return run


def rows(rounds: int = 15) -> list[Row]:
    peer = torchvision_forward()
    exact_rows, fast_rows, batch_rows = [], [], []
    for variant in VARIANTS:
        torch.manual_seed(0)
        model = InceptionV1(variant=variant, classes=CLASSES).eval()
        exact, fast = engines_of(model)
        exact_rows.append(_row("forward-fp32", traced_forward(exact), peer, rounds))
        fast_rows.append(_row("forward-fast", traced_forward(fast), peer, rounds))
        batch_rows.append(_row("forward-batch16", traced_forward(fast, BATCH), peer, rounds, BATCH))
    multiplications = published_size().multiplications
    exact_limit = arithmetic_limit(multiplications, peer)
    fast_limit = min(exact_limit, arithmetic_limit(multiplications, peer, HALF))
    return [
        replace(_slowest(exact_rows), limit=exact_limit),
        *runtime_rows(rounds),
        replace(_slowest(fast_rows), limit=fast_limit),
        replace(_slowest(batch_rows), limit=fast_limit),
    ]


def engines_of(model: InceptionV1) -> tuple[InceptionV1, InceptionV1]:
    """Return the engines of a server after compilation, in float32 and with `--precision fast`."""
    exact = fused_engine(model)
    # As in a server, chosen before either of the two is compiled.
    fast = fast_engine(model, exact)
    compile_engines(model, exact, fast)
    return exact, fast


def runtime_rows(rounds: int) -> list[Row]:
    """Compare with onnxruntime and OpenVINO, with the weights of one ONNX file."""
    with TemporaryDirectory() as folder:
        file = caffe_onnx(Path(folder) / "googlenet.onnx")
        model = InceptionV1(variant="googlenet", classes=CLASSES).eval()
        weights = convert.rename_tensors(convert.read_onnx(file), convert.caffe_names(), source=file.name)
        convert.load_state(model, weights, source=file.name)
        exact, fast = engines_of(model)
        return [
            _row("forward-fp32-onnxruntime", traced_forward(exact), onnxruntime_forward(file), rounds),
            _row("forward-fp32-openvino", traced_forward(exact), openvino_forward(file, "f32"), rounds),
            _row("forward-fast-openvino", traced_forward(fast), openvino_forward(file, "bf16"), rounds),
        ]


def _row(name: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int, photos: int = 1) -> Row:
    return compare(name, ours, peer, bound=BOUNDS[name], rounds=rounds, batch_size=photos)


def _slowest(rows: list[Row]) -> Row:
    return max(rows, key=lambda row: row.ratio)


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
