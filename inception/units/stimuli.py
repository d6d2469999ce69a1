"""Stimuli: parametric pictures on mid grey that a channel's responses are measured with.

Discs, rings, gratings, edges and colour patches, as in recordings from cells of the visual cortex (Hubel and Wiesel,
"Receptive fields, binocular interaction and functional architecture in the cat's visual cortex", 1962).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from PIL import Image

from ..checks import choice
from ..errors import UserError, quoted
from ..vision.preprocessing import MAX_SIDE

GREY, WHITE = 128, 255
RING_THICKNESS = 0.25  # of the radius
KINDS = ("grey", "disc", "ring", "grating", "edge", "patch")
MIN_SIDE = 8
# Smallest and largest value of each number of a stimulus. A wavelength of less than two pixels cannot be drawn.
RANGES = {
    "size": (2.0, 4.0 * MAX_SIDE),
    "orientation": (0.0, 360.0),
    "phase": (0.0, 360.0),
    "hue": (0.0, 360.0),
    "contrast": (-1.0, 1.0),
}
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
CHROMA = 71  # levels of Cb and Cr at full contrast, with which every hue stays within 0 to 255


@dataclass(frozen=True)
class Stimulus:
    """A picture by its parameters.

    Attributes:
        kind: "grey", plain mid grey; "disc"; "ring", `RING_THICKNESS` of its radius thick; "grating", a sinusoidal
            pattern that fills the picture; "edge" between two halves of the picture; "patch", a disc of a colour that
            is as light as the grey.
        size: in pixels: the diameter of a disc, a ring (outside) or a patch, the wavelength of a grating.
        orientation: of a grating's stripes or an edge, in degrees clockwise; they are vertical at 0, horizontal at 90.
        phase: of a grating, in degrees; at 0 the middle of a light stripe is in the centre, at 180 that of a dark one.
        hue: of a patch, in degrees: the angle in the plane of Cr and Cb; about red at 0, blue at 90, green at 180 and
            yellow at 270.
        contrast: 1 for shapes from mid grey to white, and gratings and edges from black to white; negative for the
            reverse. At 0 all are plain grey.

    Raises:
        ChoiceError: if there is no such kind.
        UserError: if a number is outside `RANGES`.
    """

    kind: str
    size: float = 16.0
    orientation: float = 0.0
    phase: float = 0.0
    hue: float = 0.0
    contrast: float = 1.0

    def __post_init__(self) -> None:
        choice("kind", self.kind, KINDS)
        for name, (least, most) in RANGES.items():
            _check_range(name, getattr(self, name), least, most)


def _check_range(name: str, value: object, least: float, most: float) -> None:
    # NaN fails every comparison.
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not least <= value <= most:
        raise UserError(
            "explain_stimulus",
            "The stimulus is out of range: {what} is {value}; please choose a number from {least} to {most}.",
            what=name,
            value=quoted(value),
            least=f"{least:g}",
            most=f"{most:g}",
        )


def draw(stimulus: Stimulus, side: int, x: float | None = None, y: float | None = None) -> Image.Image:
    """Draw a stimulus as an RGB picture of side x side pixels, centred at (x, y) in pixels; by default in the middle.

    Borders are anti-aliased: a pixel that a shape covers in part is as light as the part.

    Raises:
        UserError: if `side` is not from `MIN_SIDE` to `MAX_SIDE`, or the centre not within the picture.
    """
    _check_range("side", side, MIN_SIDE, MAX_SIDE)
    x, y = (side / 2 if place is None else place for place in (x, y))
    _check_range("x", x, 0, side)
    _check_range("y", y, 0, side)
    places = np.arange(side) + 0.5
    light = stimulus.contrast * _light(stimulus, places[None, :] - x, places[:, None] - y)
    if stimulus.kind == "patch":
        levels = GREY + light[..., None] * hue_vector(stimulus.hue)
        return Image.fromarray(np.rint(levels).astype(np.uint8))
    levels = np.where(light < 0, GREY * (1 + light), GREY + (WHITE - GREY) * light)
    return Image.fromarray(np.rint(levels).astype(np.uint8)).convert("RGB")


def plain_grey(side: int) -> Image.Image:
    """Return the picture on which the stimuli are drawn."""
    return draw(Stimulus("grey"), side)


def hue_vector(hue: float) -> np.ndarray:
    """Return what a patch of full contrast adds to red, green and blue, in levels; its luma is 0."""
    cr, cb = CHROMA * cos(radians(hue)), CHROMA * sin(radians(hue))
    red, blue = 2 * (1 - LUMA[0]) * cr, 2 * (1 - LUMA[2]) * cb
    green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1]
    return np.array([red, green, blue])


def _light(stimulus: Stimulus, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return the lightness of each pixel, -1 (black) to 1 (white), from its distances from the centre."""
    if stimulus.kind in ("grating", "edge"):
        angle = radians(stimulus.orientation)
        along = across * cos(angle) + down * sin(angle)
        if stimulus.kind == "edge":
            return 2 * np.clip(along + 0.5, 0, 1) - 1
        return np.cos(2 * np.pi * along / stimulus.size - radians(stimulus.phase))
    if stimulus.kind == "grey":
        return np.zeros(np.broadcast_shapes(across.shape, down.shape))
    radius, distance = stimulus.size / 2, np.hypot(across, down)
    light = _coverage(distance, radius)
    if stimulus.kind == "ring":
        light -= _coverage(distance, radius * (1 - RING_THICKNESS))
    return light


def _coverage(distance: np.ndarray, radius: float) -> np.ndarray:
    """Return how much of each pixel a disc covers, 0 to 1, by the distance of the pixel's middle from the centre."""
    return np.clip(radius - distance + 0.5, 0, 1)
