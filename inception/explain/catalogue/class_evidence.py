"""Evidence: the exact split of a logit over the cells of block 5b."""

from typing import TYPE_CHECKING

from ..registry import ClassName, Subject, explanation

if TYPE_CHECKING:
    from ..attribution import Evidence


@explanation(option="evidence", key="evidence", position=3, has_maps=True)
def class_evidence(subject: Subject, *, class_name: ClassName = "") -> "Evidence":
    """Where in the photo the evidence for a class lies: its logit split over the cells of block 5b.

    The split is exact: the amounts of the four branches and the rest (biases) add up to the logit.

    Returns:
        the class, its logit, the amount of each branch, their maps cell by cell, and the channels that raise and
        lower the logit most
    """
    from ..attribution import evidence

    return subject.cached(evidence, class_name)
