"""An observation as pictures: which maps of which block, on which scale, and the numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import render
from .errors import ChoiceError
from .model import BLOCKS
from .observation import BranchStatistics, Observation, statistics

VIEWS = ("channels", "mean", "photo")
SIDE = 448  # pixels of a map over the photo


@dataclass(frozen=True)
class Picture:
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


def draw(observation: Observation, picture: Picture, tile: int = render.TILE) -> dict[str, Panel]:
    """The pictures of the four branches of a block; `tile` is as `render.mosaic` takes it."""
    # A channel's cells side by side in memory, as everything below goes through them.
    maps = {branch: np.ascontiguousarray(values) for branch, values in observation.branches(picture.block).items()}
    # A mean map has one channel: a scale for each channel is a scale for each branch.
    scale = picture.scale if picture.view == "channels" or picture.scale == "shared" else "branch"
    shown = (
        maps if picture.view == "channels" else {branch: m.mean(axis=0, keepdims=True) for branch, m in maps.items()}
    )
    bounds = render.scale_limits(shown, scale)
    return {
        branch: Panel(
            image=_image(observation, values, bounds[branch], picture, tile),
            numbers=statistics(maps[branch]),
            bounds=None if scale == "channel" else bounds[branch][0],
            signed=any(bound.signed for bound in bounds[branch]),
            shown_low=float(values.min()),
            shown_high=float(values.max()),
        )
        for branch, values in shown.items()
    }


def beside(
    observations: Sequence[Observation], block: str, size: int = SIDE
) -> tuple[render.Limits, list[dict[str, Panel]]]:
    """One scale for all, and on it several observations' branches as mean maps on what was seen, `size` pixels wide."""
    means = [
        {branch: maps.mean(axis=0, keepdims=True) for branch, maps in observation.branches(block).items()}
        for observation in observations
    ]
    named = {f"{number} {branch}": values for number, row in enumerate(means) for branch, values in row.items()}
    bounds = next(iter(render.scale_limits(named, "shared").values()))[0]
    return bounds, [
        {
            branch: Panel(
                image=render.overlay(observation.seen, row[branch][0], bounds, size=size),
                numbers=statistics(maps),
                bounds=bounds,
                signed=bounds.signed,
                shown_low=float(row[branch].min()),
                shown_high=float(row[branch].max()),
            )
            for branch, maps in observation.branches(block).items()
        }
        for observation, row in zip(observations, means, strict=True)
    ]


def strip(images: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side, as one."""
    width, height = images[0].size
    whole = Image.new(images[0].mode, (width * len(images), height))
    for number, image in enumerate(images):
        whole.paste(image, (number * width, 0))
    return whole


def _image(
    observation: Observation, values: np.ndarray, bounds: list[render.Limits], picture: Picture, tile: int
) -> Image.Image:
    if picture.view == "channels":
        return render.mosaic(values, bounds, picture.colours, tile=tile)
    if picture.view == "mean":
        return render.heat_map(values[0], bounds[0], picture.colours)
    return render.overlay(observation.seen, values[0], bounds[0], picture.colours)
