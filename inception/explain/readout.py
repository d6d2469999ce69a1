"""Which channels of a block's output the layers behind it read, and how strongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..network.blocks import BLOCKS, BRANCHES, InceptionBlock
from ..network.inception_v1 import InceptionV1

# The layers of a block that take its input, one in each branch.
ENTRIES = tuple("pool_proj" if branch == "pool" else layers[0] for branch, layers in BRANCHES.items())
CLASSIFIER = "classifier"


@dataclass(frozen=True)
class ChannelReadout:
    """What the weights behind a block make of its channels, whatever the photo.

    `reader` is the next block, or "classifier". `strengths` (C,) is for each channel of the concatenated
    output the length (L2 norm) of all weights that multiply it, BatchNorm's factor included; `shares`
    is what part of the summed squares belongs to each branch.
    """

    block: str
    reader: str
    strengths: np.ndarray
    shares: Mapping[str, float]


def channel_readout(model: InceptionV1, block: str) -> ChannelReadout:
    """How strongly each channel of a block is read by what comes next.

    Raises:
        ChoiceError: if there is no such block.
        ValueError: if the block is the last one and the model was built without a classifier.
    """
    own, names = model.block(block), list(BLOCKS)
    if block == names[-1]:
        reader, squares = CLASSIFIER, _of_classifier(model)
    else:
        reader = names[names.index(block) + 1]
        squares = _of_block(model.block(reader))
    whole = float(squares.sum())
    return ChannelReadout(
        block=block,
        reader=reader,
        strengths=squares.sqrt().cpu().numpy(),
        shares={branch: float(squares[part].sum()) / whole if whole else 0.0 for branch, part in own.slices.items()},
    )


@torch.no_grad()
def _of_block(block: InceptionBlock) -> Tensor:
    return torch.stack([_squares(block[layer]) for layer in ENTRIES]).sum(dim=0)


def _squares(unit: nn.Module) -> Tensor:
    """Of a unit's weights, summed for each input channel, with the factors of its BatchNorm before or behind them."""
    layers = [layer for layer in unit.children() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    conv = next(layer for layer in layers if isinstance(layer, nn.Conv2d))
    squares = conv.weight.square().sum(dim=(2, 3))  # (C_out, C_in)
    for number, norm in enumerate(layers):
        if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None:
            factors = norm.weight.square() / (norm.running_var + norm.eps)
            squares = squares * (factors[None] if number == 0 else factors[:, None])
    return squares.sum(dim=0)


@torch.no_grad()
def _of_classifier(model: InceptionV1) -> Tensor:
    linear = next(layer for layer in model.required_head.modules() if isinstance(layer, nn.Linear))
    return linear.weight.square().sum(dim=0)
