"""One convolution, by hand: every number between a layer's input and one cell of its map."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from ..checks import choice, is_whole, spelled
from ..network.blocks import BRANCHES, ConvUnit
from ..network.inception_v1 import STAGES
from ..prediction import Prediction, intermediates
from ..pretrained.pretrained import PretrainedModel
from .masking import ExplanationError
from .receptive_field import check_cell


@dataclass(frozen=True)
class Product:
    """One weight of a kernel times the value that it meets.

    `row` and `column` are the place in the kernel, from 0.
    """

    input_channel: int
    row: int
    column: int
    value: float
    weight: float
    product: float


@dataclass(frozen=True)
class Affine:
    """BatchNorm in evaluation for one channel: x becomes `scale` * x + `shift`."""

    scale: float
    shift: float


@dataclass(frozen=True)
class ConvolutionTrace:
    """How one cell of one channel of a layer comes about. All arithmetic is float64; arrays are read-only.

    `patch` (C_in, k, k) is what the convolution takes, zero where the kernel reaches beyond the
    map, and `kernel` (C_in, k, k) its weights. `inside` (k, k) says where the kernel lies on the map:
    what lies beside it is left out of the products. `products` are the largest by absolute value,
    the largest first, of `count` in all, and `others` is the sum of the rest.

    The products and the `bias` (0 where the layer has none) add up to `sum`. BatchNorm, an `affine`,
    makes it `normalised`, and the ReLU makes that `relu`. A step that the layer does not have is
    None. `preact` layers end with `sum`: their BatchNorm and ReLU come before the convolution, and
    `patch` has been through both. `value` is what the map has in this cell, in float32.
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
        """3 for a 3x3 kernel."""
        return self.kernel.shape[-1]

    @property
    def count(self) -> int:
        """How many products there are: those inside the map, for all input channels."""
        return len(self.kernel) * int(self.inside.sum())

    @property
    def result(self) -> float:
        """What the arithmetic comes to. It agrees with `value` but for the rounding of float32."""
        return self.sum if self.relu is None else self.relu


def convolutions(branch: str) -> tuple[str, ...]:
    """The layers of a branch that convolve, in order, for instance "3x3_reduce" and "3x3".

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
    most: int = 10,
) -> ConvolutionTrace:
    """Compute one cell of one channel again from the layer's input, step by step.

    `layer` is one of `convolutions(branch)`, by default the last one, whose map is the branch's.
    `most` is how many products to tell one by one.

    Raises:
        ChoiceError: if there is no such block, branch or layer.
        CellError: if the map has no such cell.
        ExplanationError: if the layer has no such channel.
    """
    known = convolutions(branch)
    layer = known[-1] if layer is None else choice("layer", layer, known)
    maps, given = _maps(pretrained, prediction, block, branch, layer)
    channels, height, width = maps.shape
    if not is_whole(channel) or not 0 <= channel < channels:
        # The same kind and values as for a block's channels, so that one translation says both.
        raise ExplanationError(
            "explain_channel",
            "There is no channel {channel}; block {block} has the channels 0 to {last}.",
            channel=spelled(channel),
            block=f"{block}/{layer}",
            last=channels - 1,
        )
    check_cell(f"{block}/{layer}", row, column, height, width)

    unit = pretrained.model.block(block)[layer]
    assert isinstance(unit, ConvUnit)
    conv, norm = unit.conv, unit.norm
    preact = next(unit.children()) is not conv
    scales, shifts = (np.ones(1), np.zeros(1)) if norm is None else _affine(norm)
    if preact:
        given = np.maximum(given * scales[:, None, None] + shifts[:, None, None], 0)
    affine = None if preact or norm is None else Affine(float(scales[channel]), float(shifts[channel]))

    kernel = _numbers(conv.weight)[channel]
    side = kernel.shape[-1]
    patch, inside = _patch(given, row, column, side)
    products = patch * kernel
    bias = 0.0 if conv.bias is None else float(_numbers(conv.bias)[channel])
    total = float(products.sum()) + bias
    normalised = None if affine is None else affine.scale * total + affine.shift
    before = total if normalised is None else normalised
    largest = _largest(products, inside, most)
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
    """A layer's map as it was observed, and its input in float64, both (C, H, W)."""
    maps = prediction.branch(block, branch)
    before = prediction.stages[STAGES[STAGES.index(f"inception_{block}") - 1]]
    layers = BRANCHES[branch]
    if len(layers) == 1:
        return maps, before.astype(np.float64)
    inside = intermediates(pretrained, prediction, block)
    if layer == layers[0]:
        return inside[layer], before.astype(np.float64)
    return maps, inside[layers[0]].astype(np.float64)


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    # To the CPU first: not every device has float64. A copy, for the model's own memory is not to be lent out.
    return tensor.detach().cpu().to(torch.float64, copy=True).numpy()


def _affine(norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of each channel, (C,) and (C,), that BatchNorm in evaluation comes to."""
    numbers = {name: _numbers(tensor) for name, tensor in norm.state_dict().items()}
    scales = numbers["weight"] / np.sqrt(numbers["running_var"] + norm.eps)
    return scales, numbers["bias"] - numbers["running_mean"] * scales


def _patch(given: np.ndarray, row: int, column: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """What a kernel (side, side) centred on a cell covers, (C, side, side), and where it is inside the map."""
    _, height, width = given.shape
    reach = side // 2
    rows, columns = np.arange(row - reach, row + reach + 1), np.arange(column - reach, column + reach + 1)
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    covered = given[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
    return np.where(inside, covered, 0.0), inside


def _largest(products: np.ndarray, inside: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """Input channel, row and column of the largest products by absolute value, the largest first."""
    sizes = np.where(inside, np.abs(products), -1.0).ravel()
    order = np.argsort(-sizes, kind="stable")[: min(max(most, 0), int((sizes >= 0).sum()))]
    places = np.stack(np.unravel_index(order, products.shape), axis=1)
    return [(int(place[0]), int(place[1]), int(place[2])) for place in places]
