"""Size tuning: how strongly the branches of a block answer a disc, a ring or a grating, by its size in pixels.

After the size tuning curves that are measured of cells in the visual cortex: one picture a size, one response each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..checks import choice
from ..explain.receptive_field import map_size
from ..network.anatomy import receptive_field
from ..network.blocks import BLOCKS, BRANCHES
from ..network.inception_v1 import STAGES
from ..prediction import Prediction, input_batch
from ..pretrained.pretrained import PretrainedModel

SHAPES = ("disc", "ring", "grating")
SIZES = 12
SMALLEST = 4.0  # pixels
LARGEST = 0.6  # of the input's side
GREY, WHITE = 128, 255
RING_THICKNESS = 0.25  # of the radius
ORIENTATIONS = (0.0, 0.25, 0.5, 0.75)  # of a grating's stripes, in half turns
RESPONDS = 0.01  # least answer of a channel that counts for `preferred`, of the branch's greatest


@dataclass(frozen=True)
class BranchTuning:
    """Answer of one branch to each size, and the size that its channels prefer.

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


def draw_shape(shape: str, size: float, side: int, x: float, y: float, orientation: float = 0.0) -> Image.Image:
    """Draw a shape of `size` pixels on mid grey, side x side pixels, centred at (x, y).

    Discs and rings are white; a ring is `RING_THICKNESS` of its radius thick. A grating fills the picture, from black
    to white with mid grey between them and a white stripe through the centre; `orientation` turns its stripes, which
    are vertical at 0 and horizontal at 0.5.

    Raises:
        ChoiceError: if there is no such shape.
    """
    choice("shape", shape, SHAPES)
    places = np.arange(side) + 0.5
    across, down = places[None, :] - x, places[:, None] - y
    if shape == "grating":
        angle = np.pi * orientation
        light = np.cos(2 * np.pi * (across * np.cos(angle) + down * np.sin(angle)) / size)
    else:
        radius, distance = size / 2, np.hypot(across, down)
        light = _coverage(distance, radius)
        if shape == "ring":
            light -= _coverage(distance, radius * (1 - RING_THICKNESS))
    levels = np.where(light < 0, GREY * (1 + light), GREY + (WHITE - GREY) * light)
    return Image.fromarray(np.rint(levels).astype(np.uint8)).convert("RGB")


def _coverage(distance: np.ndarray, radius: float) -> np.ndarray:
    """Return how much of each pixel a disc covers, 0 to 1, by the distance of the pixel's middle from the centre."""
    return np.clip(radius - distance + 0.5, 0, 1)


def plain_grey(side: int) -> Image.Image:
    """Return the picture on which the shapes are drawn."""
    return Image.new("RGB", (side, side), (GREY, GREY, GREY))


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
    model, side = pretrained.model, pretrained.input_size
    height, width = map_size(model, block)
    row, y = _middle(pretrained, block, height)
    column, x = _middle(pretrained, block, width)
    sizes = tuning_sizes(side)
    before = grey.block(block)[:, row, column].astype(np.float64)
    differences = np.zeros((len(sizes), len(before)))
    for orientation in ORIENTATIONS if shape == "grating" else ORIENTATIONS[:1]:
        shown = [draw_shape(shape, size, side, x, y, orientation) for size in sizes]
        differences = np.maximum(differences, np.abs(_values(pretrained, block, shown, row, column) - before))
    return SizeTuning(
        block=block,
        shape=shape,
        sizes=sizes,
        row=row,
        column=column,
        x=x,
        y=y,
        branches={
            branch: branch_tuning(differences[:, part], sizes) for branch, part in model.block(block).slices.items()
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


def _middle(pretrained: PretrainedModel, block: str, cells: int) -> tuple[int, float]:
    """Return the cell whose receptive field is centred nearest to the middle of the input, and that centre in pixels.

    The centre is the same for the four branches, whose kernels are padded on both sides alike.
    """
    field = receptive_field(pretrained.model, block, next(iter(BRANCHES)))
    centres = field.start + field.size / 2 + field.stride * np.arange(cells)
    cell = int(np.abs(centres - pretrained.input_size / 2).argmin())
    return cell, float(centres[cell])


@torch.inference_mode()
def _values(pretrained: PretrainedModel, block: str, images: list[Image.Image], row: int, column: int) -> np.ndarray:
    """Return the values (N, C) of a block's channels at one cell, for network inputs as pictures."""
    maps = input_batch(pretrained, images)
    for stage in STAGES[: STAGES.index(f"inception_{block}") + 1]:
        maps = pretrained.engine.get_submodule(stage)(maps)
    return maps[:, :, row, column].double().cpu().numpy()
