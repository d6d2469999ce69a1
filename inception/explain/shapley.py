"""What each branch of a block is worth for a class: exact Shapley values, switches, and the whole network's table.

Shapley, "A value for n-person games", 1953. The four branches are the players, the class's logit
is what they play for, and a branch that does not play is switched off.
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
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .masking import ablation_values, block_output, class_index, logits_from
from .subsets import logits_of_sets

BRANCH_NAMES = tuple(BRANCHES)
# Every set of branches that may be on, from none to all four.
BRANCH_SUBSETS = tuple(
    frozenset(name for bit, name in enumerate(BRANCH_NAMES) if number >> bit & 1)
    for number in range(2 ** len(BRANCH_NAMES))
)

_EMPTY_SUBSET_LOGITS: WeakKeyDictionary[InceptionV1, dict[tuple[object, ...], torch.Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True)
class BranchVotes:
    """How the four branches of a block share the logit of one class.

    `baseline` is the logit with all four off; `baseline` and the four `votes` add up to `logit`.
    `subsets` holds the class's logit for all sixteen sets of branches that are on, and
    `probabilities` its probability.
    """

    block: str
    index: int
    label: str
    off: str
    logit: float
    probability: float
    baseline: float
    votes: Mapping[str, float]
    subsets: Mapping[frozenset[str], float] = field(repr=False)
    probabilities: Mapping[frozenset[str], float] = field(repr=False)

    @property
    def total(self) -> float:
        """What the check adds up: the baseline and the four votes."""
        return self.baseline + sum(self.votes.values())

    @property
    def error(self) -> float:
        """How far the sum is from the logit that the network gave when it looked at the photo."""
        return abs(self.total - self.logit)

    def to_dict(self) -> dict[str, Any]:
        """`block, class, label, off, logit, probability, baseline, votes, subsets`.

        `votes` is by branch. `subsets` are sixteen of `{"on": [branch, ...], "logit", "probability"}`, from none on to
        all four.
        """
        return {
            "block": self.block,
            "class": self.index,
            "label": self.label,
            "off": self.off,
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
def subset_logits(pretrained: PretrainedModel, prediction: Prediction, block: str, off: str = "zero") -> np.ndarray:
    """All logits for each set of branches that are on: (16, classes), rows in the order of `SETS`.

    One batch through the network behind the block serves every class; keep it to ask for more of them.
    The first row, with nothing on, is the same for every photo and runs once.

    Raises:
        ChoiceError, ExplanationError: if there is no such block or way to be off.
    """
    values = ablation_values(pretrained, block, off)
    output = block_output(pretrained, prediction, block)
    nothing = _empty_subset_logits(pretrained, block, off, values.expand_as(output))
    return _array(torch.cat([nothing, logits_of_sets(pretrained, block, output, values, BRANCH_SUBSETS[1:])]))


def _empty_subset_logits(pretrained: PretrainedModel, block: str, off: str, outputs: torch.Tensor) -> torch.Tensor:
    """The logits (1, classes) with all four off. No photo has a part in them, so they are computed once."""
    known = _EMPTY_SUBSET_LOGITS.setdefault(pretrained.engine, {})
    key = (block, off, *outputs.shape)
    if key not in known:
        known[key] = logits_from(pretrained, block, outputs)
    return known[key]


def branch_votes(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    wanted: str | int | None = None,
    off: str = "zero",
    logits: np.ndarray | None = None,
) -> BranchVotes:
    """The exact Shapley value of each branch, from sixteen runs of the network behind the block.

    `wanted` is a class's name or number, by default the most probable one; `off` says what a
    switched-off branch holds: "zero", or the "mean" of its channels over training photos. `logits`
    is what `subset_logits` gave for the same, where it is at hand.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, class or way to be off.
    """
    index = class_index(pretrained, prediction, wanted)
    if logits is None:
        logits = subset_logits(pretrained, prediction, block, off)
    subsets = dict(zip(BRANCH_SUBSETS, logits[:, index].astype(np.float64).tolist(), strict=True))
    told = pretrained.probabilities(torch.from_numpy(logits.copy()))[:, index].double().tolist()
    return BranchVotes(
        block=block,
        index=index,
        label=pretrained.labels[index],
        off=off,
        logit=float(prediction.logits[index]),
        probability=float(prediction.probabilities[index]),
        baseline=subsets[frozenset()],
        votes=shapley_values(subsets, BRANCH_NAMES),
        subsets=subsets,
        probabilities=dict(zip(BRANCH_SUBSETS, told, strict=True)),
    )


def shapley_values(worth: Mapping[frozenset[str], float], players: Iterable[str]) -> dict[str, float]:
    """Each player's Shapley value in the game whose sets of players are `worth` so much.

    It is the mean, over all orders in which the players may come, of what a player adds when it comes.
    """
    everyone = tuple(players)
    count = len(everyone)
    values = {}
    for player in everyone:
        values[player] = sum(
            factorial(len(others))
            * factorial(count - len(others) - 1)
            / factorial(count)
            # A set with the player against the same set without it.
            * (worth[others | {player}] - worth[others])
            for others in worth
            if player not in others
        )
    return values


def _array(logits: torch.Tensor) -> np.ndarray:
    array = logits.float().cpu().numpy()
    array.flags.writeable = False
    return array
