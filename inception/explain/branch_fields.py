"""Cores of the effective receptive fields of the four branches of a block at its middle cell."""

from __future__ import annotations

from dataclasses import dataclass

from ..network.anatomy import receptive_field
from ..network.blocks import BRANCHES
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .receptive_field import Square, effective_fields
from .registry import CORE_SHARE


@dataclass(frozen=True)
class FieldCore:
    """The square of input pixels that holds `share` of the energy of a cell's effective receptive field.

    It is empty (`right` is `left`) if all channels of the branch are zero at the cell.
    """

    row: int
    column: int
    share: float
    square: Square


def middle_cores(
    pretrained: PretrainedModel, prediction: Prediction, block: str, share: float = CORE_SHARE
) -> dict[str, FieldCore]:
    """Return by branch the core of the effective receptive field of the block's middle cell, for this photo.

    The middle cell is the one whose receptive field is centred nearest to the middle of the input.

    Raises:
        ChoiceError: if there is no such block.
    """
    _, height, width = prediction.block(block).shape
    # The centre is the same for the four branches, whose kernels are padded on both sides alike.
    field = receptive_field(pretrained.model, block, next(iter(BRANCHES)))
    row = field.middle_cell(height, prediction.image.height)
    column = field.middle_cell(width, prediction.image.width)
    fields = effective_fields(pretrained, prediction, block, row, column)
    return {branch: FieldCore(row, column, share, field.core(share)) for branch, field in fields.items()}
