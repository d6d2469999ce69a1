"""Integrated gradients: each pixel's contribution to the change of the logit from a grey image to the photo."""

from typing import TYPE_CHECKING

from ..registry import ClassName, Subject, explanation

if TYPE_CHECKING:
    from ..integrated_gradients import IntegratedGradients


# No tool: without the picture, an assistant can do little with it.
@explanation(position=10, is_tool=False, has_maps=True, is_slow=True)
def integrated_gradients(subject: Subject, *, class_name: ClassName = "") -> "IntegratedGradients":
    """Integrated gradients: each pixel's contribution to the change of the logit from a grey image to the photo.

    Returns:
        the class, its logit for the photo and for plain grey, the sum of all pixels with its error, and the lowest and
        highest value with the row and column of the highest
    """
    from .. import integrated_gradients as compute

    return subject.cached(compute.integrated_gradients, class_name)
