"""The attribution methods by name, each as a map of a class's logit: higher where the photo speaks for the class."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F

from ..checks import choice
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .attribution import evidence, grad_cam
from .integrated_gradients import integrated_gradients
from .occlusion import WINDOWS, Occlusion, occlusion
from .registry import ATTRIBUTIONS, BLOCK_NAMES

FEW_STEPS = 16  # of integrated gradients, for a quick map


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """A map as its method computes it: `cells` (rows, columns), of a feature map, of window places or of pixels.

    `windows` is the result of occlusion, whose cells overlap; None for the other methods.
    """

    cells: np.ndarray = field(repr=False)
    windows: Occlusion | None = None

    def pixels(self, height: int, width: int) -> np.ndarray:
        """Return a value for each pixel of the network's input (H, W); cells of a feature map are interpolated."""
        if self.windows is not None:
            return replace(self.windows, drops=self.cells).map
        if self.cells.shape == (height, width):
            return self.cells
        cells = torch.from_numpy(self.cells.astype(np.float64))[None, None]
        return F.interpolate(cells, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()

    def shuffled(self, generator: np.random.Generator) -> AttributionMap:
        """Return the same cells in a random order."""
        return replace(self, cells=generator.permutation(self.cells.ravel()).reshape(self.cells.shape))


def block_of_map(method: str, block: str) -> str:
    """Return `block` for Grad-CAM and a fixed block for the other methods.

    They ignore it, so that their maps for all blocks share one cache entry.
    """
    return block if method == "grad_cam" else BLOCK_NAMES[-1]


def attribution_map(
    pretrained: PretrainedModel, prediction: Prediction, method: str, index: int, block: str, *, quick: bool = False
) -> AttributionMap:
    """Return the map of a method for class number `index`.

    Args:
        method: one of `ATTRIBUTIONS`.
        block: of Grad-CAM; the other methods do not need it.
        quick: take fewer steps: occlusion without overlap, integrated gradients in `FEW_STEPS`.

    Raises:
        ChoiceError: if there is no such method or block.
    """
    choice("method", method, ATTRIBUTIONS)
    if method == "grad_cam":
        return AttributionMap(grad_cam(pretrained, prediction, block, index).signed)
    if method == "evidence":
        return AttributionMap(evidence(pretrained, prediction, index).map)
    if method == "occlusion":
        window = max(1, min(prediction.image.size) // WINDOWS) if quick else None
        covered = occlusion(pretrained, prediction, index, window, window)
        return AttributionMap(covered.drops, covered)
    steps = {"steps": FEW_STEPS} if quick else {}
    return AttributionMap(integrated_gradients(pretrained, prediction, index, **steps).map)
