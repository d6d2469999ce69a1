"""Ablation: the answer with branches and channels of a block switched off."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from ..registry import BRANCH_NAMES, MAX_CHANNELS, Ablation, Argument, Block, Subject, explanation

if TYPE_CHECKING:
    from ...pretrained.pretrained import PretrainedModel
    from ..ablation import AblationResult

Branches = Annotated[
    Sequence[str],
    Argument(
        "Branches that are off",
        "the branches that are switched off",
        choices=BRANCH_NAMES,
        option="switch-off",
        metavar="BRANCH",
    ),
]
Channels = Annotated[
    Sequence[int],
    Argument(
        "Channels that are off: a list of numbers, counted from 0",
        "numbers of single channels of the block's output that are switched off too, counted from 0",
        minimum=0,
        max_length=MAX_CHANNELS,
    ),
]


def _check(
    pretrained: "PretrainedModel", *, block: str, branches: Sequence[str], channels: Sequence[int], off: str
) -> None:
    from ..masking import ablation_values, branch_mask

    ablation_values(pretrained, block, off)
    branch_mask(pretrained, block, branches, channels)


@explanation(key="switched", position=5, check=_check)
def switch_off(
    subject: Subject, *, block: Block = "3a", branches: Branches = (), channels: Channels = (), off: Ablation = "zero"
) -> "AblationResult":
    """The network's answer with branches of a block, or single channels of its output, switched off.

    Returns:
        the most probable classes, each with its probability before and after; the class that was most probable
        before; and the classes that rose and fell most
    """
    from ..ablation import ablate

    # Sorted and once each, so that equal questions have one place in a cache.
    return subject.cached(ablate, block, tuple(sorted(set(branches))), tuple(sorted(set(channels))), off)
