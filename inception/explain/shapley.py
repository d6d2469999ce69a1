"""Branch votes: exact Shapley values of a block's four branches for the logit of a class.

Shapley, "A value for n-person games", 1953: the branches are the players, the logit is the value of a coalition, and a
branch outside the coalition is ablated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import factorial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..network.blocks import BRANCHES
from ..network.inception_v1 import InceptionV1
from ..prediction import Prediction, to_array
from ..pretrained.pretrained import PretrainedModel
from .masking import ablation_values, block_output, class_index, logits_from
from .subsets import logits_of_subsets

BRANCH_NAMES = tuple(BRANCHES)
# All coalitions of branches, from none to all four.
BRANCH_SUBSETS = tuple(
    frozenset(name for bit, name in enumerate(BRANCH_NAMES) if number >> bit & 1)
    for number in range(2 ** len(BRANCH_NAMES))
)

_EMPTY_SUBSET_LOGITS: WeakKeyDictionary[InceptionV1, dict[tuple[object, ...], torch.Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True)
class BranchVotes:
    """Shapley values of the four branches of a block, for the logit of one class.

    `baseline` is the logit with all four branches ablated; `baseline` and the four `votes` add up to `logit`. `subsets`
    maps each of the sixteen sets of active branches to the logit, `probabilities` to the probability of the class.
    """

    block: str
    index: int
    label: str
    ablation: str
    logit: float
    probability: float
    baseline: float
    votes: Mapping[str, float]
    subsets: Mapping[frozenset[str], float] = field(repr=False)
    probabilities: Mapping[frozenset[str], float] = field(repr=False)

    @property
    def total(self) -> float:
        """Sum of the baseline and the four votes, to be compared with `logit`."""
        return self.baseline + sum(self.votes.values())

    @property
    def error(self) -> float:
        """Absolute difference between `total` and the logit of the forward pass."""
        return abs(self.total - self.logit)

    def to_dict(self) -> dict[str, Any]:
        """`block, class, label, off, logit, probability, baseline, votes, subsets`.

        `votes` is by branch. `subsets` is a list of sixteen `{"on": [branch, ...], "logit", "probability"}`, from no
        active branch to all four.
        """
        return {
            "block": self.block,
            "class": self.index,
            "label": self.label,
            "off": self.ablation,
            "logit": self.logit,
            "probability": self.probability,
            "baseline": self.baseline,
            "votes": dict(self.votes),
            "subsets": [
                {
                    "on": [name for name in BRANCH_NAMES if name in on],
                    "logit": self.subsets[on],
                    "probability": self.probabilities[on],
                }
                for on in BRANCH_SUBSETS
            ],
        }


@torch.inference_mode()
def subset_logits(
    pretrained: PretrainedModel, prediction: Prediction, block: str, ablation: str = "zero"
) -> np.ndarray:
    """Return the logits (16, classes) for all sets of active branches, in the order of `BRANCH_SUBSETS`.

    One batch through the layers behind the block serves all classes. The first row, with all branches ablated, is the
    same for every photo, and an engine computes it once for the same values.

    Raises:
        ChoiceError, ExplanationError: if there is no such block or ablation.
    """
    values = ablation_values(pretrained, block, ablation)
    output = block_output(pretrained, prediction, block)
    empty = _empty_subset_logits(pretrained, block, ablation, values.expand_as(output))
    return to_array(torch.cat([empty, logits_of_subsets(pretrained, block, output, values, BRANCH_SUBSETS[1:])]))


def _empty_subset_logits(pretrained: PretrainedModel, block: str, ablation: str, outputs: torch.Tensor) -> torch.Tensor:
    """Return the logits (1, classes) with all four branches ablated, which do not depend on the photo."""
    engine = pretrained.engine
    if engine is pretrained.model:  # whose weights may change, unlike those of a copy
        return logits_from(pretrained, block, outputs)
    cached = _EMPTY_SUBSET_LOGITS.setdefault(engine, {})
    # The means themselves, which may change, and not `outputs`, which would have to be copied from a GPU.
    means = b"" if ablation == "zero" else to_array(pretrained.means[block]).tobytes()
    key = (block, means, *outputs.shape)
    if key not in cached:
        cached[key] = logits_from(pretrained, block, outputs)
    return cached[key]


def branch_votes(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    target: str | int | None = None,
    ablation: str = "zero",
    logits: np.ndarray | None = None,
) -> BranchVotes:
    """Return the exact Shapley value of each branch of a block, from sixteen runs of the layers behind it.

    Args:
        target: class name or number; the most probable class by default.
        ablation: what replaces a branch's output: "zero", or "mean", each channel's mean over training photos.
        logits: result of `subset_logits` for the same arguments, if available.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, class or ablation.
    """
    index = class_index(pretrained, prediction, target)
    if logits is None:
        logits = subset_logits(pretrained, prediction, block, ablation)
    subsets = dict(zip(BRANCH_SUBSETS, logits[:, index].astype(np.float64).tolist(), strict=True))
    probabilities = pretrained.probabilities(torch.from_numpy(logits.copy()))[:, index].double().tolist()
    return BranchVotes(
        block=block,
        index=index,
        label=pretrained.labels[index],
        ablation=ablation,
        logit=float(prediction.logits[index]),
        probability=float(prediction.probabilities[index]),
        baseline=subsets[frozenset()],
        votes=shapley_values(subsets, BRANCH_NAMES),
        subsets=subsets,
        probabilities=dict(zip(BRANCH_SUBSETS, probabilities, strict=True)),
    )


def shapley_values(values: Mapping[frozenset[str], float], players: Iterable[str]) -> dict[str, float]:
    """Return the Shapley value of each player of the game with the coalition `values`.

    It is the mean of the player's marginal contribution over all orders in which the players can join.
    """
    everyone = tuple(players)
    count = len(everyone)
    shapley = {}
    for player in everyone:
        shapley[player] = sum(
            factorial(len(others))
            * factorial(count - len(others) - 1)
            / factorial(count)
            * (values[others | {player}] - values[others])
            for others in values
            if player not in others
        )
    return shapley
