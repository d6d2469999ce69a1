"""Trace of one convolution: every number between a layer's input and one cell of its output."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from ..checks import choice
from ..network.blocks import BRANCHES, ConvUnit
from ..network.inception_v1 import STAGES, stage_of
from ..prediction import Prediction, intermediates
from ..pretrained.pretrained import PretrainedModel
from .masking import check_channel
from .receptive_field import check_cell


@dataclass(frozen=True)
class Product:
    """One weight of a kernel times the input value at its position; `row` and `column` are those in the kernel."""

    input_channel: int
    row: int
    column: int
    value: float
    weight: float
    product: float


@dataclass(frozen=True)
class Affine:
    """BatchNorm in evaluation mode for one channel: `scale` * x + `shift`."""

    scale: float
    shift: float


@dataclass(frozen=True, eq=False)
class ConvolutionTrace:
    """How the value of one cell of one channel is computed, in float64; arrays are read-only.

    `patch` (C_in, k, k) is the convolution's input, zero outside the map, and `kernel` (C_in, k, k) its weights.
    `inside` (k, k) marks the positions inside the map; the others have no products. `products` are the largest of
    `count` by absolute value, in descending order, and `others` is the sum of the rest.

    The products and the `bias` (0 if the layer has none) add up to `sum`. BatchNorm (`affine`) turns it into
    `normalised`, ReLU into `relu`; a step that the layer lacks is None. `preact` layers end with `sum`: their BatchNorm
    and ReLU are applied before the convolution and are included in `patch`. `value` is the cell of the map, float32.
    """

    block: str
    branch: str
    layer: str
    channel: int  # of the layer; for a branch's last layer that is the channel within the branch
    row: int
    column: int
    preact: bool
    patch: np.ndarray = field(repr=False)
    kernel: np.ndarray = field(repr=False)
    inside: np.ndarray = field(repr=False)
    products: tuple[Product, ...] = field(repr=False)
    others: float
    bias: float
    sum: float
    affine: Affine | None
    normalised: float | None
    relu: float | None
    value: float

    @property
    def kernel_side(self) -> int:
        """Side of the kernel: 3 for 3x3."""
        return self.kernel.shape[-1]

    @property
    def count(self) -> int:
        """Number of products: positions inside the map times input channels."""
        return len(self.kernel) * int(self.inside.sum())

    @property
    def result(self) -> float:
        """The computed value; equals `value` up to float32 rounding."""
        return self.sum if self.relu is None else self.relu


def convolutions(branch: str) -> tuple[str, ...]:
    """Return the convolutions of a branch, in order, for instance "3x3_reduce" and "3x3".

    Raises:
        ChoiceError: if there is no such branch.
    """
    layers = BRANCHES[choice("branch", branch, tuple(BRANCHES))]
    return tuple(layer for layer in layers if layer != "pool")


def trace_convolution(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    branch: str,
    channel: int,
    row: int,
    column: int,
    layer: str | None = None,
    maximum: int = 10,
) -> ConvolutionTrace:
    """Recompute one cell of one channel from the layer's input, step by step.

    Args:
        layer: one of `convolutions(branch)`; the last one by default, whose output is the branch's.
        maximum: how many products to list.

    Raises:
        ChoiceError: if there is no such block, branch or layer.
        CellError: if the map has no such cell.
        ExplanationError: if the layer has no such channel.
    """
    known = convolutions(branch)
    layer = known[-1] if layer is None else choice("layer", layer, known)
    maps, inputs = _maps(pretrained, prediction, block, branch, layer)
    channels, height, width = maps.shape
    channel = check_channel(f"{block}/{layer}", channel, channels)
    row, column = check_cell(f"{block}/{layer}", row, column, height, width)

    unit = pretrained.model.block(block)[layer]
    assert isinstance(unit, ConvUnit)
    conv, norm, preact = unit.conv, unit.norm, unit.preact
    scales, shifts = (np.ones(1), np.zeros(1)) if norm is None else _affine(norm)
    if preact:
        inputs = np.maximum(inputs * scales[:, None, None] + shifts[:, None, None], 0)
    affine = None if preact or norm is None else Affine(float(scales[channel]), float(shifts[channel]))

    kernel = _numbers(conv.weight)[channel]
    side = kernel.shape[-1]
    patch, inside = _patch(inputs, row, column, side)
    products = patch * kernel
    bias = 0.0 if conv.bias is None else float(_numbers(conv.bias)[channel])
    total = float(products.sum()) + bias
    normalised = None if affine is None else affine.scale * total + affine.shift
    before = total if normalised is None else normalised
    largest = _largest(products, inside, maximum)
    for array in (patch, kernel, inside):
        array.flags.writeable = False
    return ConvolutionTrace(
        block=block,
        branch=branch,
        layer=layer,
        channel=channel,
        row=row,
        column=column,
        preact=preact,
        patch=patch,
        kernel=kernel,
        inside=inside,
        products=tuple(
            Product(*place, float(patch[place]), float(kernel[place]), float(products[place])) for place in largest
        ),
        others=float(products.sum() - sum(products[place] for place in largest)),
        bias=bias,
        sum=total,
        affine=affine,
        normalised=normalised,
        relu=None if preact else max(before, 0.0),
        value=float(maps[channel, row, column]),
    )


def _maps(
    pretrained: PretrainedModel, prediction: Prediction, block: str, branch: str, layer: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's output as predicted, and its input in float64, both (C, H, W)."""
    maps = prediction.branch(block, branch)
    before = prediction.stages[STAGES[STAGES.index(stage_of(block)) - 1]]
    layers = BRANCHES[branch]
    if len(layers) == 1:
        return maps, before.astype(np.float64)
    inside = intermediates(pretrained, prediction, block)
    if layer == layers[0]:
        return inside[layer], before.astype(np.float64)
    return maps, inside[layers[0]].astype(np.float64)


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    # To the CPU first: not every device has float64. A copy, so that callers cannot change the model.
    return tensor.detach().cpu().to(torch.float64, copy=True).numpy()


def _affine(norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Return scale (C,) and shift (C,) of BatchNorm in evaluation mode."""
    numbers = {name: _numbers(tensor) for name, tensor in norm.state_dict().items()}
    scales = numbers["weight"] / np.sqrt(numbers["running_var"] + norm.eps)
    return scales, numbers["bias"] - numbers["running_mean"] * scales


def _patch(inputs: np.ndarray, row: int, column: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the input (C, side, side) under a kernel centred on a cell, and a mask of the positions inside the map."""
    _, height, width = inputs.shape
    reach = side // 2
    rows, columns = np.arange(row - reach, row + reach + 1), np.arange(column - reach, column + reach + 1)
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    covered = inputs[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
    return np.where(inside, covered, 0.0), inside


def _largest(products: np.ndarray, inside: np.ndarray, maximum: int) -> list[tuple[int, int, int]]:
    """Return input channel, row and column of the largest products by absolute value, in descending order."""
    sizes = np.where(inside, np.abs(products), -1.0).ravel()
    order = np.argsort(-sizes, kind="stable")[: min(max(maximum, 0), int((sizes >= 0).sum()))]
    places = np.stack(np.unravel_index(order, products.shape), axis=1)
    return [(int(place[0]), int(place[1]), int(place[2])) for place in places]
