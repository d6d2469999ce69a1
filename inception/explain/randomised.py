"""Sanity check with random weights: a map that does not change depends on the photo only.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 4.1, "cascading randomization".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ..network.copies import copy_module
from ..network.inception_v1 import HEAD, STAGES, initialise
from ..prediction import Prediction, predict_crop
from ..pretrained.pretrained import PretrainedModel
from .attribution_maps import attribution_map
from .masking import class_index
from .ranks import ranks

# Each copy of the network has random weights from the head down to one of these stages.
LEVELS = (HEAD, "inception_5a", "inception_4a", "inception_3a", STAGES[0])


@dataclass(frozen=True)
class RandomisedLevel:
    """How alike a map is before and after the network's weights are randomised from the head down to a stage.

    `correlation` is Spearman's rank correlation of the two maps' cells, -1 to 1; None if all cells of a map are equal.
    """

    stage: str
    correlation: float | None


def randomised_levels(
    pretrained: PretrainedModel,
    prediction: Prediction,
    method: str,
    block: str,
    target: str | int | None = None,
    seed: int = 0,
) -> tuple[RandomisedLevel, ...]:
    """Compare a map with that of the same class in networks that are random from the head down to each of `LEVELS`.

    Occlusion and integrated gradients take fewer steps than usual, in all networks alike.

    Args:
        method: one of `ATTRIBUTIONS`.
        block: of Grad-CAM.
        target: class name or number; the most probable class by default.
        seed: of the random weights.

    Raises:
        ChoiceError, ExplanationError: if there is no such method, block or class.
    """
    index = class_index(pretrained, prediction, target)
    trained = attribution_map(pretrained, prediction, method, index, block, quick=True).cells
    levels = []
    for stage, network in randomised_networks(pretrained, seed):
        seen = predict_crop(network, prediction.image)
        cells = attribution_map(network, seen, method, index, block, quick=True).cells
        levels.append(RandomisedLevel(stage, rank_correlation(trained, cells)))
    return tuple(levels)


def randomised_networks(pretrained: PretrainedModel, seed: int = 0) -> Iterator[tuple[str, PretrainedModel]]:
    """Yield each of `LEVELS` with a copy of the network whose stages from there up to the head have random weights.

    The weights are drawn as before training; BatchNorm starts afresh. Below that stage the copy is as trained.
    """
    # Drawn on the CPU, so that a seed means the same on every device.
    with torch.inference_mode(False):
        generator = torch.Generator().manual_seed(seed)
        model = copy_module(pretrained.model, "cpu")
        downwards = (HEAD, *reversed(STAGES))
        done = 0
        for level in LEVELS:
            last = downwards.index(level) + 1
            for stage in downwards[done:last]:
                for layer in model.get_submodule(stage).modules():
                    if isinstance(layer, nn.BatchNorm2d):
                        layer.reset_parameters()
                    initialise(layer, generator)
            done = last
            yield level, replace(pretrained, model=copy_module(model, str(pretrained.device)))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return Spearman's rank correlation of two arrays of one shape; None if all values of one are equal."""
    placed = np.stack([ranks(one.ravel()), ranks(other.ravel())])
    if (placed == placed[:, :1]).all(axis=1).any():
        return None
    return float(np.corrcoef(placed)[0, 1])
