"""Accuracy without branches: how much worse a network gets on a data set without one branch of a block.

As a control, the same number of channels is drawn at random from the whole block, several times. A branch matters more
than its size explains if the accuracy without it lies clearly below that without such a random set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import choice, whole
from ..explain.masking import ablation_values, branch_mask, logits_from
from ..network.blocks import BLOCKS, BRANCHES
from ..network.inception_v1 import STAGES
from ..pretrained.pretrained import PretrainedModel
from ..runtime.progress import Progress
from .evaluation import input_batches
from .matching import known_photos, match_classes
from .photos import LabelledPhotos

DRAWS = 5  # of random channel sets for each branch
MAX_DRAWS = 1000
EVERY_BRANCH = tuple((block, branch) for block in BLOCKS for branch in BRANCHES)


@dataclass(frozen=True)
class WithoutBranch:
    """Top-1 accuracy, as a fraction of 1, without a branch and without random sets of as many channels.

    `control` is the mean over the sets and `control_deviation` their standard deviation (of the sample; 0 for one set).
    """

    block: str
    branch: str
    channels: int
    top1: float
    control: float
    control_deviation: float

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class WithoutBranches:
    """Top-1 accuracy of a network on `images` photos as it is, and without each of some branches.

    `ablation` is what replaces the channels: "zero", or "mean", each channel's mean over training photos.
    """

    images: int
    ablation: str
    draws: int
    top1: float
    branches: tuple[WithoutBranch, ...]

    def to_dict(self) -> dict[str, Any]:
        """`images, off, draws, top1, branches`; `branches` as `WithoutBranch`, in the order of the network."""
        return {
            "images": self.images,
            "off": self.ablation,
            "draws": self.draws,
            "top1": self.top1,
            "branches": [one.to_dict() for one in self.branches],
        }


@torch.inference_mode()
def evaluate_without(
    pretrained: PretrainedModel,
    photos: LabelledPhotos,
    branches: Sequence[tuple[str, str]] = EVERY_BRANCH,
    ablation: str = "zero",
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = iter,
) -> WithoutBranches:
    """Evaluate without each branch, on every readable photo of a class that the network has.

    Each batch runs up to each block once, and from there on once for every branch and every random set.

    Args:
        branches: pairs of block and branch; each counts once.
        ablation: what replaces the channels.
        draws: random sets for each branch.
        seed: of the sets, which do not depend on the other branches measured.
        progress: may wrap the iteration over batches.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, branch or ablation.
        UserError: if `draws` is not from 1 to `MAX_DRAWS`.
        DataError: if the network has none of the data's classes, or no photo can be read.
    """
    for block, branch in branches:
        choice("block", block, tuple(BLOCKS))
        choice("branch", branch, tuple(BRANCHES))
    wanted = set(branches)
    draws = whole("draws", draws, 1, MAX_DRAWS)
    masks = {one: _masks(pretrained, *one, draws, seed) for one in EVERY_BRANCH if one in wanted}
    values = {block: ablation_values(pretrained, block, ablation) for block, _ in masks}
    classes = match_classes(pretrained, photos)
    known, _ = known_photos(pretrained, photos)
    right = {one: np.zeros(1 + draws, int) for one in masks}
    images, right_as_it_is = 0, 0
    for batch in input_batches(pretrained, known, progress):
        if not batch.readable:
            continue
        targets = torch.tensor([classes[known.targets[index]] for index in batch.readable], device=pretrained.device)
        images += len(targets)
        x = batch.inputs.to(pretrained.device)
        for stage in STAGES:
            x = pretrained.engine.get_submodule(stage)(x)
            block = stage.removeprefix("inception_")
            for one in (one for one in masks if one[0] == block):
                changed = (logits_from(pretrained, block, torch.lerp(x, values[block], mask)) for mask in masks[one])
                right[one] += [_right(logits, targets) for logits in changed]
        right_as_it_is += _right(pretrained.engine.required_head(x), targets)
    return WithoutBranches(
        images=images,
        ablation=ablation,
        draws=draws,
        top1=right_as_it_is / images,
        branches=tuple(_without(pretrained, one, counts / images) for one, counts in right.items()),
    )


def control_sets(
    pretrained: PretrainedModel, block: str, branch: str, draws: int = DRAWS, seed: int = 0
) -> tuple[tuple[int, ...], ...]:
    """Return `draws` random sets of as many channels as a branch has, drawn from its whole block."""
    module = pretrained.model.block(block)
    channels, size = sum(module.branch_channels.values()), module.branch_channels[branch]
    generator = np.random.default_rng([seed, EVERY_BRANCH.index((block, branch))])
    return tuple(tuple(generator.choice(channels, size, replace=False).tolist()) for _ in range(draws))


def _masks(pretrained: PretrainedModel, block: str, branch: str, draws: int, seed: int) -> list[Tensor]:
    """Return the masks (1, C, 1, 1) of a branch and of its control sets."""
    sets = control_sets(pretrained, block, branch, draws, seed)
    controls = (branch_mask(pretrained, block, [], channels) for channels in sets)
    return [branch_mask(pretrained, block, [branch]), *controls]


def _right(logits: Tensor, targets: Tensor) -> int:
    return int((logits.argmax(dim=1) == targets).sum())


def _without(pretrained: PretrainedModel, one: tuple[str, str], accuracy: np.ndarray) -> WithoutBranch:
    """Summarise the accuracy (1 + draws,) without a branch, and without each random set."""
    block, branch = one
    control = accuracy[1:]
    return WithoutBranch(
        block=block,
        branch=branch,
        channels=pretrained.model.block(block).branch_channels[branch],
        top1=float(accuracy[0]),
        control=float(control.mean()),
        control_deviation=float(control.std(ddof=1)) if len(control) > 1 else 0.0,
    )
