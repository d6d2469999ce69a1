"""Ablation table: each branch of each block switched off alone."""

from typing import TYPE_CHECKING

from ..registry import Ablation, ClassName, Subject, explanation

if TYPE_CHECKING:
    from ..ablation import AblationTable


@explanation(option="table", key="table", position=2)
def network_table(subject: Subject, *, class_name: ClassName = "", off: Ablation = "zero") -> "AblationTable":
    """How much the logit of a class falls when one branch of one block is switched off, for all 36 branches.

    Returns:
        the class, its logit, and the fall for each of the four branches of the nine blocks; negative if it rises
    """
    from ..ablation import ablation_table, single_ablation_logits

    logits = subject.cached(single_ablation_logits, off)
    return ablation_table(subject.pretrained, subject.prediction, class_name, off, logits)
