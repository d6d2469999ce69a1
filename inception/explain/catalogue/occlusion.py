"""Occlusion: the fall of a logit while a grey square covers a part of the photo."""

from typing import TYPE_CHECKING

from ..registry import ClassName, Subject, explanation

if TYPE_CHECKING:
    from ..occlusion import Occlusion


@explanation(position=9, has_maps=True, is_slow=True)
def occlusion(subject: Subject, *, class_name: ClassName = "") -> "Occlusion":
    """How far the logit of a class falls while a grey square covers a part of the photo, place by place.

    Returns:
        the class, its logit, the side of the square and its step in pixels, and the fall for each place by row and
        column; negative where the logit rises
    """
    from .. import occlusion as compute

    return subject.cached(compute.occlusion, class_name)
