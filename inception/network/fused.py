"""Fused copy of a network for inference.

`fused_engine(model)` has the same stages as `model`, with outputs equal to about 1e-4: BatchNorm is folded into the
convolutions, which apply the ReLU themselves and store their weights in oneDNN's preferred layout; max pools are
element-wise maxima, and local response normalisation is a convolution. Tests compare it with the plain model.

`fused_engine(model, HALF)` computes most layers in bfloat16: about a third faster on processors with bfloat16
instructions, with logits accurate to about 0.05. `fast_engine` uses it only where it is measured to be faster.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache, partial
from time import perf_counter
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .blocks import ConvUnit, cell_count, side_of
from .copies import empty_batch, plain_copy
from .inception_v1 import InceptionV1

FULL, HALF = torch.float32, torch.bfloat16
# These layers take little time, and their rounding errors pass through the whole network: with them in bfloat16, two
# of 24 photos change the order of their top five classes; without, none does.
ALWAYS_FULL = ("conv1", "conv2_reduce")
MAX_TIME_RATIO = 0.9  # of HALF to FULL; a smaller gain does not justify the loss of precision


def fused_engine(model: InceptionV1, precision: torch.dtype = FULL) -> InceptionV1:
    """Return a fused copy of `model` in evaluation mode, without gradients, on the same device.

    The copy is float32, whatever type `model` has, and does not follow later changes of `model`'s weights. With
    `precision` `HALF` block outputs are bfloat16; logits are always float32.
    """
    # Tensors made in inference mode can never take part in a gradient.
    with torch.inference_mode(False):
        return _fused_copy(model, precision)


def fast_engine(model: InceptionV1, full: InceptionV1) -> InceptionV1:
    """Return the fused copy of `model` in `HALF` if a few timed passes show it to be faster than `full`; else `full`.

    Processors without bfloat16 instructions emulate them and take several times as long.
    """
    half = fused_engine(model, HALF)
    photo = torch.zeros(1, *model.input_shape, device=next(model.parameters()).device)
    return half if shortest_pass(half, photo) < MAX_TIME_RATIO * shortest_pass(full, photo) else full


@torch.inference_mode()
def shortest_pass(engine: InceptionV1, photo: Tensor, passes: int = 4) -> float:
    """Time `passes` forward passes and return the shortest in seconds, not counting the first."""
    times = []
    for _ in range(passes):
        begin = perf_counter()
        engine.trace(photo)
        _wait_for(photo.device)
        times.append(perf_counter() - begin)
    return min(times[1:])


def _wait_for(device: torch.device) -> None:
    """Wait until a GPU has computed what was submitted to it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _fused_copy(model: InceptionV1, precision: torch.dtype) -> InceptionV1:
    engine = plain_copy(model).to(memory_format=torch.channels_last)
    device = next(engine.parameters()).device
    for name, input_shape in _input_shapes(engine).items():
        keep_full = name.removeprefix("stem.") in ALWAYS_FULL
        replacement = _replacement(engine.get_submodule(name), input_shape, device, FULL if keep_full else precision)
        if replacement is not None:
            parent, _, child = name.rpartition(".")
            engine.get_submodule(parent)._modules[child] = replacement
    if device.type == "cpu":
        engine._modules["stem"] = PerPhotoStem(engine.stem)
    if engine.head is not None and precision != FULL:
        engine.head = nn.Sequential(OrderedDict([("full", ToFloat32()), *engine.head.named_children()]))
    return engine


def _replacement(
    module: nn.Module, input_shape: Sequence[int], device: torch.device, precision: torch.dtype
) -> nn.Module | None:
    """Return the fast form of a module whose input is (N, C, H, W), or None if it stays as it is."""
    if isinstance(module, nn.LocalResponseNorm):
        return ConvolutionalLRN(module, input_shape[1], device)
    if isinstance(module, nn.MaxPool2d):
        return ElementwiseMaxPool(module) if device.type == "cpu" else None
    assert isinstance(module, ConvUnit)
    if not module.preact:
        return FusedUnit(module, input_shape, precision)
    # Pre-activation units start with the BatchNorm, which cannot be folded into the convolution.
    return None if precision == FULL else Float32Unit(module)


def _input_shapes(model: InceptionV1) -> dict[str, tuple[int, ...]]:
    """Return the input shapes for one photo of the modules to replace, at the model's input shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        module.register_forward_pre_hook(partial(_record_shape, shapes, name))
        for name, module in model.named_modules()
        if isinstance(module, ConvUnit | nn.LocalResponseNorm | nn.MaxPool2d)
    ]
    with torch.inference_mode():
        model.trace(empty_batch(model, model.input_shape))
    for hook in hooks:
        hook.remove()
    return shapes


def _record_shape(shapes: dict[str, tuple[int, ...]], name: str, _: nn.Module, inputs: tuple[Tensor]) -> None:
    shapes[name] = (1, *inputs[0].shape[1:])


class FusedUnit(nn.Module):
    """Convolution with folded BatchNorm and ReLU, (N, C_in, H, W) to (N, C_out, H, W).

    `input_shape` is the usual shape of the input; it only determines the layout of the weights.
    """

    def __init__(self, unit: ConvUnit, input_shape: Sequence[int], precision: torch.dtype = FULL) -> None:
        super().__init__()
        conv = unit.conv
        weight, bias = fold_batchnorm(conv, unit.norm)
        self.bias = bias.to(precision)
        self.weight = weight.to(precision).contiguous(memory_format=torch.channels_last)
        self.stride, self.padding = list(conv.stride), [conv.kernel_size[0] // 2] * 2
        self.packed: Tensor | None = None
        self.packed_transposed: Tensor | None = None
        if weight.device.type == "cpu" and has_fused_convolution(precision):
            self.packed = packed_weight(self.weight, self.padding, self.stride, input_shape)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.weight.dtype)
        if self.packed is None or (x.requires_grad and self.stride != [1, 1]):
            return F.relu(F.conv2d(x, self.weight, self.bias, self.stride, self.padding))
        if x.requires_grad:
            return cast(Tensor, _FusedConvolution.apply(x, self))
        return self.fused(x)

    def fused(self, x: Tensor) -> Tensor:
        """Return the output, by an operator that has no gradient."""
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.packed, self.bias, self.padding, self.stride, [1, 1], 1, "relu", [], ""
        )

    def transposed(self, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to the input, given that of the convolution's output; stride 1 only."""
        if self.packed_transposed is None:
            weight = self.weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
            self.packed_transposed = packed_weight(weight, self.padding, self.stride, gradient.shape)
        return torch.ops.mkldnn._convolution_pointwise(
            gradient, self.packed_transposed, None, self.padding, self.stride, [1, 1], 1, "none", [], ""
        )


class _FusedConvolution(torch.autograd.Function):
    """A `FusedUnit` with a gradient, which is a convolution with packed weights too.

    PyTorch's own backward pass rearranges the weights each time, and for one photo runs most 3x3 convolutions without
    oneDNN: forward and backward together take a third longer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, unit: FusedUnit) -> Tensor:
        y = unit.fused(x)
        ctx.save_for_backward(y)
        ctx.unit = unit
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return ctx.unit.transposed(torch.ops.aten.threshold_backward(gradient, y, 0)), None


def packed_weight(weight: Tensor, padding: list[int], stride: list[int], input_shape: Sequence[int]) -> Tensor:
    """Return a convolution's weight in oneDNN's layout for inputs (N, C, H, W)."""
    return torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, [1, 1], 1, list(input_shape))


def fold_batchnorm(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a convolution that computes `norm(conv(x))`, with statistics as in evaluation."""
    weight = conv.weight
    bias = torch.zeros(conv.out_channels, device=weight.device) if conv.bias is None else conv.bias
    if norm is None or norm.running_mean is None or norm.running_var is None:
        return weight.detach().clone(), bias.detach().clone()
    # In float64, so that folding adds a single rounding; on the CPU, because not every device has float64.
    statistics = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    gamma, beta, mean, variance = (_host_float64(tensor) for tensor in statistics)
    scale = gamma / torch.sqrt(variance + norm.eps)
    shifted = (_host_float64(bias) - mean) * scale + beta
    scaled = _host_float64(weight) * scale.view(-1, 1, 1, 1)
    return scaled.to(weight.dtype).to(weight.device), shifted.to(weight.dtype).to(weight.device)


def _host_float64(tensor: Tensor) -> Tensor:
    """Return a float64 copy on the CPU; of a meta tensor, which has no data to copy, a meta tensor."""
    return (tensor.detach() if tensor.is_meta else tensor.detach().cpu()).double()


@cache
def has_fused_convolution(precision: torch.dtype = FULL) -> bool:
    """Return whether this PyTorch has oneDNN's fused convolution and ReLU for `precision` on this processor.

    The operator is internal to torch.compile and may change, and bfloat16 needs instructions that many processors lack.
    """
    try:
        x, weight = torch.ones(1, 2, 4, 4, dtype=precision), torch.ones(3, 2, 1, 1, dtype=precision)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, (0, 0), (1, 1), (1, 1), 1, [1, 2, 4, 4])
        output = torch.ops.mkldnn._convolution_pointwise(
            x, packed, torch.full((3,), -5.0, dtype=precision), (0, 0), (1, 1), (1, 1), 1, "relu", [], ""
        )
        plain = torch.ops.mkldnn._convolution_pointwise(x, packed, None, (0, 0), (1, 1), (1, 1), 1, "none", [], "")
    # Another build of PyTorch may raise anything; the plain convolution always works.
    except Exception:
        return False
    return output.shape == plain.shape == (1, 3, 4, 4) and bool((output == 0).all() and (plain == 2).all())


class ConvolutionalLRN(nn.Module):
    """Local response normalisation whose sum over adjacent channels is a 1x1 convolution with a band matrix."""

    def __init__(self, norm: nn.LocalResponseNorm, channels: int, device: torch.device) -> None:
        super().__init__()
        channel = torch.arange(channels, device=device)
        offset = channel[None] - channel[:, None]
        inside = (offset >= -(norm.size // 2)) & (offset <= (norm.size - 1) // 2)
        band = inside.float() * (norm.alpha / norm.size)
        self.band = band[:, :, None, None].contiguous(memory_format=torch.channels_last)
        self.k = torch.full((channels,), float(norm.k), device=device)
        self.beta = norm.beta

    def forward(self, x: Tensor) -> Tensor:
        total = F.conv2d(x.square(), self.band.to(x.dtype), self.k.to(x.dtype))
        if x.requires_grad:
            return x * total.pow(-self.beta)
        # In place, because allocating memory would take longer than computing.
        if self.beta == 0.75:
            # x^-0.75 by two square roots, which are much cheaper than a power.
            total.rsqrt_()
            return total.mul_(total.sqrt()).mul_(x)
        return total.pow_(-self.beta).mul_(x)


class PerPhotoStem(nn.Module):
    """The stem applied to one photo at a time, so that its activations stay in the processor's cache."""

    def __init__(self, stem: nn.Sequential) -> None:
        super().__init__()
        self.stem = stem

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            return self.stem(x)
        return torch.cat([self.stem(photo) for photo in torch.split(x, 1)])


class ToFloat32(nn.Module):
    """Conversion to float32."""

    def forward(self, x: Tensor) -> Tensor:
        return x.to(FULL)


class Float32Unit(nn.Module):
    """A unit that cannot be fused, computed in float32."""

    def __init__(self, unit: nn.Module) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(x.to(FULL))


class ElementwiseMaxPool(nn.Module):
    """Max pooling as element-wise maxima of shifted maps: the same values, and three times as fast for batches.

    PyTorch's max pooling also records each maximum's position, which only a gradient needs.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool
        self.kernel, self.stride, self.padding = (
            side_of(value) for value in (pool.kernel_size, pool.stride, pool.padding)
        )
        # With both, the second cell of the last window may already lie outside the map.
        self.supported = not (pool.ceil_mode and self.padding)

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad or not self.supported or not x.is_contiguous(memory_format=torch.channels_last):
            return self.pool(x)
        return self._pool_axis(self._pool_axis(x, 3), 2)

    def _pool_axis(self, x: Tensor, axis: int) -> Tensor:
        length, step = x.shape[axis], self.stride
        count = cell_count(self.pool, length)
        # Shift 0 is inside the map for every window; other shifts may fall into the padding.
        y = _strided(x, axis, 0, step, count).clone(memory_format=torch.channels_last)
        for shift in range(-self.padding, self.kernel - self.padding):
            first = -(min(shift, 0) // step)
            last = min(count, (length - 1 - shift) // step + 1)
            if shift and first < last:
                part = y.narrow(axis, first, last - first)
                torch.maximum(part, _strided(x, axis, first * step + shift, step, last - first), out=part)
        return y


def _strided(x: Tensor, axis: int, first: int, step: int, count: int) -> Tensor:
    """Return `count` slices of an axis from `first` on, `step` apart."""
    index = [slice(None)] * x.dim()
    index[axis] = slice(first, first + step * (count - 1) + 1, step)
    return x[tuple(index)]
