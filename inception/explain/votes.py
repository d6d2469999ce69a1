"""What each branch of a block is worth for a class: exact Shapley values, switches, and the whole network's table.

Shapley, "A value for n-person games", 1953. The four branches are the players, the class's logit
is what they play for, and a branch that does not play is switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import factorial
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..checks import choice
from ..model import BLOCKS, BRANCHES, InceptionV1
from ..observation import Observation
from ..weights import Pretrained
from .partial import (
    batched_logits,
    block_output,
    branch_mask,
    class_index,
    logits_after,
    off_values,
)
from .sets import logits_of_sets

NAMES = tuple(BRANCHES)
# Every set of branches that may be on, from none to all four.
SETS = tuple(
    frozenset(name for bit, name in enumerate(NAMES) if number >> bit & 1) for number in range(2 ** len(NAMES))
)

_NOTHING_ON: WeakKeyDictionary[InceptionV1, dict[tuple[object, ...], torch.Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Votes:
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


@torch.inference_mode()
def subset_logits(pretrained: Pretrained, observation: Observation, block: str, off: str = "zero") -> np.ndarray:
    """All logits for each set of branches that are on: (16, classes), rows in the order of `SETS`.

    One batch through the network behind the block serves every class; keep it to ask for more of them.
    The first row, with nothing on, is the same for every photo and runs once.

    Raises:
        ChoiceError, ExplanationError: if there is no such block or way to be off.
    """
    values = off_values(pretrained, block, off)
    output = block_output(pretrained, observation, block)
    nothing = _nothing_on(pretrained, block, off, values.expand_as(output))
    return _array(torch.cat([nothing, logits_of_sets(pretrained, block, output, values, SETS[1:])]))


def _nothing_on(pretrained: Pretrained, block: str, off: str, outputs: torch.Tensor) -> torch.Tensor:
    """The logits (1, classes) with all four off. No photo has a part in them, so they are computed once."""
    known = _NOTHING_ON.setdefault(pretrained.engine, {})
    key = (block, off, *outputs.shape)
    if key not in known:
        known[key] = logits_after(pretrained, block, outputs)
    return known[key]


def votes(
    pretrained: Pretrained,
    observation: Observation,
    block: str,
    wanted: str | int | None = None,
    off: str = "zero",
    logits: np.ndarray | None = None,
) -> Votes:
    """The exact Shapley value of each branch, from sixteen runs of the network behind the block.

    `wanted` is a class's name or number, by default the most probable one; `off` says what a
    switched-off branch holds: "zero", or the "mean" of its channels over training photos. `logits`
    is what `subset_logits` gave for the same, where it is at hand.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, class or way to be off.
    """
    index = class_index(pretrained, observation, wanted)
    if logits is None:
        logits = subset_logits(pretrained, observation, block, off)
    subsets = dict(zip(SETS, logits[:, index].astype(np.float64).tolist(), strict=True))
    told = pretrained.probabilities(torch.from_numpy(logits.copy()))[:, index].double().tolist()
    return Votes(
        block=block,
        index=index,
        label=pretrained.labels[index],
        off=off,
        logit=float(observation.logits[index]),
        probability=float(observation.probabilities[index]),
        baseline=subsets[frozenset()],
        votes=shapley(subsets, NAMES),
        subsets=subsets,
        probabilities=dict(zip(SETS, told, strict=True)),
    )


def shapley(worth: Mapping[frozenset[str], float], players: Iterable[str]) -> dict[str, float]:
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


@dataclass(frozen=True)
class Change:
    """One class before and after something was switched off."""

    index: int
    label: str
    probability: float
    probability_before: float
    logit: float
    logit_before: float


@dataclass(frozen=True)
class Switched:
    """The answer with parts of a block switched off.

    `top` are the most probable classes now, `first_before` is the one that was most probable before;
    `risen` and `fallen` are those whose probability changed most.
    """

    block: str
    off: str
    branches: tuple[str, ...]
    channels: tuple[int, ...]
    top: tuple[Change, ...]
    first_before: Change
    risen: tuple[Change, ...]
    fallen: tuple[Change, ...]


@torch.inference_mode()
def switched(
    pretrained: Pretrained,
    observation: Observation,
    block: str,
    branches: Iterable[str] = (),
    channels: Iterable[int] = (),
    off: str = "zero",
    *,
    top: int = 5,
    moved: int = 3,
) -> Switched:
    """The answer with whole branches and single channels of a block's output switched off.

    `channels` are counted through the concatenated output, from 0.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, branch or channel.
    """
    values = off_values(pretrained, block, off)
    known = {choice("branch", branch, NAMES) for branch in branches}
    gone, lost = tuple(branch for branch in NAMES if branch in known), tuple(channels)
    mask = branch_mask(pretrained, block, gone, lost)
    logits = logits_after(pretrained, block, torch.lerp(block_output(pretrained, observation, block), values, mask))
    now = pretrained.probabilities(logits)[0].cpu().numpy()
    after = logits[0].cpu().numpy()

    def change(index: int) -> Change:
        return Change(
            index=int(index),
            label=pretrained.labels[index],
            probability=float(now[index]),
            probability_before=float(observation.probabilities[index]),
            logit=float(after[index]),
            logit_before=float(observation.logits[index]),
        )

    differences = now - observation.probabilities
    order = np.argsort(differences, kind="stable")
    return Switched(
        block=block,
        off=off,
        branches=gone,
        channels=tuple(sorted(set(lost))),
        top=tuple(change(index) for index in np.argsort(-now, kind="stable")[:top]),
        first_before=change(observation.top(1)[0].index),
        risen=tuple(change(index) for index in order[::-1][:moved] if differences[index] > 0),
        fallen=tuple(change(index) for index in order[:moved] if differences[index] < 0),
    )


@dataclass(frozen=True)
class Glance:
    """How much the logit of a class falls when one branch of one block is off: 36 numbers.

    `falls` gives them by block and branch; a negative one says that the branch spoke against the class.
    """

    index: int
    label: str
    off: str
    logit: float
    falls: Mapping[str, Mapping[str, float]]


@torch.inference_mode()
def single_logits(pretrained: Pretrained, observation: Observation, off: str = "zero") -> dict[str, np.ndarray]:
    """All logits with one branch off, for each block: (4, classes), rows in the order of the branches.

    The 36 runs go through the network together: each block's four join those of the blocks before it.

    Raises:
        ChoiceError, ExplanationError: if there is no such way to be off.
    """
    changed = {}
    for block in BLOCKS:
        output, values = block_output(pretrained, observation, block), off_values(pretrained, block, off)
        masks = torch.cat([branch_mask(pretrained, block, [branch]) for branch in NAMES])
        changed[block] = torch.lerp(output, values, masks)
    return {block: _array(logits) for block, logits in batched_logits(pretrained, changed).items()}


def glance(
    pretrained: Pretrained,
    observation: Observation,
    wanted: str | int | None = None,
    off: str = "zero",
    logits: Mapping[str, np.ndarray] | None = None,
) -> Glance:
    """The whole network at a glance: each branch of each block switched off alone, in one pass.

    `logits` is what `single_logits` gave for the same, where it is at hand.

    Raises:
        ChoiceError, ExplanationError: if there is no such class or way to be off.
    """
    index = class_index(pretrained, observation, wanted)
    if logits is None:
        logits = single_logits(pretrained, observation, off)
    logit = float(observation.logits[index])
    return Glance(
        index=index,
        label=pretrained.labels[index],
        off=off,
        logit=logit,
        falls={
            block: {branch: logit - float(row[index]) for branch, row in zip(NAMES, logits[block], strict=True)}
            for block in BLOCKS
        },
    )


def _array(logits: torch.Tensor) -> np.ndarray:
    array = logits.float().cpu().numpy()
    array.flags.writeable = False
    return array
