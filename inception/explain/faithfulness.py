"""Insertion and deletion: whether the pixels that a map ranks first are those that the answer depends on.

Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, section 4.3. Pixels
are inserted into a blurred photo, or deleted to grey, in the order of the map, from the highest value to the lowest.
The sooner the class's probability rises or falls, the better the map. Orders that shuffle the map's cells are the
control: a map that is no better than they are says nothing about this answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import ImageFilter
from torch import Tensor

from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .attribution_maps import attribution_map
from .masking import class_index
from .pixels import grey_input, logits_with, network_input

STEPS = 28
CONTROLS = 3  # random orders
BLUR = 1 / 16  # radius of the Gaussian blur, of the photo's shorter side


@dataclass(frozen=True)
class PixelOrder:
    """Probability of the class after each of `STEPS` equal parts of the pixels, in one order; the first after none."""

    insertion: tuple[float, ...]
    deletion: tuple[float, ...]

    @property
    def insertion_auc(self) -> float:
        """Area under the curve over the share of pixels, 0 to 1: the higher, the better the order."""
        return _area(self.insertion)

    @property
    def deletion_auc(self) -> float:
        """Area under the curve over the share of pixels, 0 to 1: the lower, the better the order."""
        return _area(self.deletion)

    def to_dict(self) -> dict[str, Any]:
        """`insertion, deletion, insertion_auc, deletion_auc`."""
        return {
            "insertion": list(self.insertion),
            "deletion": list(self.deletion),
            "insertion_auc": self.insertion_auc,
            "deletion_auc": self.deletion_auc,
        }


def _area(curve: tuple[float, ...]) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


@dataclass(frozen=True)
class PixelCurves:
    """Insertion and deletion in the order of a map, and in random orders of the same map's cells."""

    index: int
    label: str
    method: str
    ordered: PixelOrder
    random: tuple[PixelOrder, ...]

    @property
    def insertion_beats_random(self) -> bool:
        """Whether the map's order has a higher insertion area than every random one."""
        return all(self.ordered.insertion_auc > one.insertion_auc for one in self.random)

    @property
    def deletion_beats_random(self) -> bool:
        """Whether the map's order has a lower deletion area than every random one."""
        return all(self.ordered.deletion_auc < one.deletion_auc for one in self.random)


def pixel_curves(
    pretrained: PretrainedModel,
    prediction: Prediction,
    method: str,
    block: str,
    target: str | int | None = None,
    seed: int = 0,
) -> PixelCurves:
    """Insert and delete pixels in the order of a map, and in `CONTROLS` random orders: 2 x `STEPS` passes each.

    Args:
        method: one of `ATTRIBUTIONS`.
        block: of Grad-CAM.
        target: class name or number; the most probable class by default.
        seed: of the random orders.

    Raises:
        ChoiceError, ExplanationError: if there is no such method, block or class.
    """
    index = class_index(pretrained, prediction, target)
    found = attribution_map(pretrained, prediction, method, index, block)
    width, height = prediction.image.size
    photo, grey = network_input(pretrained, prediction.image), grey_input(pretrained)
    blurred = blurred_input(pretrained, prediction)

    def order(values: np.ndarray) -> PixelOrder:
        taken = first_pixels(values)
        return PixelOrder(
            insertion=_probabilities(pretrained, blurred, photo, taken, index),
            deletion=_probabilities(pretrained, photo, grey, taken, index),
        )

    generator = np.random.default_rng(seed)
    shuffled = [found.shuffled(generator) for _ in range(CONTROLS)]
    return PixelCurves(
        index=index,
        label=pretrained.labels[index],
        method=method,
        ordered=order(found.pixels(height, width)),
        random=tuple(order(one.pixels(height, width)) for one in shuffled),
    )


def blurred_input(pretrained: PretrainedModel, prediction: Prediction) -> Tensor:
    """Return the blurred photo as the network's input (1, 3, H, W), on its device."""
    image = prediction.image.filter(ImageFilter.GaussianBlur(BLUR * min(prediction.image.size)))
    return network_input(pretrained, image)


def first_pixels(values: np.ndarray) -> np.ndarray:
    """Return masks (`STEPS` + 1, H, W) of the pixels with the highest values: none, one part of `STEPS`, ..., all.

    Equal values are taken in reading order.
    """
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[np.argsort(-values.ravel(), kind="stable")] = np.arange(values.size)
    counts = np.rint(np.linspace(0, values.size, STEPS + 1))
    return (ranks < counts[:, None]).reshape(len(counts), *values.shape)


def _probabilities(
    pretrained: PretrainedModel, photo: Tensor, other: Tensor, taken: np.ndarray, index: int
) -> tuple[float, ...]:
    logits = torch.from_numpy(logits_with(pretrained, photo, other, taken))
    return tuple(pretrained.probabilities(logits)[:, index].tolist())
