"""Sanity check with random weights: a map that does not change depends on the photo only.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 4.1, "cascading randomization".

A class's random weights are as likely as their negatives, which turn the map's sign and nothing else. So the sign of a
correlation is a coin toss, and what counts is its size. Maps are smooth and have few cells, so chance is measured: how
far the same maps correlate when one of them is displaced, over the edge and in again on the other side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

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
NETWORKS = 5  # random ones at each level
FEW_NETWORKS = 3  # of the methods whose map takes many passes
SLOW = ("occlusion", "integrated_gradients")
CHANCE = 0.99  # of the displaced maps are less alike than what is called chance


@dataclass(frozen=True)
class RandomisedLevel:
    """How alike a map is before and after the network's weights are randomised from the head down to a stage.

    `correlations` are Spearman's rank correlations with the maps of several random networks, -1 to 1, without those
    whose map has equal values everywhere. `chance` is the `correlation` that 99 % of the displaced maps stay below;
    None if there are no correlations.
    """

    stage: str
    correlations: tuple[float, ...]
    chance: float | None

    @property
    def correlation(self) -> float | None:
        """Mean size of the correlations, 0 to 1, whatever their signs; None if there are none."""
        return float(np.abs(self.correlations).mean()) if self.correlations else None

    @property
    def exceeds_chance(self) -> bool:
        """Whether the maps are more alike than nearly all displaced ones."""
        return self.correlation is not None and self.chance is not None and self.correlation > self.chance

    def to_dict(self) -> dict[str, Any]:
        """`stage, correlation, correlations, chance, exceeds_chance`."""
        return {
            "stage": self.stage,
            "correlation": self.correlation,
            "correlations": list(self.correlations),
            "chance": self.chance,
            "exceeds_chance": self.exceeds_chance,
        }


def randomised_levels(
    pretrained: PretrainedModel,
    prediction: Prediction,
    method: str,
    block: str,
    target: str | int | None = None,
    seed: int = 0,
) -> tuple[RandomisedLevel, ...]:
    """Compare a map with those of the same class in networks that are random from the head down to each of `LEVELS`.

    At each level there are `NETWORKS`, or `FEW_NETWORKS` for occlusion and integrated gradients, which also take fewer
    steps than usual, in all networks alike.

    Args:
        method: one of `ATTRIBUTIONS`.
        block: of Grad-CAM.
        target: class name or number; the most probable class by default.
        seed: of the first network's random weights; the next ones have the seeds that follow.

    Raises:
        ChoiceError, ExplanationError: if there is no such method, block or class.
    """
    index = class_index(pretrained, prediction, target)
    trained = attribution_map(pretrained, prediction, method, index, block, quick=True).cells
    maps: dict[str, list[np.ndarray]] = {stage: [] for stage in LEVELS}
    for number in range(FEW_NETWORKS if method in SLOW else NETWORKS):
        for stage, random_network in randomised_networks(pretrained, seed + number):
            network = random_network if method in SLOW else random_network.unfused()
            seen = predict_crop(network, prediction.image)
            maps[stage].append(attribution_map(network, seen, method, index, block, quick=True).cells)
    return tuple(_level(stage, trained, others) for stage, others in maps.items())


def _level(stage: str, trained: np.ndarray, others: list[np.ndarray]) -> RandomisedLevel:
    found = [values for values in (displaced_correlations(trained, other) for other in others) if values is not None]
    if not found:
        return RandomisedLevel(stage, (), None)
    displaced = np.abs(found).mean(axis=0).ravel()[1:]  # the first is where neither is displaced
    return RandomisedLevel(stage, tuple(float(values[0, 0]) for values in found), float(np.quantile(displaced, CHANCE)))


def randomised_networks(pretrained: PretrainedModel, seed: int = 0) -> Iterator[tuple[str, PretrainedModel]]:
    """Yield each of `LEVELS` with a copy of the network whose stages from there up to the head have random weights.

    The weights are drawn as before training; BatchNorm starts afresh. Below that stage the copy is as trained.
    """
    # Drawn on the CPU, so that a seed means the same on every device.
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False):
        model = copy_module(pretrained.plain, "cpu")
    downwards = (HEAD, *reversed(STAGES))
    done = 0
    for level in LEVELS:
        last = downwards.index(level) + 1
        # Not around the whole loop: the mode would stay with the caller's thread from one network to the next.
        with torch.inference_mode(False):
            for stage in downwards[done:last]:
                for layer in model.get_submodule(stage).modules():
                    if isinstance(layer, nn.BatchNorm2d):
                        layer.reset_parameters()
                    initialise(layer, generator)
            network = copy_module(model, str(pretrained.device))
        done = last
        yield level, replace(pretrained, model=network)


def displaced_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """Return Spearman's rank correlation of two maps (rows, columns) for every displacement of `one`.

    At row i and column j of the result it is displaced by i rows and j columns, cyclically; None if all values of a map
    are equal.
    """
    spectra = []
    for values in (one, other):
        centred = ranks(values.ravel()).reshape(values.shape) - (values.size + 1) / 2
        length = np.linalg.norm(centred)
        if length == 0:
            return None
        spectra.append(np.fft.fft2(centred / length))
    return np.fft.ifft2(spectra[0].conj() * spectra[1]).real
