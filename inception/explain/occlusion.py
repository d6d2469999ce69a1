"""Occlusion: how far a logit falls while a grey square covers a part of the photo.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from ..checks import whole
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .masking import class_index
from .pixels import BATCH, grey_input, logits_with, network_input

WINDOWS = 5  # that stand side by side along an edge of the photo, by default
STEPS = 2  # by which the window moves over its own width, by default


@dataclass(frozen=True, eq=False)
class Occlusion:
    """How far the logit of a class falls for each place of the grey window.

    `drops` (rows, columns) are by place, from the top left; a negative drop means that the logit rises. The window's
    top left corner is at `stride` times row and column, in pixels of the network's input (`height`, `width`); at the
    right and lower edges the window is cut off. Arrays are read-only.
    """

    index: int
    label: str
    logit: float
    window: int
    stride: int
    height: int
    width: int
    drops: np.ndarray = field(repr=False)

    @property
    def map(self) -> np.ndarray:
        """For each pixel the mean drop over the windows that cover it, (H, W)."""
        drops, counts = np.zeros((self.height, self.width)), np.zeros((self.height, self.width))
        for (row, column), drop in np.ndenumerate(self.drops):
            place = _place(row, column, self.window, self.stride)
            drops[place] += drop
            counts[place] += 1
        return drops / counts

    def to_dict(self) -> dict[str, Any]:
        """`class, label, logit, window, stride, height, width, drops`; `drops` as rows of numbers."""
        return {
            "class": self.index,
            "label": self.label,
            "logit": self.logit,
            "window": self.window,
            "stride": self.stride,
            "height": self.height,
            "width": self.width,
            "drops": self.drops.tolist(),
        }

    def signed_maps(self) -> dict[str, np.ndarray]:
        """Return the map to overlay on the photo, by the suffix of its file name."""
        return {"occlusion": self.map}


def occlusion(
    pretrained: PretrainedModel,
    prediction: Prediction,
    target: str | int | None = None,
    window: int | None = None,
    stride: int | None = None,
) -> Occlusion:
    """Cover the photo with a grey window, place by place, and return how far the logit falls: one pass for each place.

    Args:
        target: class name or number; the most probable class by default.
        window: side of the window in pixels of the network's input; a fifth of the photo's shorter side by default.
        stride: by how many pixels it moves, at most `window`; half of it by default.

    Raises:
        ExplanationError: if there is no such class.
        UserError: if window or stride is not allowed.
    """
    index = class_index(pretrained, prediction, target)
    width, height = prediction.image.size
    side = min(width, height)
    window = max(1, side // WINDOWS) if window is None else whole("window", window, 1, side)
    stride = max(1, window // STEPS) if stride is None else whole("stride", stride, 1, window)
    rows, columns = (ceil((length - window) / stride) + 1 for length in (height, width))
    photo, grey = network_input(pretrained, prediction.image), grey_input(pretrained)
    places = [_place(row, column, window, stride) for row, column in np.ndindex(rows, columns)]
    covered = []
    # The masks of one batch at a time: of a narrow window all would take gigabytes.
    for first in range(0, len(places), BATCH):
        batch = places[first : first + BATCH]
        masks = np.zeros((len(batch), height, width), dtype=bool)
        for mask, place in zip(masks, batch, strict=True):
            mask[place] = True
        covered.append(logits_with(pretrained, photo, grey, masks)[:, index])
    logit = float(prediction.logits[index])
    drops = (logit - np.concatenate(covered).astype(np.float64)).reshape(rows, columns)
    drops.flags.writeable = False
    return Occlusion(index, pretrained.labels[index], logit, window, stride, height, width, drops)


def _place(row: int, column: int, window: int, stride: int) -> tuple[slice, slice]:
    """Return the pixels under the window; slices past the edge are cut off by NumPy."""
    top, left = row * stride, column * stride
    return slice(top, top + window), slice(left, left + window)
