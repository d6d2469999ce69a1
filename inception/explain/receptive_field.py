"""Receptive field of a cell: the exact square of the input, and how much each pixel in it matters.

The square follows from kernels, strides and paddings (Dumoulin and Visin 2016). The effective receptive field is the
energy of the gradient, which is far from uniform in the square (Luo et al., "Understanding the Effective Receptive
Field in Deep Convolutional Neural Networks", NIPS 2016).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from ..checks import is_whole, spelled
from ..errors import ArgumentError, quoted
from ..network.anatomy import ReceptiveField, receptive_field
from ..network.blocks import BRANCHES, InceptionBlock, cell_count
from ..network.inception_v1 import STAGES, InceptionV1, stage_of
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .masking import ExplanationError
from .pixels import network_input
from .registry import CORE_SHARE

ROUNDING = 1e-9  # relative error of float64 sums over an image, with a wide margin


class CellError(ExplanationError):
    """Cell outside the map; `where` names the map, for instance "4c/3x3"."""

    def __init__(self, where: str, row: object, column: object, height: int, width: int) -> None:
        super().__init__(
            "explain_cell",
            "There is no cell at row {row}, column {column}: the map of {where} has {height} rows and {width} columns, "
            "counted from 0. Please choose a cell inside it.",
            where=where,
            row=spelled(row),
            column=spelled(column),
            height=height,
            width=width,
        )


def check_cell(where: str, row: object, column: object, height: int, width: int) -> tuple[int, int]:
    """Return row and column as ints, also of NumPy's integers, which JSON cannot hold.

    Raises:
        CellError: unless they are whole numbers inside a map of `height` rows and `width` columns.
    """
    places = []
    for place, count in ((row, height), (column, width)):
        if not is_whole(place) or not 0 <= place < count:
            raise CellError(where, row, column, height, width)
        places.append(int(place))
    return places[0], places[1]


@dataclass(frozen=True)
class Square:
    """Pixels of the network's input: columns `left` to `right` and rows `top` to `bottom`, exclusive.

    At the input's border it is clipped, and then no longer square.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How much each pixel of the network's input influences one cell of one branch, for this photo.

    `energy` (H, W), float32 and read-only, is the squared gradient of the sum of the branch's channels at this cell
    with respect to the normalised input, summed over colours. It is zero outside `square`, and everywhere if the ReLU
    sets all channels of the branch to zero at this cell.
    """

    block: str
    branch: str
    row: int
    column: int
    square: Square
    energy: np.ndarray = field(repr=False)

    def core(self, share: float = CORE_SHARE) -> Square:
        """Return the smallest square around the energy's centre of mass that contains `share` of the energy.

        Near the border it is shifted inwards and stays a whole square. Without any energy it is empty (width 0).

        Raises:
            ArgumentError: if `share` is not above 0 and at most 1.
        """
        if not 0 < share <= 1:
            raise ArgumentError(f"share is {quoted(share)}; it must be above 0 and at most 1, for instance 0.9.")
        height, width = self.energy.shape
        # Summed-area table: the energy of any square is a sum of four entries.
        sums = np.zeros((height + 1, width + 1))
        sums[1:, 1:] = self.energy.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
        total = sums[-1, -1]
        if total == 0:
            return Square(self.square.left, self.square.top, self.square.left, self.square.top)
        x, y = _centre(self.energy.sum(axis=0, dtype=np.float64)), _centre(self.energy.sum(axis=1, dtype=np.float64))
        target = share * total * (1 - ROUNDING)
        for side in range(1, max(height, width)):
            (left, right), (top, bottom) = _span(x, side, width), _span(y, side, height)
            inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
            if inside >= target:
                return Square(left, top, right, bottom)
        return Square(0, 0, width, height)


def cell_square(model: InceptionV1, block: str, branch: str, row: int, column: int) -> Square:
    """Return the part of the network's input that can influence a cell of a branch, at `model.input_shape`.

    It follows from the kernels, strides and paddings of the branch and of the widest path before its block
    (`anatomy.receptive_field`), clipped at the input's border.

    Raises:
        ChoiceError: if there is no such block or branch.
        CellError: if the map has no such cell.
    """
    return _square(model, block, branch, row, column, map_size(model, block), model.input_shape[1:])


def map_size(model: InceptionV1, block: str) -> tuple[int, int]:
    """Return rows and columns of a block's maps at `model.input_shape`.

    Computed by arithmetic; `anatomy.stage_shapes`, which runs a copy of the network, takes a hundred times as long.

    Raises:
        ChoiceError: if there is no such block.
    """
    model.block(block)
    _, height, width = model.input_shape
    for stage in STAGES[: STAGES.index(stage_of(block))]:
        module = model.get_submodule(stage)
        if not isinstance(module, InceptionBlock):  # whose layers keep the size
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                    height, width = (cell_count(layer, side) for side in (height, width))
    return height, width


def effective_field(
    pretrained: PretrainedModel, prediction: Prediction, block: str, branch: str, row: int, column: int
) -> EffectiveField:
    """Return the effective receptive field of one cell of one branch, from one forward and one backward pass.

    It belongs to this photo and is no average over photos, as max pools and ReLUs pass gradients on only where a value
    was the maximum or positive. All channels of the branch have the same weight.

    Raises:
        ChoiceError: if there is no such block or branch.
        CellError: if the map has no such cell.
    """
    return effective_fields(pretrained, prediction, block, row, column, [branch])[branch]


def effective_fields(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    row: int,
    column: int,
    branches: Iterable[str] = tuple(BRANCHES),
) -> dict[str, EffectiveField]:
    """Return the `effective_field` of one cell by branch, from one forward pass and one backward pass a branch.

    Raises:
        ChoiceError: if there is no such block or branch.
        CellError: if the map has no such cell.
    """
    # The engine's rounding may close a ReLU that is open in the plain model.
    model = pretrained.plain
    cells, pixels = prediction.block(block).shape[1:], (prediction.image.height, prediction.image.width)
    squares = {branch: _square(model, block, branch, row, column, cells, pixels) for branch in branches}
    row, column = int(row), int(column)
    fields = {}
    # Enable gradients even inside a caller's no_grad or inference_mode.
    with torch.inference_mode(False), torch.enable_grad():
        x = network_input(pretrained, prediction.image).requires_grad_()
        before = x
        for stage in STAGES[: STAGES.index(stage_of(block))]:
            before = model.get_submodule(stage)(before)
        for branch, square in squares.items():
            y = before
            for layer in BRANCHES[branch]:
                y = model.block(block)[layer](y)
            # autograd.grad, unlike backward, leaves no gradients on the model's parameters.
            (gradient,) = torch.autograd.grad(y[0, :, row, column].sum(), x, retain_graph=True)
            energy = gradient[0].square().sum(dim=0).float().cpu().numpy()
            energy.flags.writeable = False
            fields[branch] = EffectiveField(block, branch, row, column, square, energy)
    return fields


def _square(
    model: InceptionV1, block: str, branch: str, row: int, column: int, cells: tuple[int, int], pixels: tuple[int, int]
) -> Square:
    """Return the square of a cell in a map of `cells` (rows, columns), clipped at `pixels` (rows, columns)."""
    field = receptive_field(model, block, branch)
    row, column = check_cell(f"{block}/{branch}", row, column, *cells)
    return clipped_square(field, row, column, *pixels)


def clipped_square(field: ReceptiveField, row: int, column: int, height: int, width: int) -> Square:
    """Return the receptive field of a cell in an input of height x width pixels, clipped at its border."""
    top, left = field.start + row * field.stride, field.start + column * field.stride
    return Square(
        left=max(left, 0),
        top=max(top, 0),
        right=min(left + field.size, width),
        bottom=min(top + field.size, height),
    )


def _centre(weights: np.ndarray) -> float:
    """Return the centre of mass of pixel weights; pixel i lies between i and i + 1."""
    return float(np.average(np.arange(len(weights)) + 0.5, weights=weights))


def _span(centre: float, side: int, length: int) -> tuple[int, int]:
    """Return `side` pixels around a centre, shifted into 0..`length`; a larger side's span contains a smaller one's."""
    first = min(max(int(np.floor(centre - side / 2 + 0.5)), 0), max(length - side, 0))
    return first, min(first + side, length)
