"""The middle cell of a layer's maps, whose receptive field is centred nearest to the middle of the input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..checks import choice
from ..explain.receptive_field import map_size
from ..network.anatomy import PIXEL, ReceptiveField, receptive_field
from ..network.blocks import BLOCKS, BRANCHES
from ..network.inception_v1 import STAGES, InceptionV1, stage_of
from ..network.overflow import check_overflow
from ..prediction import input_batch
from ..pretrained.pretrained import PretrainedModel

FIRST_LAYER = "conv1"  # the stem's first convolution with its ReLU
LAYERS = (FIRST_LAYER, *BLOCKS)
BATCH = 16  # pictures


@dataclass(frozen=True)
class MiddleCell:
    """A cell by row and column, and the centre (`x`, `y`) of its receptive field in pixels of the input."""

    row: int
    column: int
    x: float
    y: float


def middle_cell(pretrained: PretrainedModel, layer: str) -> MiddleCell:
    """Return the middle cell of a block, or of "conv1".

    The centre is the same for the four branches of a block, whose kernels are padded on both sides alike.

    Raises:
        ChoiceError: if there is no such layer.
    """
    choice("layer", layer, LAYERS)
    model = pretrained.model
    if layer == FIRST_LAYER:
        field = _first_field(model)
        height, width = (1 + (side - 1) // field.stride for side in model.input_shape[1:])
    else:
        field = receptive_field(model, layer, next(iter(BRANCHES)))
        height, width = map_size(model, layer)
    row, column = (field.middle_cell(cells, pretrained.input_size) for cells in (height, width))
    return MiddleCell(row, column, x=field.centre(column), y=field.centre(row))


def _first_convolution(model: InceptionV1) -> nn.Conv2d:
    return model.stem.get_submodule(f"{FIRST_LAYER}.conv")  # type: ignore[return-value]


def _first_field(model: InceptionV1) -> ReceptiveField:
    conv = _first_convolution(model)
    return PIXEL.through(conv.kernel_size[0], conv.stride[0], conv.kernel_size[0] // 2)


@torch.inference_mode()
def middle_values(
    pretrained: PretrainedModel, images: Iterable[Image.Image], layers: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return for each layer the values (N, C) of its channels at its middle cell, float64, behind the ReLU.

    Args:
        images: network inputs as pictures; each runs up to the last of the layers only.

    Raises:
        ChoiceError: if there is no such layer.
        WeightsError: if activations overflow.
    """
    cells = {layer: middle_cell(pretrained, layer) for layer in layers}
    rows: dict[str, list[np.ndarray]] = {layer: [] for layer in cells}
    pictures = iter(images)
    while batch := list(islice(pictures, BATCH)):
        for layer, maps in _maps(pretrained, input_batch(pretrained, batch), tuple(cells)).items():
            values = maps[:, :, cells[layer].row, cells[layer].column].cpu().double()
            check_overflow(pretrained.name, [values])
            rows[layer].append(values.numpy())
    return {layer: np.concatenate(values) for layer, values in rows.items()}


def _maps(pretrained: PretrainedModel, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the maps (N, C, H, W) of the layers."""
    maps: dict[str, Tensor] = {}
    if FIRST_LAYER in layers:
        maps[FIRST_LAYER] = pretrained.plain.stem.get_submodule(FIRST_LAYER)(x)
    last = max((STAGES.index(stage_of(layer)) for layer in layers if layer != FIRST_LAYER), default=-1)
    for stage in STAGES[: last + 1]:
        x = pretrained.engine.get_submodule(stage)(x)
        if stage.removeprefix("inception_") in layers:
            maps[stage.removeprefix("inception_")] = x
    return maps
