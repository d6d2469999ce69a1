"""The same network, made to answer fast: what runs when somebody waits.

`engine_of(model)` is a copy whose traces have the same names and, to 1e-4, the same numbers:
BatchNorm is folded into the convolutions, each convolution does its ReLU itself and has its
weights in the order that the processor's library (oneDNN) likes best, max pools are element-wise
maxima, and local response normalisation is a convolution. The plain model stays the oracle.

`engine_of(model, HALF)` computes most of it in bfloat16: about a third faster still where the
processor has instructions for that, and right to about 0.05 in a logit. `Pretrained.fast_engine`
takes it only where it proves faster.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache, partial
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvUnit
from .copies import copy_module
from .inception_v1 import InceptionV1

FULL, HALF = torch.float32, torch.bfloat16
# Their part of the work is small, and what they round away goes through the whole network: with them in
# bfloat16, two of 24 photos change the order of their first five answers; without, none.
ALWAYS_FULL = ("conv1", "conv2_reduce")
WORTH_IT = 0.9  # of the time with FULL: less is not worth the digits


def fused_engine(model: InceptionV1, precision: torch.dtype = FULL) -> InceptionV1:
    """A copy of `model` for answering: in evaluation, without gradients, on the same device.

    It does not follow later changes of `model`'s weights. `precision` is `FULL` or `HALF`; logits
    are float32 with either, block outputs are what `precision` says.
    """
    # What is made in inference mode could never again take part in a gradient.
    with torch.inference_mode(False):
        return _engine_of(model, precision)


def fast_engine(model: InceptionV1, full: InceptionV1) -> InceptionV1:
    """The copy of `model` in `HALF` where a measurement of a few passes finds it faster than `full`; else `full`.

    Without instructions for bfloat16 a processor takes several times as long with it.
    """
    half = fused_engine(model, HALF)
    photo = torch.zeros(1, *model.input_shape, device=next(model.parameters()).device)
    return half if _seconds(half, photo) < WORTH_IT * _seconds(full, photo) else full


@torch.inference_mode()
def _seconds(engine: InceptionV1, photo: Tensor, passes: int = 4) -> float:
    """Of the shortest of a few forward passes, the first of which does not count."""
    taken = []
    for _ in range(passes):
        begin = perf_counter()
        engine.trace(photo)
        if photo.device.type == "cuda":
            torch.cuda.synchronize(photo.device)
        taken.append(perf_counter() - begin)
    return min(taken[1:])


def _engine_of(model: InceptionV1, precision: torch.dtype) -> InceptionV1:
    engine = copy_module(model).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    device = next(engine.parameters()).device
    for name, given in _given(engine).items():
        kept = name.removeprefix("stem.") in ALWAYS_FULL
        made = _made(engine.get_submodule(name), given, device, FULL if kept else precision)
        if made is not None:
            parent, _, own = name.rpartition(".")
            engine.get_submodule(parent)._modules[own] = made
    if device.type == "cpu":
        engine._modules["stem"] = OneByOne(engine.stem)
    if engine.head is not None and precision != FULL:
        engine.head = nn.Sequential(OrderedDict([("full", Full()), *engine.head.named_children()]))
    return engine


def _made(module: nn.Module, given: Sequence[int], device: torch.device, precision: torch.dtype) -> nn.Module | None:
    """What takes the place of a module that is given (N, C, H, W); nothing if it may stay."""
    if isinstance(module, nn.LocalResponseNorm):
        return BandNorm(module, given[1], device)
    if isinstance(module, nn.MaxPool2d):
        return Maxima(module) if device.type == "cpu" else None
    if isinstance(next(module.children()), nn.Conv2d):
        return FusedUnit(module, given, precision)
    return None if precision == FULL else InFull(module)


def _given(model: InceptionV1) -> dict[str, tuple[int, ...]]:
    """What the modules that are replaced take at the model's input shape, from a run without numbers."""
    given: dict[str, tuple[int, ...]] = {}
    plan = copy_module(model, "meta")
    for name, module in plan.named_modules():
        if isinstance(module, ConvUnit | nn.LocalResponseNorm | nn.MaxPool2d):
            module.register_forward_pre_hook(partial(_note, given, name))
    with torch.inference_mode():
        plan.trace(torch.zeros(1, *model.input_shape, device="meta"))
    return given


def _note(given: dict[str, tuple[int, ...]], name: str, _: nn.Module, inputs: tuple[Tensor]) -> None:
    given[name] = tuple(inputs[0].shape)


class FusedUnit(nn.Module):
    """A convolution with its BatchNorm folded in and its ReLU, (N, C_in, H, W) to (N, C_out, H, W).

    `given` is the shape of what the unit usually takes; it only decides in which order the weights lie.
    """

    def __init__(self, unit: nn.Module, given: Sequence[int], precision: torch.dtype = FULL) -> None:
        super().__init__()
        conv = next(layer for layer in unit.children() if isinstance(layer, nn.Conv2d))
        norm = next((layer for layer in unit.children() if isinstance(layer, nn.BatchNorm2d)), None)
        weight, bias = _folded(conv, norm)
        self.bias = bias.to(precision)
        self.weight = weight.to(precision).contiguous(memory_format=torch.channels_last)
        self.stride, self.padding = list(conv.stride), [conv.kernel_size[0] // 2] * 2
        self.packed: Tensor | None = None
        if weight.device.type == "cpu" and has_fused_convolution(precision):
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, [1, 1], 1, list(given)
            )

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.weight.dtype)
        # oneDNN's kernels know no gradient.
        if self.packed is None or x.requires_grad:
            return F.relu(F.conv2d(x, self.weight, self.bias, self.stride, self.padding))
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.packed, self.bias, self.padding, self.stride, [1, 1], 1, "relu", [], ""
        )


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor]:
    weight = conv.weight
    bias = torch.zeros(conv.out_channels, device=weight.device) if conv.bias is None else conv.bias
    if norm is None or norm.running_mean is None or norm.running_var is None:
        return weight.detach().clone(), bias.detach().clone()
    # In float64, so that folding costs no more than one rounding.
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shifted = (bias.double() - norm.running_mean) * scale + norm.bias
    return (weight.double() * scale.view(-1, 1, 1, 1)).to(weight.dtype), shifted.to(weight.dtype)


@cache
def has_fused_convolution(precision: torch.dtype = FULL) -> bool:
    """Whether this PyTorch, on this processor, can convolve and rectify in one step.

    It is its compiler's own operator, which may go, and bfloat16 needs instructions that many processors lack.
    """
    try:
        x, weight = torch.ones(1, 2, 4, 4, dtype=precision), torch.ones(3, 2, 1, 1, dtype=precision)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, (0, 0), (1, 1), (1, 1), 1, [1, 2, 4, 4])
        told = torch.ops.mkldnn._convolution_pointwise(
            x, packed, torch.full((3,), -5.0, dtype=precision), (0, 0), (1, 1), (1, 1), 1, "relu", [], ""
        )
    # Whatever it is that a later or a leaner PyTorch says, the plain way works.
    except Exception:
        return False
    return told.shape == (1, 3, 4, 4) and bool((told == 0).all())


class BandNorm(nn.Module):
    """Local response normalisation: the sum over neighbouring channels is a 1x1 convolution with a band of weights."""

    def __init__(self, norm: nn.LocalResponseNorm, channels: int, device: torch.device) -> None:
        super().__init__()
        number = torch.arange(channels, device=device)
        apart = number[None] - number[:, None]
        near = (apart >= -(norm.size // 2)) & (apart <= (norm.size - 1) // 2)
        band = near.float() * (norm.alpha / norm.size)
        self.band = band[:, :, None, None].contiguous(memory_format=torch.channels_last)
        self.k = torch.full((channels,), float(norm.k), device=device)
        self.beta = norm.beta

    def forward(self, x: Tensor) -> Tensor:
        total = F.conv2d(x.square(), self.band.to(x.dtype), self.k.to(x.dtype))
        if x.requires_grad:
            return x * total.pow(-self.beta)
        # In place: a step that asks for new memory waits longer for it than it computes.
        if self.beta == 0.75:
            # Two square roots are much cheaper than a power.
            total.rsqrt_()
            return total.mul_(total.sqrt()).mul_(x)
        return total.pow_(-self.beta).mul_(x)


class OneByOne(nn.Module):
    """The stem, one photo after the other: what lies between its layers then stays in the processor's cache."""

    def __init__(self, stem: nn.Sequential) -> None:
        super().__init__()
        self.stem = stem

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            return self.stem(x)
        return torch.cat([self.stem(photo) for photo in torch.split(x, 1)])


class Full(nn.Module):
    """Brings what it is given to float32."""

    def forward(self, x: Tensor) -> Tensor:
        return x.to(FULL)


class InFull(nn.Module):
    """A unit that cannot be fused, in float32 whatever comes."""

    def __init__(self, unit: nn.Module) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(x.to(FULL))


class Maxima(nn.Module):
    """A max pool as element-wise maxima of shifted maps: exactly the same, and three times as fast for many photos.

    PyTorch's own also notes where each maximum was, which only a gradient needs.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool
        self.kernel, self.stride, self.padding = (
            value if isinstance(value, int) else value[0] for value in (pool.kernel_size, pool.stride, pool.padding)
        )
        # Else a last window may lie beyond the map with its second cell already.
        self.simple = not (pool.ceil_mode and self.padding)

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad or not self.simple or not x.is_contiguous(memory_format=torch.channels_last):
            return self.pool(x)
        return self._along(self._along(x, 3), 2)

    def _along(self, x: Tensor, axis: int) -> Tensor:
        length, step = x.shape[axis], self.stride
        count = _windows(length, self.kernel, step, self.padding, ceil_mode=self.pool.ceil_mode)
        # The cell that a window begins with, or the one behind its padding, is always there.
        y = _every(x, axis, 0, step, count).clone(memory_format=torch.channels_last)
        for shift in range(-self.padding, self.kernel - self.padding):
            first = -(min(shift, 0) // step)
            last = min(count, (length - 1 - shift) // step + 1)
            if shift and first < last:
                part = y.narrow(axis, first, last - first)
                torch.maximum(part, _every(x, axis, first * step + shift, step, last - first), out=part)
        return y


def _windows(length: int, kernel: int, stride: int, padding: int, *, ceil_mode: bool) -> int:
    """How many windows a pool has along an axis, by PyTorch's rule: none may begin beyond the map."""
    room = length + 2 * padding - kernel
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= length + padding else count


def _every(x: Tensor, axis: int, first: int, step: int, count: int) -> Tensor:
    """`count` slices of an axis from `first` on, `step` apart."""
    where = [slice(None)] * x.dim()
    where[axis] = slice(first, first + step * (count - 1) + 1, step)
    return x[tuple(where)]
