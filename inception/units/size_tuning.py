"""Size tuning: how strongly the branches of a block respond to a disc, a ring or a grating, by its size in pixels.

After the size tuning curves that are measured of cells in the visual cortex: one picture a size, one response each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import choice
from ..network.blocks import BLOCKS
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .middle_cell import middle_cell, middle_values
from .stimuli import Stimulus, draw

SHAPES = ("disc", "ring", "grating")
SIZES = 12
SMALLEST = 4.0  # pixels
LARGEST = 0.6  # of the input's side
ORIENTATIONS = (0.0, 45.0, 90.0, 135.0)  # of a grating's stripes, in degrees
RESPONDS = 0.01  # smallest response of a channel that counts for `preferred`, as a share of the branch's greatest


@dataclass(frozen=True)
class BranchTuning:
    """Response of one branch to each size, and the size that its channels prefer.

    `response` is, for each size, the mean over all channels of the absolute difference between the channel's value at
    the middle cell and its value there for plain grey. `preferred` takes each channel's size of greatest difference
    and is the mean of these over the channels that respond: those whose greatest difference is at least `RESPONDS` of
    the branch's greatest. It is None if the branch does not respond at all.
    """

    response: tuple[float, ...]
    preferred: float | None

    def to_dict(self) -> dict[str, Any]:
        """`response, preferred`."""
        return {"response": list(self.response), "preferred": self.preferred}


@dataclass(frozen=True)
class SizeTuning:
    """Tuning of the four branches of a block to the size of one shape.

    `sizes` are in pixels of the network's input: the diameter of a disc, the outer diameter of a ring, the wavelength
    of a grating. `row` and `column` are the middle cell's: the one whose receptive field is centred nearest to the
    middle of the input. All pictures are centred on that receptive field, at (`x`, `y`) in pixels.
    """

    block: str
    shape: str
    sizes: tuple[float, ...]
    row: int
    column: int
    x: float
    y: float
    branches: Mapping[str, BranchTuning]

    def to_dict(self) -> dict[str, Any]:
        """`block, shape, sizes, row, column, x, y, branches`; `branches` as `BranchTuning`."""
        return {
            "block": self.block,
            "shape": self.shape,
            "sizes": list(self.sizes),
            "row": self.row,
            "column": self.column,
            "x": self.x,
            "y": self.y,
            "branches": {branch: tuning.to_dict() for branch, tuning in self.branches.items()},
        }


def tuning_sizes(side: int) -> tuple[float, ...]:
    """Return `SIZES` sizes for an input of `side` pixels, each the same factor above the one before it."""
    sizes = np.geomspace(SMALLEST, max(LARGEST * side, 2 * SMALLEST), SIZES)
    return tuple(round(float(size), 1) for size in sizes)


def size_tuning(pretrained: PretrainedModel, grey: Prediction, block: str, shape: str) -> SizeTuning:
    """Measure the tuning of a block's branches: one picture for each size, each run up to this block only.

    Of a grating each size is shown in four orientations, and each channel's greatest difference counts.

    Args:
        grey: the exact prediction for `plain_grey(pretrained.input_size)`.

    Raises:
        ChoiceError: if there is no such block or shape.
    """
    choice("block", block, tuple(BLOCKS))
    choice("shape", shape, SHAPES)
    side, cell = pretrained.input_size, middle_cell(pretrained, block)
    sizes = tuning_sizes(side)
    before = grey.block(block)[:, cell.row, cell.column].astype(np.float64)
    differences = np.zeros((len(sizes), len(before)))
    for orientation in ORIENTATIONS if shape == "grating" else ORIENTATIONS[:1]:
        shown = (draw(Stimulus(shape, size, orientation), side, cell.x, cell.y) for size in sizes)
        values = middle_values(pretrained, shown, [block])[block]
        differences = np.maximum(differences, np.abs(values - before))
    return SizeTuning(
        block=block,
        shape=shape,
        sizes=sizes,
        row=cell.row,
        column=cell.column,
        x=cell.x,
        y=cell.y,
        branches={
            branch: branch_tuning(differences[:, part], sizes)
            for branch, part in pretrained.model.block(block).slices.items()
        },
    )


def branch_tuning(differences: np.ndarray, sizes: tuple[float, ...]) -> BranchTuning:
    """Return the tuning of a branch from the absolute differences (sizes, channels) of its channels."""
    greatest = differences.max(axis=0)
    responding = greatest >= RESPONDS * greatest.max()
    preferred = None
    if greatest.max() > 0:
        preferred = float(np.asarray(sizes)[differences.argmax(axis=0)][responding].mean())
    return BranchTuning(tuple(differences.mean(axis=1).tolist()), preferred)
