"""Ablation table: each branch of each block off alone."""

from typing import TYPE_CHECKING

from ..registry import Ablation, ClassName, Subject, explanation

if TYPE_CHECKING:
    from ..ablation import AblationTable


@explanation(option="table", key="table", position=2)
def network_table(subject: Subject, *, class_name: ClassName = "", off: Ablation = "zero") -> "AblationTable":
    """The whole network at a glance: how much a class's logit falls when one branch of one block is off.

    Returns:
        the class, its logit, and for each of the nine blocks and four branches the fall; below zero it rises
    """
    from ..ablation import ablation_table, single_ablation_logits

    logits = subject.cached(single_ablation_logits, off)
    return ablation_table(subject.pretrained, subject.prediction, class_name, off, logits)
