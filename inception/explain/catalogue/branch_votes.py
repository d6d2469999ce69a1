"""Votes: the Shapley value of each branch of a block."""

from typing import TYPE_CHECKING

from ..registry import Ablation, Block, ClassName, Subject, explanation

if TYPE_CHECKING:
    from ...pretrained.pretrained import PretrainedModel
    from ..shapley import BranchVotes


def _check(pretrained: "PretrainedModel", *, block: str, off: str, **_: str) -> None:
    from ..masking import ablation_values

    ablation_values(pretrained, block, off)


@explanation(option="votes", key="votes", position=1, check=_check)
def branch_votes(
    subject: Subject, *, block: Block = "3a", class_name: ClassName = "", off: Ablation = "zero"
) -> "BranchVotes":
    """How much each of a block's four branches contributes to the logit of a class.

    The votes are exact Shapley values; with the baseline (all four branches off) they add up to the logit.

    Returns:
        the class, its logit and probability, the baseline, the vote of each branch, and the logits and
        probabilities of all sixteen subsets of the branches
    """
    from .. import shapley

    logits = subject.cached(shapley.subset_logits, block, off)
    return shapley.branch_votes(subject.pretrained, subject.prediction, block, class_name, off, logits)
