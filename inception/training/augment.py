"""Random augmentation of PIL images, from PyTorch's default generator."""

from __future__ import annotations

from math import log

import torch
from PIL import Image

# Range of the fraction of the square that a zoomed-out photo covers, and of the change of its aspect ratio.
ZOOMED_OUT_AREA = (0.15, 1.0)
ASPECT = (3 / 4, 4 / 3)
# Range of the short side of degraded photos in pixels: about that of Tiny ImageNet's photos.
DEGRADED_SIDE = (48, 96)


def happens(probability: float) -> bool:
    """Return True with this probability. Draws no random number if it is 0, so that later draws are unchanged."""
    return probability > 0 and float(torch.rand(())) < probability


def degraded(photo: Image.Image) -> Image.Image:
    """Return the photo reduced to a random short side in `DEGRADED_SIDE`, or unchanged if it is smaller."""
    low, high = DEGRADED_SIDE
    side = int(torch.randint(low, high + 1, ()))
    if min(photo.size) <= side:
        return photo
    scale = side / min(photo.size)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)


def zoomed_out(photo: Image.Image, side: int) -> Image.Image:
    """Return the whole photo, shrunk, at a random position in a square of `side` pixels.

    Its area is drawn log-uniformly from `ZOOMED_OUT_AREA` and reduced if the photo would not fit. The background is the
    photo's mean colour, or the photo itself, stretched and blurred.
    """
    area, stretch = _log_uniform(*ZOOMED_OUT_AREA), _log_uniform(*ASPECT)
    ratio = stretch * photo.width / photo.height
    width, height = side * (area * ratio) ** 0.5, side * (area / ratio) ** 0.5
    fit = min(1.0, side / width, side / height)
    size = (max(1, round(width * fit)), max(1, round(height * fit)))
    blurred = 1 if happens(0.5) else 4
    square = photo.resize((blurred, blurred), Image.Resampling.BOX).resize((side, side), Image.Resampling.BICUBIC)
    left = int(torch.randint(side - size[0] + 1, ()))
    top = int(torch.randint(side - size[1] + 1, ()))
    square.paste(photo.resize(size, Image.Resampling.BICUBIC), (left, top))
    return square


def _log_uniform(low: float, high: float) -> float:
    return float(torch.empty(()).uniform_(log(low), log(high)).exp())
