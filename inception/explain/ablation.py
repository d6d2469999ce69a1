"""Ablation: the answer without branches or channels of a block, and the table of all 36 branches.

Meyes et al., "Ablation Studies in Artificial Neural Networks", 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ..checks import choice
from ..network.blocks import BLOCKS
from ..prediction import Prediction, to_array
from ..pretrained.pretrained import PretrainedModel
from .masking import ablation_values, batched_logits, block_output, branch_mask, class_index, logits_from
from .shapley import BRANCH_NAMES


@dataclass(frozen=True)
class ClassChange:
    """One class before and after an ablation."""

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
    """The answer with branches or channels of a block ablated.

    `top` are the most probable classes after the ablation, `first_before` the most probable one before it; `risen` and
    `fallen` are the classes whose probability changed most.
    """

    block: str
    ablation: str
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
            "off": self.ablation,
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
    ablation: str = "zero",
    *,
    top: int = 5,
    moved: int = 3,
) -> AblationResult:
    """Return the answer with whole branches and single channels of a block's output ablated.

    Args:
        branches: names, or one name.
        channels: numbers in the block's concatenated output, from 0.
        ablation: what replaces them: "zero", or "mean", each channel's mean over training photos.
        top: length of `AblationResult.top`.
        moved: greatest length of `risen` and `fallen`.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, branch or channel.
    """
    values = ablation_values(pretrained, block, ablation)
    named = (branches,) if isinstance(branches, str) else branches
    chosen = {choice("branch", branch, BRANCH_NAMES) for branch in named}
    ablated_branches = tuple(branch for branch in BRANCH_NAMES if branch in chosen)
    ablated_channels = tuple(channels)
    mask = branch_mask(pretrained, block, ablated_branches, ablated_channels)
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
        ablation=ablation,
        branches=ablated_branches,
        channels=tuple(sorted({int(channel) for channel in ablated_channels})),  # NumPy's are not for JSON
        top=tuple(change(index) for index in np.argsort(-after, kind="stable")[: max(top, 0)]),
        first_before=change(prediction.top(1)[0].index),
        risen=tuple(change(index) for index in order[::-1][: max(moved, 0)] if differences[index] > 0),
        fallen=tuple(change(index) for index in order[: max(moved, 0)] if differences[index] < 0),
    )


@dataclass(frozen=True)
class AblationTable:
    """How much the logit of a class falls when one branch of one block is ablated: 36 numbers.

    `falls` is by block and branch; a negative number means that the branch lowered the logit.
    """

    index: int
    label: str
    ablation: str
    logit: float
    falls: Mapping[str, Mapping[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """`class, label, off, logit, falls`; `falls` is by block and branch."""
        return {
            "class": self.index,
            "label": self.label,
            "off": self.ablation,
            "logit": self.logit,
            "falls": {block: dict(row) for block, row in self.falls.items()},
        }


@torch.inference_mode()
def single_ablation_logits(
    pretrained: PretrainedModel, prediction: Prediction, ablation: str = "zero"
) -> dict[str, np.ndarray]:
    """Return for each block the logits (4, classes) with one branch ablated, in the order of the branches.

    The 36 runs are one batch that grows: each block's four outputs join those of the blocks before it.

    Raises:
        ChoiceError, ExplanationError: if there is no such ablation.
    """
    changed = {}
    for block in BLOCKS:
        output, values = block_output(pretrained, prediction, block), ablation_values(pretrained, block, ablation)
        masks = torch.cat([branch_mask(pretrained, block, [branch]) for branch in BRANCH_NAMES])
        changed[block] = torch.lerp(output, values, masks)
    return {block: to_array(logits) for block, logits in batched_logits(pretrained, changed).items()}


def ablation_table(
    pretrained: PretrainedModel,
    prediction: Prediction,
    target: str | int | None = None,
    ablation: str = "zero",
    logits: Mapping[str, np.ndarray] | None = None,
) -> AblationTable:
    """Return how much the logit of a class falls without each branch of each block, from one pass.

    Args:
        target: class name or number; the most probable class by default.
        ablation: as for `ablate`.
        logits: result of `single_ablation_logits` for the same arguments, if available.

    Raises:
        ChoiceError, ExplanationError: if there is no such class or ablation.
    """
    index = class_index(pretrained, prediction, target)
    if logits is None:
        logits = single_ablation_logits(pretrained, prediction, ablation)
    logit = float(prediction.logits[index])
    return AblationTable(
        index=index,
        label=pretrained.labels[index],
        ablation=ablation,
        logit=logit,
        falls={
            block: {branch: logit - float(row[index]) for branch, row in zip(BRANCH_NAMES, logits[block], strict=True)}
            for block in BLOCKS
        },
    )
