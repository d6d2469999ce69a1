"""Peers for comparison: torchvision's network, onnxruntime, OpenVINO, and hooks with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from inception.network.blocks import BLOCKS, BRANCHES

SIDE, CLASSES = 224, 1000


def noise(photos: int = 1) -> torch.Tensor:
    """Return noise (photos, 3, 224, 224), which serves as photos for networks with random weights."""
    return torch.randn(photos, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def torchvision_googlenet() -> torch.nn.Module:
    """Build torchvision's googlenet in evaluation mode, with random weights."""
    from torchvision.models import googlenet

    return googlenet(weights=None, aux_logits=False, init_weights=False, num_classes=CLASSES).eval()


def torchvision_forward() -> Callable[[], object]:
    """Return a forward pass of torchvision's googlenet, eager, in float32, on one photo: the unit of most rows."""
    model, photo = torchvision_googlenet(), noise()

    @torch.inference_mode()
    def forward() -> object:
        return model(photo)

    return forward


def onnxruntime_forward(path: Path) -> Callable[[], object]:
    """Return a forward pass of an ONNX file with onnxruntime's defaults, on one photo; it outputs only the logits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Otherwise its threads keep spinning for a while and take a core from the next measurement.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: noise().numpy()}
    logits = session.get_outputs()[-1].name
    return lambda: session.run([logits], inputs)


def openvino_forward(path: Path, precision: str) -> Callable[[], object]:
    """Return a forward pass of an ONNX file with OpenVINO, on one photo, with all block outputs copied.

    `precision` is "f32" or "bf16"; a processor without bfloat16 instructions computes both in float32.
    """
    import openvino

    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    core = openvino.Core()
    model = core.read_model(path)
    model.add_outputs([f"inception_{block}/output_1" for block in BLOCKS])
    request = core.compile_model(model, "CPU", options).create_infer_request()
    inputs = noise().numpy()
    return lambda: [values.copy() for values in request.infer({0: inputs}, share_outputs=True).values()]


def hooks_and_matplotlib() -> Callable[[], list[bytes]]:
    """Return the usual way to view a block: forward hooks, and a grid of axes for each branch of 4a, as PNG files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    model, photo = torchvision_googlenet(), noise()
    outputs: dict[str, torch.Tensor] = {}
    for number, branch in enumerate(BRANCHES, start=1):
        module = model.inception4a.get_submodule(f"branch{number}")
        module.register_forward_hook(lambda _, __, output, branch=branch: outputs.update({branch: output}))

    @torch.inference_mode()
    def draw() -> list[bytes]:
        model(photo)
        sheets = []
        for maps in outputs.values():
            channels = maps[0].numpy()
            figure, axes = pyplot.subplots(-(-len(channels) // 12), 12, squeeze=False, figsize=(12, len(channels) / 12))
            for axis in axes.flat:
                axis.axis("off")
            for axis, channel in zip(axes.flat, channels, strict=False):
                axis.imshow(channel)
            file = io.BytesIO()
            figure.savefig(file, format="png")
            pyplot.close(figure)
            sheets.append(file.getvalue())
        return sheets

    return draw


def caffe_onnx(path: Path, *, seed: int = 0, with_shape_constant: bool = True) -> Path:
    """Write a GoogLeNet with random weights and the ONNX model zoo's names, without the package's code."""
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []

    def tensor(name: str, values: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(x: str, name: str, cin: int, cout: int, kernel: int, stride: int = 1) -> str:
        scale = (2 / (cin * kernel * kernel)) ** 0.5
        weight = tensor(f"{name}_w_0", rng.standard_normal((cout, cin, kernel, kernel)) * scale)
        bias = tensor(f"{name}_b_0", rng.uniform(-0.1, 0.1, cout))
        pads = [kernel // 2] * 4
        nodes.append(
            helper.make_node(
                "Conv", [x, weight, bias], [f"{name}_1"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads
            )
        )
        nodes.append(helper.make_node("Relu", [f"{name}_1"], [f"{name}_2"]))
        return f"{name}_2"

    def pool(x: str, name: str, stride: int, pads: list[int]) -> str:
        nodes.append(helper.make_node("MaxPool", [x], [name], kernel_shape=[3, 3], strides=[stride] * 2, pads=pads))
        return name

    def norm(x: str, name: str) -> str:
        nodes.append(helper.make_node("LRN", [x], [name], size=5, alpha=1e-4, beta=0.75, bias=1.0))
        return name

    shrink = [0, 0, 1, 1]  # equals ceil mode for the even sizes of a 224 pixel photo
    x = conv("data_0", "conv1/7x7_s2", 3, 64, 7, 2)
    x = norm(pool(x, "pool1", 2, shrink), "norm1")
    x = conv(x, "conv2/3x3_reduce", 64, 64, 1)
    x = norm(conv(x, "conv2/3x3", 64, 192, 3), "norm2")
    x = pool(x, "pool2", 2, shrink)
    outputs = []
    for block, (cin, n1, (r3, n3), (r5, n5), proj) in BLOCKS.items():
        if block in ("4a", "5a"):
            x = pool(x, f"pool_before_{block}", 2, shrink)
        at = f"inception_{block}"
        branches = [
            conv(x, f"{at}/1x1", cin, n1, 1),
            conv(conv(x, f"{at}/3x3_reduce", cin, r3, 1), f"{at}/3x3", r3, n3, 3),
            conv(conv(x, f"{at}/5x5_reduce", cin, r5, 1), f"{at}/5x5", r5, n5, 5),
            conv(pool(x, f"{at}/pool", 1, [1] * 4), f"{at}/pool_proj", cin, proj, 1),
        ]
        x = f"{at}/output_1"
        nodes.append(helper.make_node("Concat", branches, [x], axis=1))
        outputs.append(x)
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["average"]))
    nodes.append(helper.make_node("Flatten", ["average"], ["flat"]))
    weight = tensor("loss3/classifier_w_0", rng.standard_normal((1000, 1024)) * (1 / 1024) ** 0.5)
    bias = tensor("loss3/classifier_b_0", rng.uniform(-0.1, 0.1, 1000))
    nodes.append(helper.make_node("Gemm", ["flat", weight, bias], ["loss3/classifier_1"], transB=1))
    outputs.append("loss3/classifier_1")
    if with_shape_constant:
        tensors.append(numpy_helper.from_array(np.array([-1, 1024], dtype=np.int64), "OC2_DUMMY_1"))
    graph = helper.make_graph(
        nodes,
        "googlenet",
        [helper.make_tensor_value_info("data_0", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8), path)
    return path
