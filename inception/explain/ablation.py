"""What each branch of a block is worth for a class: exact Shapley values, switches, and the whole network's table.

Shapley, "A value for n-person games", 1953. The four branches are the players, the class's logit
is what they play for, and a branch that does not play is switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from inception.explain.shapley import BRANCH_NAMES, _array

from ..checks import choice
from ..network.blocks import BLOCKS
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .masking import ablation_values, batched_logits, block_output, branch_mask, class_index, logits_from


@dataclass(frozen=True)
class ClassChange:
    """One class before and after something was switched off."""

    index: int
    label: str
    probability: float
    probability_before: float
    logit: float
    logit_before: float

    def to_dict(self) -> dict[str, Any]:
        """`class, label, probability, probability_before, logit, logit_before`."""
        row = asdict(self)
        return {"class": row.pop("index"), **row}


@dataclass(frozen=True)
class AblationResult:
    """The answer with parts of a block switched off.

    `top` are the most probable classes now, `first_before` is the one that was most probable before;
    `risen` and `fallen` are those whose probability changed most.
    """

    block: str
    off: str
    branches: tuple[str, ...]
    channels: tuple[int, ...]
    top: tuple[ClassChange, ...]
    first_before: ClassChange
    risen: tuple[ClassChange, ...]
    fallen: tuple[ClassChange, ...]

    def to_dict(self) -> dict[str, Any]:
        """`block, off, branches, channels, first_before, top, risen, fallen`; the last four as `ClassChange`."""
        return {
            "block": self.block,
            "off": self.off,
            "branches": list(self.branches),
            "channels": list(self.channels),
            "first_before": self.first_before.to_dict(),
            "top": [change.to_dict() for change in self.top],
            "risen": [change.to_dict() for change in self.risen],
            "fallen": [change.to_dict() for change in self.fallen],
        }


@torch.inference_mode()
def ablate(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    branches: Iterable[str] = (),
    channels: Iterable[int] = (),
    off: str = "zero",
    *,
    top: int = 5,
    moved: int = 3,
) -> AblationResult:
    """The answer with whole branches and single channels of a block's output switched off.

    `channels` are counted through the concatenated output, from 0.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, branch or channel.
    """
    values = ablation_values(pretrained, block, off)
    known = {choice("branch", branch, BRANCH_NAMES) for branch in branches}
    gone, lost = tuple(branch for branch in BRANCH_NAMES if branch in known), tuple(channels)
    mask = branch_mask(pretrained, block, gone, lost)
    logits = logits_from(pretrained, block, torch.lerp(block_output(pretrained, prediction, block), values, mask))
    now = pretrained.probabilities(logits)[0].cpu().numpy()
    after = logits[0].cpu().numpy()

    def change(index: int) -> ClassChange:
        return ClassChange(
            index=int(index),
            label=pretrained.labels[index],
            probability=float(now[index]),
            probability_before=float(prediction.probabilities[index]),
            logit=float(after[index]),
            logit_before=float(prediction.logits[index]),
        )

    differences = now - prediction.probabilities
    order = np.argsort(differences, kind="stable")
    return AblationResult(
        block=block,
        off=off,
        branches=gone,
        channels=tuple(sorted(set(lost))),
        top=tuple(change(index) for index in np.argsort(-now, kind="stable")[:top]),
        first_before=change(prediction.top(1)[0].index),
        risen=tuple(change(index) for index in order[::-1][:moved] if differences[index] > 0),
        fallen=tuple(change(index) for index in order[:moved] if differences[index] < 0),
    )


@dataclass(frozen=True)
class AblationTable:
    """How much the logit of a class falls when one branch of one block is off: 36 numbers.

    `falls` gives them by block and branch; a negative one says that the branch spoke against the class.
    """

    index: int
    label: str
    off: str
    logit: float
    falls: Mapping[str, Mapping[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """`class, label, off, logit, falls`; `falls` is by block and branch."""
        return {
            "class": self.index,
            "label": self.label,
            "off": self.off,
            "logit": self.logit,
            "falls": {block: dict(row) for block, row in self.falls.items()},
        }


@torch.inference_mode()
def single_ablation_logits(
    pretrained: PretrainedModel, prediction: Prediction, off: str = "zero"
) -> dict[str, np.ndarray]:
    """All logits with one branch off, for each block: (4, classes), rows in the order of the branches.

    The 36 runs go through the network together: each block's four join those of the blocks before it.

    Raises:
        ChoiceError, ExplanationError: if there is no such way to be off.
    """
    changed = {}
    for block in BLOCKS:
        output, values = block_output(pretrained, prediction, block), ablation_values(pretrained, block, off)
        masks = torch.cat([branch_mask(pretrained, block, [branch]) for branch in BRANCH_NAMES])
        changed[block] = torch.lerp(output, values, masks)
    return {block: _array(logits) for block, logits in batched_logits(pretrained, changed).items()}


def ablation_table(
    pretrained: PretrainedModel,
    prediction: Prediction,
    wanted: str | int | None = None,
    off: str = "zero",
    logits: Mapping[str, np.ndarray] | None = None,
) -> AblationTable:
    """The whole network at a glance: each branch of each block switched off alone, in one pass.

    `logits` is what `single_logits` gave for the same, where it is at hand.

    Raises:
        ChoiceError, ExplanationError: if there is no such class or way to be off.
    """
    index = class_index(pretrained, prediction, wanted)
    if logits is None:
        logits = single_ablation_logits(pretrained, prediction, off)
    logit = float(prediction.logits[index])
    return AblationTable(
        index=index,
        label=pretrained.labels[index],
        off=off,
        logit=logit,
        falls={
            block: {branch: logit - float(row[index]) for branch, row in zip(BRANCH_NAMES, logits[block], strict=True)}
            for block in BLOCKS
        },
    )
