"""Readout: how strongly the weights of the next layer read each channel of a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..network.blocks import BLOCKS, BRANCHES, ConvUnit, InceptionBlock, scaled_kernel
from ..network.inception_v1 import InceptionV1
from ..prediction import Prediction
from .masking import check_channel

# The first convolution of each branch, which takes the block's input.
ENTRIES = tuple("pool_proj" if branch == "pool" else layers[0] for branch, layers in BRANCHES.items())
CLASSIFIER = "classifier"


@dataclass(frozen=True, eq=False)
class ChannelReadout:
    """How strongly the next layer's weights read the channels of a block, independent of the photo.

    `reader` is the next block, or "classifier". `strengths` (C,) is, for each channel of the concatenated output, the
    L2 norm of all weights that multiply it, including BatchNorm's scale; `shares` is each branch's share of the summed
    squares.
    """

    block: str
    reader: str
    strengths: np.ndarray
    shares: Mapping[str, float]

    def to_dict(self, slices: Mapping[str, slice]) -> dict[str, Any]:
        """`block, reader, shares, strengths`.

        `shares` is by branch and adds up to 1; `strengths` gives by branch (`slices` of the output) a number for each
        of its channels.
        """
        return {
            "block": self.block,
            "reader": self.reader,
            "shares": dict(self.shares),
            "strengths": {branch: self.strengths[part].tolist() for branch, part in slices.items()},
        }


@dataclass(frozen=True)
class HighestCell:
    """The cell of a map with the highest value."""

    row: int
    column: int
    value: float


@dataclass(frozen=True)
class ChannelSummary:
    """One channel of a branch, for one photo.

    `number` is the channel's in the block's whole output. `strength` is how strongly `reader` reads it, `rank` is 1
    for the channel that it reads most strongly.
    """

    block: str
    branch: str
    channel: int
    number: int
    lowest: float
    highest: float
    mean: float
    zero_share: float
    cell: HighestCell
    strength: float
    rank: int
    reader: str

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; `cell` is `{"row", "column", "value"}`."""
        return asdict(self)


def channel_summary(prediction: Prediction, readout: ChannelReadout, branch: str, channel: int) -> ChannelSummary:
    """Summarise a channel, counted from 0 within its branch.

    Raises:
        ChoiceError, ExplanationError: if there is no such branch or channel.
    """
    maps = prediction.branch(readout.block, branch)
    channel = check_channel(f"{readout.block}/{branch}", channel, len(maps))
    values = maps[channel]
    number = prediction.slices[readout.block][branch].start + channel
    row, column = divmod(int(values.argmax()), values.shape[1])
    strength = float(readout.strengths[number])
    return ChannelSummary(
        block=readout.block,
        branch=branch,
        channel=channel,
        number=number,
        lowest=float(values.min()),
        highest=float(values.max()),
        mean=float(values.mean()),
        zero_share=float((values == 0).mean()),
        cell=HighestCell(row, column, float(values[row, column])),
        strength=strength,
        rank=int((readout.strengths > strength).sum()) + 1,
        reader=readout.reader,
    )


def channel_readout(model: InceptionV1, block: str) -> ChannelReadout:
    """Return how strongly the next layer reads each channel of a block.

    Raises:
        ChoiceError: if there is no such block.
        ValueError: if the block is the last one and the model has no classifier.
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
    units = (cast("ConvUnit", block[layer]) for layer in ENTRIES)
    return torch.stack([scaled_kernel(unit).float().square().sum(dim=(0, 2, 3)) for unit in units]).sum(dim=0)


@torch.no_grad()
def _of_classifier(model: InceptionV1) -> Tensor:
    linear = next(layer for layer in model.required_head.modules() if isinstance(layer, nn.Linear))
    return linear.weight.float().square().sum(dim=0)
