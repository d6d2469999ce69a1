"""An observation as pictures: which maps of which block, on which scale, and the numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import ChoiceError
from ..network.blocks import BLOCKS
from ..prediction import BranchStatistics, Prediction, statistics
from . import maps as render

VIEWS = ("channels", "mean", "photo")
SIDE = 448  # pixels of a map over the photo


@dataclass(frozen=True)
class ViewOptions:
    """How a visitor wants to see a block."""

    block: str = "3a"
    view: str = VIEWS[0]
    scale: str = render.SCALES[0]
    colours: str = render.COLOURS[0]

    def __post_init__(self) -> None:
        choices = {"block": tuple(BLOCKS), "view": VIEWS, "scale": render.SCALES, "colours": render.COLOURS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ChoiceError(name, getattr(self, name), allowed)


@dataclass(frozen=True)
class Panel:
    """One branch as it is shown: its picture, and the numbers that belong to it."""

    image: Image.Image
    numbers: BranchStatistics
    bounds: render.Limits | None  # None: each channel has its own
    signed: bool  # whether zero is the middle of the colours
    shown_low: float  # of the values in the picture
    shown_high: float


def render_branches(prediction: Prediction, picture: ViewOptions, tile: int = render.TILE) -> dict[str, Panel]:
    """The pictures of the four branches of a block; `tile` is as `render.mosaic` takes it."""
    # A channel's cells side by side in memory, as everything below goes through them.
    maps = {branch: np.ascontiguousarray(values) for branch, values in prediction.branches(picture.block).items()}
    # A mean map has one channel: a scale for each channel is a scale for each branch.
    scale = picture.scale if picture.view == "channels" or picture.scale == "shared" else "branch"
    shown = (
        maps if picture.view == "channels" else {branch: m.mean(axis=0, keepdims=True) for branch, m in maps.items()}
    )
    bounds = render.scale_limits(shown, scale)
    return {
        branch: Panel(
            image=_image(prediction, values, bounds[branch], picture, tile),
            numbers=statistics(maps[branch]),
            bounds=None if scale == "channel" else bounds[branch][0],
            signed=any(bound.signed for bound in bounds[branch]),
            shown_low=float(values.min()),
            shown_high=float(values.max()),
        )
        for branch, values in shown.items()
    }


def render_side_by_side(
    predictions: Sequence[Prediction], block: str, size: int = SIDE
) -> tuple[render.Limits, list[dict[str, Panel]]]:
    """One scale for all, and on it several observations' branches as mean maps on what was seen, `size` pixels wide."""
    means = [
        {branch: maps.mean(axis=0, keepdims=True) for branch, maps in prediction.branches(block).items()}
        for prediction in predictions
    ]
    named = {f"{number} {branch}": values for number, row in enumerate(means) for branch, values in row.items()}
    bounds = next(iter(render.scale_limits(named, "shared").values()))[0]
    return bounds, [
        {
            branch: Panel(
                image=render.overlay(prediction.image, row[branch][0], bounds, size=size),
                numbers=statistics(maps),
                bounds=bounds,
                signed=bounds.signed,
                shown_low=float(row[branch].min()),
                shown_high=float(row[branch].max()),
            )
            for branch, maps in prediction.branches(block).items()
        }
        for prediction, row in zip(predictions, means, strict=True)
    ]


def concatenate_images(images: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side, as one."""
    width, height = images[0].size
    whole = Image.new(images[0].mode, (width * len(images), height))
    for number, image in enumerate(images):
        whole.paste(image, (number * width, 0))
    return whole


def _image(
    prediction: Prediction, values: np.ndarray, bounds: list[render.Limits], picture: ViewOptions, tile: int
) -> Image.Image:
    if picture.view == "channels":
        return render.mosaic(values, bounds, picture.colours, tile=tile)
    if picture.view == "mean":
        return render.heat_map(values[0], bounds[0], picture.colours)
    return render.overlay(prediction.image, values[0], bounds[0], picture.colours)
