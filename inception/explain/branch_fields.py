"""Effective receptive fields of the four branches of a block at its middle cell, from one forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..network.blocks import BRANCHES
from ..network.inception_v1 import STAGES
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .receptive_field import EffectiveField, Square, cell_square

CORE = 0.9  # of the energy of an effective receptive field


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
    pretrained: PretrainedModel, prediction: Prediction, block: str, share: float = CORE
) -> dict[str, FieldCore]:
    """Return by branch the core of the effective receptive field of the block's middle cell, for this photo.

    Of an even number of rows the middle one is the first of the lower half, and of columns likewise.

    Raises:
        ChoiceError: if there is no such block.
    """
    _, height, width = prediction.block(block).shape
    fields = effective_fields(pretrained, prediction, block, height // 2, width // 2)
    return {branch: FieldCore(field.row, field.column, share, field.core(share)) for branch, field in fields.items()}


def effective_fields(
    pretrained: PretrainedModel, prediction: Prediction, block: str, row: int, column: int
) -> dict[str, EffectiveField]:
    """Return by branch what `effective_field` does, in about a third of the time: one forward pass serves all four.

    Raises:
        ChoiceError: if there is no such block.
        CellError: if the map has no such cell.
    """
    squares = {branch: cell_square(pretrained.model, block, branch, row, column) for branch in BRANCHES}
    engine, fields = pretrained.engine, {}
    # Enable gradients even inside a caller's no_grad or inference_mode.
    with torch.inference_mode(False), torch.enable_grad():
        x = pretrained.preprocessing.to_tensor(prediction.image).to(pretrained.device).requires_grad_()
        y = x
        for stage in STAGES[: STAGES.index(f"inception_{block}")]:
            y = engine.get_submodule(stage)(y)
        outputs = engine.block(block).trace(y)
        for branch, layers in BRANCHES.items():
            total = outputs[layers[-1]][0, :, row, column].sum()
            # autograd.grad, unlike backward, leaves no gradients on the model's parameters.
            (gradient,) = torch.autograd.grad(total, x, retain_graph=True)
            energy = gradient[0].square().sum(dim=0).float().cpu().numpy()
            energy.flags.writeable = False
            fields[branch] = EffectiveField(block, branch, row, column, squares[branch], energy)
    return fields
