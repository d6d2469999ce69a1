"""Faithfulness: whether an attribution map can be trusted, by removing pixels and by randomising weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ...checks import choice
from ..registry import ATTRIBUTIONS, BLOCK_NAMES, Argument, Block, ClassName, Subject, explanation

if TYPE_CHECKING:
    from ...pretrained.pretrained import PretrainedModel
    from ..faithfulness import PixelCurves
    from ..randomised import RandomisedLevel

Method = Annotated[
    str,
    Argument(
        "Attribution method",
        "the method whose map is tested; Grad-CAM is that of the chosen block",
        choices=ATTRIBUTIONS,
    ),
]


@dataclass(frozen=True)
class Faithfulness:
    """Two tests of one map: insertion and deletion of pixels, and the network with random weights."""

    block: str
    curves: "PixelCurves"
    randomised: "tuple[RandomisedLevel, ...]"

    def to_dict(self) -> dict[str, Any]:
        """`method, block, class, label`, the curves, `randomised`.

        The curves are `insertion, deletion, insertion_auc, deletion_auc, random, insertion_beats_random,
        deletion_beats_random`.

        `block` is None except for Grad-CAM. `insertion` and `deletion` are the class's probability after each equal
        part of the pixels, the first after none; the areas under them are 0 to 1. `random` is a list of the same four
        for orders that shuffle the map's cells. `randomised` is a list of `{"stage", "correlation", "correlations",
        "chance", "exceeds_chance"}`: the signed rank correlations with the maps of several networks whose weights are
        random from the head down to that stage, their mean without signs, and what 99 % of displaced maps stay below;
        None where maps are constant.
        """
        curves = self.curves
        return {
            "method": curves.method,
            "block": self.block if curves.method == "grad_cam" else None,
            "class": curves.index,
            "label": curves.label,
            **curves.ordered.to_dict(),
            "random": [order.to_dict() for order in curves.random],
            "insertion_beats_random": curves.insertion_beats_random,
            "deletion_beats_random": curves.deletion_beats_random,
            "randomised": [level.to_dict() for level in self.randomised],
        }


def _check(_: "PretrainedModel", *, method: str, block: str, **__: str) -> None:
    choice("method", method, ATTRIBUTIONS)
    choice("block", block, BLOCK_NAMES)


@explanation(position=11, is_slow=True, check=_check)
def faithfulness(
    subject: Subject, *, method: Method = "grad_cam", block: Block = "3a", class_name: ClassName = ""
) -> Faithfulness:
    """Whether an attribution map can be trusted: two tests, each against chance.

    Insertion and deletion: how the class's probability changes as pixels are inserted into a blurred photo, or deleted
    to grey, in the order of the map and in random orders. Random weights: whether the map changes when the network is
    randomised from the top down, as it should.

    Returns:
        both curves with the areas under them, in the order of the map and in random orders, and for each part of the
        network that was randomised how far the maps of such networks correlate with the original one, and how far
        they do by chance
    """
    from ..attribution_maps import block_of_map
    from ..faithfulness import pixel_curves
    from ..randomised import randomised_levels

    arguments = (method, block_of_map(method, block), class_name)
    curves, levels = subject.cached(pixel_curves, *arguments), subject.cached(randomised_levels, *arguments)
    return Faithfulness(block, curves, levels)
