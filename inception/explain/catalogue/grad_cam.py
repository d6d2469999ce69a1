"""Grad-CAM of a block and its branches."""

from typing import TYPE_CHECKING

from ..registry import Block, ClassName, Subject, explanation

if TYPE_CHECKING:
    from ..attribution import GradCams


# No tool: assistants get the pictures, from `overlays`.
@explanation(option="cam", key="cam", position=4, is_tool=False, has_maps=True)
def grad_cam(subject: Subject, *, block: Block = "3a", class_name: ClassName = "") -> "GradCams":
    """Grad-CAM of a class at a block, and at each of its branches, in numbers.

    The endpoint `overlays` has the pictures.

    Returns:
        the class, the size of the maps, and for each branch and the whole block ("all") the lowest and highest
        value and the row and column of the highest cell
    """
    from ..attribution import GradCams, grad_cams

    return GradCams(subject.cached(grad_cams, block, class_name))
