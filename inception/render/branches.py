"""The four branches of a block as pictures, with the numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..checks import choice
from ..network.blocks import BLOCKS
from ..prediction import BranchStatistics, Prediction, statistics
from .maps import COLOURS, SCALES, TILE, Limits, heat_map, mosaic, overlay, scale_limits
from .views import VIEWS

SIDE = 448  # pixels of a map over the photo


@dataclass(frozen=True)
class ViewOptions:
    """How a block is shown.

    Args:
        block: name of the block, for instance "4c".
        view: "channels" for all channels as tiles, "mean" for their mean, "photo" for the mean over the photo.
        scale: "shared" for one colour scale for all branches, "branch" for one each, "channel" for one each channel.
        colours: name of matplotlib's colour map, one of `COLOURS`; values below zero are always shown in RdBu_r.

    Raises:
        ChoiceError: if a value is not allowed.
    """

    block: str = "3a"
    view: str = VIEWS[0]
    scale: str = SCALES[0]
    colours: str = COLOURS[0]

    def __post_init__(self) -> None:
        choices = {"block": tuple(BLOCKS), "view": VIEWS, "scale": SCALES, "colours": COLOURS}
        for name, allowed in choices.items():
            choice(name, getattr(self, name), allowed)


@dataclass(frozen=True)
class Panel:
    """The picture of one branch, the statistics of its maps, and the range of its colours."""

    image: Image.Image
    numbers: BranchStatistics
    bounds: Limits | None  # ends of the colour scale; None if each channel has its own
    signed: bool  # whether zero is the middle of the colours
    shown_low: float  # lowest value in the picture
    shown_high: float


def render_branches(prediction: Prediction, options: ViewOptions | str = "3a", tile: int = TILE) -> dict[str, Panel]:
    """Render the branches of a block: `render_branches(prediction, "4c")["3x3"].image.save("3x3.png")`.

    Args:
        prediction: as `predict` returns it.
        options: block, view, scale and colours; the name of a block stands for its default view.
        tile: pixels of a channel's tile, as `mosaic` takes it.

    Returns:
        A panel for each of the branches "1x1", "3x3", "5x5" and "pool", in this order.

    Raises:
        ChoiceError: if there is no such block.
    """
    options = ViewOptions(options) if isinstance(options, str) else options
    # Each channel contiguous in memory, for the passes below.
    maps = {branch: np.ascontiguousarray(values) for branch, values in prediction.branches(options.block).items()}
    # A mean map has one channel, so that a scale for each channel is a scale for each branch.
    scale = options.scale if options.view == "channels" or options.scale == "shared" else "branch"
    shown = (
        maps if options.view == "channels" else {branch: m.mean(axis=0, keepdims=True) for branch, m in maps.items()}
    )
    bounds = scale_limits(shown, scale)
    return {
        branch: Panel(
            image=_image(prediction, values, bounds[branch], options, tile),
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
) -> tuple[Limits, list[dict[str, Panel]]]:
    """Render the branches of several predictions as mean maps over their photos, all on one colour scale.

    Returns:
        The scale, and for each prediction a panel for each branch, `size` pixels wide.
    """
    means = [
        {branch: maps.mean(axis=0, keepdims=True) for branch, maps in prediction.branches(block).items()}
        for prediction in predictions
    ]
    named = {f"{number} {branch}": values for number, row in enumerate(means) for branch, values in row.items()}
    bounds = next(iter(scale_limits(named, "shared").values()))[0]
    return bounds, [
        {
            branch: Panel(
                image=overlay(prediction.image, row[branch][0], bounds, size=size),
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
    """Return images of one size and mode side by side, as one image."""
    width, height = images[0].size
    row = Image.new(images[0].mode, (width * len(images), height))
    for number, image in enumerate(images):
        row.paste(image, (number * width, 0))
    return row


def _image(
    prediction: Prediction, values: np.ndarray, bounds: list[Limits], options: ViewOptions, tile: int
) -> Image.Image:
    if options.view == "channels":
        return mosaic(values, bounds, options.colours, tile=tile)
    if options.view == "mean":
        return heat_map(values[0], bounds[0], options.colours)
    return overlay(prediction.image, values[0], bounds[0], options.colours)
