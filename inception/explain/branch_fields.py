"""Cores of the effective receptive fields of the four branches of a block at its middle cell."""

from __future__ import annotations

from dataclasses import dataclass

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

    Of an even number of rows the middle one is the first of the lower half, and of columns likewise.

    Raises:
        ChoiceError: if there is no such block.
    """
    _, height, width = prediction.block(block).shape
    fields = effective_fields(pretrained, prediction, block, height // 2, width // 2)
    return {branch: FieldCore(field.row, field.column, share, field.core(share)) for branch, field in fields.items()}
