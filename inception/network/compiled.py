"""Stages of a fused network compiled by OpenVINO, for the CPU.

`compile_stages(engine, model)` replaces how each stage of `engine` computes and leaves its interface as it is: stages
take and return the same tensors (float32, channels last), and whatever OpenVINO was not compiled for - gradients, other
sizes, other types - runs in PyTorch as before. Each stage is compiled by itself, so that a pass may start anywhere and
the weights are in memory once. Tests compare the results with the plain model's, to 1e-4.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .blocks import BRANCHES, InceptionBlock
from .inception_v1 import STAGES, InceptionV1

SWITCH = "INCEPTION_ENGINE"  # environment: "torch" or "openvino" instead of a measurement
PASSES = 6  # timed ones of each engine
NOTICEABLE = 0.95  # of PyTorch's time; a smaller gain is not worth a second engine


def compile_where_faster(engine: InceptionV1, model: InceptionV1) -> None:
    """Compile the stages of `engine`, the fused copy of `model`, if a few timed passes show that to be faster.

    The environment variable `INCEPTION_ENGINE` may say "torch" or "openvino" instead. Nothing happens on other devices
    than the CPU and where OpenVINO is not installed.
    """
    wish = os.environ.get(SWITCH, "")
    if wish == "torch" or find_spec("openvino") is None or next(engine.parameters()).device.type != "cpu":
        return
    compiled = compile_stages(engine, model)
    if wish == "openvino":
        return
    photo = torch.zeros(1, *model.input_shape).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        with_openvino = _seconds(engine, photo)
        with eager(compiled):
            alone = _seconds(engine, photo)
    if with_openvino > NOTICEABLE * alone:
        for stage in compiled:
            stage.remove()


def compile_stages(engine: InceptionV1, model: InceptionV1) -> list[CompiledStage]:
    """Compile every stage of `engine` for photos of its input shape, from the modules of `model`; return the stages."""
    shape, compiled = tuple(engine.input_shape), []
    with torch.inference_mode():
        x = torch.zeros(1, *shape)
        for name in STAGES:
            stage = CompiledStage(engine.get_submodule(name), model.get_submodule(name), tuple(x.shape[1:]))
            compiled.append(stage)
            x = stage(x)
    return compiled


@contextmanager
def eager(stages: list[CompiledStage]) -> Iterator[None]:
    """Run stages in PyTorch within the context."""
    for stage in stages:
        stage.remove()
    yield
    for stage in stages:
        stage.insert()


def _seconds(engine: InceptionV1, photo: Tensor) -> float:
    times = []
    for _ in range(PASSES):
        begin = perf_counter()
        engine.trace(photo)
        times.append(perf_counter() - begin)
    return min(times[1:])


class CompiledStage:
    """What a stage's `forward` becomes: (N, C_in, H, W) to (N, C_out, H', W'), for any N and one C_in, H and W.

    Args:
        module: the fused stage, whose `forward` is replaced.
        plain: the same stage of the plain model, which is compiled.
        shape: (C_in, H, W).
    """

    def __init__(self, module: nn.Module, plain: nn.Module, shape: tuple[int, ...]) -> None:
        self.module, self.shape, self.forward = module, shape, module.forward
        self._compiled = _compile(plain, shape)
        self._request = self._compiled.create_infer_request()
        self._lock = Lock()  # a request computes one thing at a time
        _, height, width, channels = self._compiled.output(0).partial_shape
        self._sides = (height.get_length(), width.get_length(), channels.get_length())
        self.insert()

    def insert(self) -> None:
        """Let the module compute in OpenVINO."""
        self.module.forward = self

    def remove(self) -> None:
        """Let the module compute in PyTorch, as before."""
        self.module.__dict__.pop("forward", None)

    def __call__(self, x: Tensor) -> Tensor:
        if x.requires_grad or x.dtype != torch.float32 or tuple(x.shape[1:]) != self.shape or not x.is_cpu:
            return self.forward(x)
        import openvino

        x = x.contiguous(memory_format=torch.channels_last)
        output = np.empty((len(x), *self._sides), np.float32)
        with self._lock:
            self._request.set_input_tensor(openvino.Tensor(x.permute(0, 2, 3, 1).numpy(), shared_memory=True))
            self._request.set_output_tensor(openvino.Tensor(output, shared_memory=True))
            self._request.infer()
        return torch.from_numpy(output).permute(0, 3, 1, 2)


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _compile(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """Return OpenVINO's compiled model of a module, with channels last at both ends."""
    import openvino
    from openvino import opset14 as ops

    parameter = ops.parameter([-1, *shape], np.float32)
    model = openvino.Model([ops.result(_node(module, parameter))], [parameter])
    steps = openvino.preprocess.PrePostProcessor(model)
    for end in (steps.input(), steps.output()):
        end.model().set_layout(openvino.Layout("NCHW"))
        end.tensor().set_layout(openvino.Layout("NHWC"))
    options = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    return _core().compile_model(steps.build(), "CPU", options)


def _node(module: nn.Module, x: Any) -> Any:
    """Return a module applied to a node of OpenVINO's graph, as a node."""
    from openvino import opset14 as ops

    if isinstance(module, InceptionBlock):
        return ops.concat([_chain((module[layer] for layer in layers), x) for layers in BRANCHES.values()], 1)
    if isinstance(module, nn.Sequential):
        return _chain(module, x)
    if isinstance(module, nn.Conv2d):
        padding = [module.kernel_size[0] // 2] * 2
        y = ops.convolution(x, _constant(module.weight), list(module.stride), padding, padding, [1, 1])
        return y if module.bias is None else ops.add(y, _per_channel(module.bias))
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_mean is not None
        assert module.running_var is not None
        # In float64, so that there is a single rounding.
        scale = module.weight.double() / torch.sqrt(module.running_var.double() + module.eps)
        shift = module.bias.double() - module.running_mean.double() * scale
        return ops.add(ops.multiply(x, _per_channel(scale)), _per_channel(shift))
    if isinstance(module, nn.MaxPool2d):
        kernel, stride, padding = ([_side(one)] * 2 for one in (module.kernel_size, module.stride, module.padding))
        rounding = "ceil_torch" if module.ceil_mode else "floor"
        return ops.max_pool(x, stride, [1, 1], padding, padding, kernel, rounding).output(0)
    if isinstance(module, nn.LocalResponseNorm):
        return ops.lrn(x, ops.constant(np.array([1])), module.alpha, module.beta, module.k, module.size)
    assert isinstance(module, nn.ReLU)
    return ops.relu(x)


def _chain(modules: Iterable[nn.Module], x: Any) -> Any:
    for module in modules:
        x = _node(module, x)
    return x


def _constant(values: Tensor) -> Any:
    from openvino import opset14 as ops

    return ops.constant(values.detach().float().contiguous().numpy())


def _per_channel(values: Tensor) -> Any:
    return _constant(values.view(1, -1, 1, 1))


def _side(value: Any) -> int:
    return value if isinstance(value, int) else int(value[0])
