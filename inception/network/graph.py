"""Modules as a graph that OpenVINO compiles for the CPU.

The nodes have the precision that the layers of `fused.fused_engine` have: in bfloat16 all convolutions but those of
`ALWAYS_FULL` and of pre-activation units; pools and normalisations take what comes, and the classifier float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..runtime.threads import available_cores
from .blocks import BRANCHES, ConvUnit, InceptionBlock, side_of
from .fused import ALWAYS_FULL, FULL, fold_batchnorm


class Compiled:
    """Modules, one after another, compiled by OpenVINO: from (N, C, H, W) to the output of each, for any N.

    `shape` is (C, H, W) of the input.
    """

    def __init__(self, modules: Sequence[nn.Module], shape: tuple[int, ...], precision: torch.dtype = FULL) -> None:
        self._shape = shape
        self._model = _compile(modules, (1, *shape), precision)
        self._request = self._model.create_infer_request()
        self._lock = Lock()  # a request computes one thing at a time
        self._sides = [tuple(output.shape)[1:] for output in self._model.outputs]

    def takes(self, x: Tensor) -> bool:
        """Return whether it was compiled for such an input, and no gradient is wanted of it."""
        return x.is_cpu and x.dtype == torch.float32 and tuple(x.shape[1:]) == self._shape and not x.requires_grad

    def __call__(self, x: Tensor) -> list[Tensor]:
        samples = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy()
        outputs = [np.empty((len(x), *sides), np.float32) for sides in self._sides]
        with self._lock:
            for one in range(len(x)):
                self._infer(samples[one : one + 1], [output[one : one + 1] for output in outputs])
        tensors = map(torch.from_numpy, outputs)
        return [tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor for tensor in tensors]

    def _infer(self, samples: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
        """Compute one sample (1, ...) into arrays that OpenVINO writes to directly."""
        import openvino

        self._request.set_input_tensor(openvino.Tensor(samples, shared_memory=True))
        for number, output in enumerate(outputs):
            self._request.set_output_tensor(number, openvino.Tensor(output, shared_memory=True))
        self._request.infer()


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _compile(modules: Sequence[nn.Module], shape: tuple[int, ...], precision: torch.dtype) -> Any:
    """Return OpenVINO's compiled model of modules in a row, for inputs (N, C, H, W), with maps' channels last."""
    import openvino
    from openvino import opset14 as ops

    x = parameter = ops.parameter(list(shape), np.float32)
    results = []
    for module in modules:
        x = _node(module, x, precision)
        results.append(ops.result(_converted(x, FULL)))
    steps = openvino.preprocess.PrePostProcessor(openvino.Model(results, [parameter]))
    maps = [number for number, result in enumerate(results) if len(result.shape) == 4]
    for end in (steps.input(), *map(steps.output, maps)):
        end.model().set_layout(openvino.Layout("NCHW"))
        end.tensor().set_layout(openvino.Layout("NHWC"))
    threads = torch.get_num_threads()
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # the nodes say where it is bfloat16
        "PERFORMANCE_HINT": "LATENCY",
        # Pinned threads suffer less from a browser on the same cores; of two replicas with a core each, both would be
        # pinned to the first.
        "ENABLE_CPU_PINNING": threads >= available_cores(),
    }
    return _core().compile_model(steps.build(), "CPU", options)


def _node(module: nn.Module, x: Any, precision: torch.dtype) -> Any:
    """Return a module applied to a node of OpenVINO's graph, as a node."""
    from openvino import opset14 as ops

    if isinstance(module, InceptionBlock):
        branches = [_chain([(layer, module[layer]) for layer in layers], x, precision) for layers in BRANCHES.values()]
        return ops.concat(branches, 1)
    if isinstance(module, ConvUnit):
        return _unit(module, x, precision)
    if isinstance(module, nn.Sequential):
        return _chain(module.named_children(), x, precision)
    if isinstance(module, nn.MaxPool2d):
        kernel, stride, padding = ([side_of(one)] * 2 for one in (module.kernel_size, module.stride, module.padding))
        rounding = "ceil_torch" if module.ceil_mode else "floor"
        return ops.max_pool(x, stride, [1, 1], padding, padding, kernel, rounding).output(0)
    if isinstance(module, nn.LocalResponseNorm):
        return ops.lrn(x, ops.constant(np.array([1])), module.alpha, module.beta, module.k, module.size)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return ops.reduce_mean(_converted(x, FULL), ops.constant(np.array([2, 3])), True)
    if isinstance(module, nn.Flatten):
        return ops.squeeze(x, ops.constant(np.array([2, 3])))
    if isinstance(module, nn.Linear):
        return ops.add(ops.matmul(x, _constant(module.weight), False, True), _constant(module.bias))
    if isinstance(module, nn.Dropout):
        return x
    assert isinstance(module, nn.ReLU)
    return ops.relu(x)


def _chain(modules: Iterable[tuple[str, nn.Module]], x: Any, precision: torch.dtype) -> Any:
    for name, module in modules:
        x = _node(module, x, FULL if name in ALWAYS_FULL else precision)
    return x


def _unit(unit: ConvUnit, x: Any, precision: torch.dtype) -> Any:
    from openvino import opset14 as ops

    if not unit.preact:
        weight, bias = fold_batchnorm(unit.conv, unit.norm)
        return ops.relu(_convolution(unit.conv, weight, bias, x, precision))
    norm = unit.norm
    assert norm is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64, so that there is a single rounding.
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = norm.bias.double() - norm.running_mean.double() * scale
    x = ops.add(ops.multiply(_converted(x, FULL), _per_channel(scale)), _per_channel(shift))
    return _convolution(unit.conv, unit.conv.weight, unit.conv.bias, ops.relu(x), FULL)


def _convolution(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, x: Any, precision: torch.dtype) -> Any:
    from openvino import opset14 as ops

    padding = [side_of(conv.padding)] * 2
    y = ops.convolution(
        _converted(x, precision), _constant(weight, precision), list(conv.stride), padding, padding, [1, 1]
    )
    return y if bias is None else ops.add(y, _per_channel(bias, precision))


def _per_channel(values: Tensor, precision: torch.dtype = FULL) -> Any:
    return _constant(values.view(1, -1, 1, 1), precision)


def _constant(values: Tensor, precision: torch.dtype = FULL) -> Any:
    from openvino import opset14 as ops

    # Rounded here, because OpenVINO would cut the last bits off instead.
    rounded = values.detach().to(precision).float().contiguous()
    return _converted(ops.constant(rounded.numpy()), precision)


def _converted(x: Any, precision: torch.dtype) -> Any:
    from openvino import opset14 as ops

    name = "f32" if precision == FULL else "bf16"
    return x if x.get_element_type().to_string() == name else ops.convert(x, name)
