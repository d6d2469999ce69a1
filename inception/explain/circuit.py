"""Exact circuits: one number of the network as a sum over the channels of the block before it.

Behind the stem the network is piecewise linear: with the ReLUs and max pools switched as they are for this photo, each
logit, and each cell of a block before its ReLU, is a constant plus the sum over the activations of the block before of
gradient times activation (Shrikumar et al., "Not Just a Black Box", 2016; for the pieces Montufar et al., "On the
Number of Linear Regions of Deep Neural Networks", NIPS 2014). The constant is what the biases contribute.

The walk from a logit back to the stem's output is exact for every variant. It ends there: inside the stem the paper's
local response normalisation divides by its own input, which no gradient times activation adds up to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from torch import nn

from ..checks import choice
from ..network.blocks import BLOCKS, BRANCHES
from ..network.inception_v1 import STAGES, InceptionV1, stage_of
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .attribution import LAST_BLOCK, WHOLE
from .linear_piece import leaves, split_on_piece
from .masking import check_channel, class_index
from .receptive_field import check_cell, map_size

STEM = STAGES[0]


@dataclass(frozen=True)
class CircuitUnit:
    """Target of a circuit: a cell of a branch before its ReLU, or the logit of a class.

    `channel` is that within the branch. Of a cell, `index` and `label` are None; of a logit, all others.
    """

    block: str | None = None
    branch: str | None = None
    channel: int | None = None
    row: int | None = None
    column: int | None = None
    index: int | None = None
    label: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """`block, branch, channel, row, column, class, label`."""
        values = asdict(self)
        return {**values, "class": values.pop("index"), "label": values.pop("label")}


@dataclass(frozen=True)
class Contribution:
    """One channel of the block before, and what it contributes to the unit.

    `channel` is that within the branch; of the stem, whose `branch` is None, that of its output. `contribution` is the
    sum over the channel's cells. `row` and `column` are those of the cell that contributes most by absolute value,
    `cell_contribution` is what it contributes, and `activation` its value.
    """

    block: str
    branch: str | None
    channel: int
    contribution: float
    row: int
    column: int
    cell_contribution: float
    activation: float


@dataclass(frozen=True, eq=False)
class Circuit:
    """A unit's value as the sum of a constant and the contributions of the block before.

    Attributes:
        unit: the logit or the cell.
        value: computed forwards, in float64; of a cell before the ReLU. Units of networks with `preact` have no ReLU.
        predicted: the same number in the prediction, float32; of a cell behind the ReLU.
        constant: what the biases contribute: the unit's value if all activations of the block before were zero, with
            all ReLUs and max pools between switched as for this photo. Computed forwards, without the gradient.
        block: the block before, or "stem".
        by_branch: sum of the contributions of each branch of that block; of the stem under "all".
        sources: the channels with the largest contributions by absolute value, in descending order.
        rest: sum of the contributions of all other channels.
        contributions: gradient times activation, (C, H, W), float64 and read-only.
    """

    unit: CircuitUnit
    value: float
    predicted: float
    constant: float
    block: str
    by_branch: Mapping[str, float]
    sources: tuple[Contribution, ...] = field(repr=False)
    rest: float
    contributions: np.ndarray = field(repr=False)

    @property
    def total(self) -> float:
        """Sum of the constant and all contributions, to be compared with `value`."""
        return self.constant + sum(self.by_branch.values())

    @property
    def error(self) -> float:
        """Absolute difference between the sum and the value."""
        return abs(self.total - self.value)

    def to_dict(self) -> dict[str, Any]:
        """`unit, value, predicted, constant, block, by_branch, sources, rest, total, error`.

        `unit` is `{"block", "branch", "channel", "row", "column", "class", "label"}`; of a cell the last two are None,
        of a logit the others. `constant` and the numbers of `by_branch` add up to `total`, as do `constant`, the
        contributions of `sources` and `rest`; `error` is its distance from `value`. `sources` is a list of
        `{"block", "branch", "channel", "contribution", "row", "column", "cell_contribution", "activation"}`.
        """
        return {
            "unit": self.unit.to_dict(),
            "value": self.value,
            "predicted": self.predicted,
            "constant": self.constant,
            "block": self.block,
            "by_branch": dict(self.by_branch),
            "sources": [asdict(source) for source in self.sources],
            "rest": self.rest,
            "total": self.total,
            "error": self.error,
        }


def check_unit(
    model: InceptionV1, block: str, branch: str, channel: int, row: int, column: int
) -> tuple[int, int, int]:
    """Return channel, row and column of a cell at `model.input_shape` as ints.

    Raises:
        ChoiceError: if there is no such block or branch.
        ExplanationError: if the branch has no such channel.
        CellError: if its map has no such cell.
    """
    choice("block", block, tuple(BLOCKS))
    choice("branch", branch, tuple(BRANCHES))
    channel = check_channel(f"{block}/{branch}", channel, model.block(block).branch_channels[branch])
    return channel, *check_cell(f"{block}/{branch}", row, column, *map_size(model, block))


def cell_circuit(
    pretrained: PretrainedModel,
    prediction: Prediction,
    block: str,
    branch: str,
    channel: int,
    row: int,
    column: int,
    maximum: int = 10,
) -> Circuit:
    """Take one cell of a branch, before its ReLU, apart into the channels of the block before (of 3a: the stem).

    Args:
        channel: within the branch.
        maximum: length of `sources`.

    Raises:
        ChoiceError, ExplanationError, CellError: as `check_unit`.
    """
    model = pretrained.model
    channel, row, column = check_unit(model, block, branch, channel, row, column)
    before = block_before(block)
    pools = STAGES[STAGES.index(_stage(before)) + 1 : STAGES.index(_stage(block))]
    layers = leaves([model.get_submodule(pool) for pool in pools])
    layers += leaves([model.block(block)[layer] for layer in BRANCHES[branch]])
    if isinstance(layers[-1], nn.ReLU):
        layers.pop()
    unit = CircuitUnit(block, branch, channel, row, column)
    predicted = float(prediction.branch(block, branch)[channel, row, column])
    return _circuit(prediction, layers, before, unit, (0, channel, row, column), predicted, maximum)


def logit_circuit(
    pretrained: PretrainedModel, prediction: Prediction, target: str | int | None = None, maximum: int = 10
) -> Circuit:
    """Take the logit of a class apart into the channels of block 5b.

    Args:
        target: class name or number; the most probable class by default.
        maximum: length of `sources`.

    Raises:
        ExplanationError: if there is no such class.
    """
    index = class_index(pretrained, prediction, target)
    layers = leaves([pretrained.model.required_head])
    unit = CircuitUnit(index=index, label=pretrained.labels[index])
    return _circuit(prediction, layers, LAST_BLOCK, unit, (0, index), float(prediction.logits[index]), maximum)


def strongest_path(
    pretrained: PretrainedModel, prediction: Prediction, target: str | int | None = None
) -> tuple[Circuit, ...]:
    """Walk from the logit of a class back to the stem: ten circuits, of the logit and of one cell in each block.

    Each cell is that of the largest source of the circuit before it.

    Raises:
        ExplanationError: if there is no such class.
    """
    path = [logit_circuit(pretrained, prediction, target)]
    while path[-1].block != STEM:
        source = path[-1].sources[0]
        assert source.branch is not None
        place = (source.branch, source.channel, source.row, source.column)
        path.append(cell_circuit(pretrained, prediction, source.block, *place))
    return tuple(path)


def block_before(block: str) -> str:
    """Return the name of the block before `block`, or "stem".

    Raises:
        ChoiceError: if there is no such block.
    """
    names = list(BLOCKS)
    number = names.index(choice("block", block, names))
    return names[number - 1] if number else STEM


def _stage(block: str) -> str:
    return block if block == STEM else stage_of(block)


def _circuit(
    prediction: Prediction,
    layers: list[nn.Module],
    before: str,
    unit: CircuitUnit,
    place: tuple[int, ...],
    predicted: float,
    maximum: int,
) -> Circuit:
    """Return the circuit of the number at `place` of what `layers` make of the output of block `before`."""
    activations = prediction.stages[_stage(before)]
    split = split_on_piece(layers, activations, place)
    contributions = split.contributions
    amounts = contributions.sum(axis=(1, 2))
    slices = prediction.slices[before] if before in prediction.slices else {WHOLE: slice(None)}
    sources = _sources(before, slices, contributions, activations, maximum)
    return Circuit(
        unit=unit,
        value=split.value,
        predicted=predicted,
        constant=split.constant,
        block=before,
        by_branch={branch: float(amounts[part].sum()) for branch, part in slices.items()},
        sources=sources,
        rest=float(amounts.sum() - sum(source.contribution for source in sources)),
        contributions=contributions,
    )


def _sources(
    block: str, slices: Mapping[str, slice], contributions: np.ndarray, activations: np.ndarray, maximum: int
) -> tuple[Contribution, ...]:
    """Return the channels that contribute most by absolute value, in descending order."""
    amounts = contributions.sum(axis=(1, 2))
    branch_of = {
        channel: (None if branch == WHOLE else branch, first)
        for branch, part in slices.items()
        for first, _, _ in [part.indices(len(amounts))]
        for channel in range(*part.indices(len(amounts)))
    }
    sources = []
    for channel in map(int, np.argsort(-np.abs(amounts), kind="stable")[: max(maximum, 0)]):
        branch, first = branch_of[channel]
        shares = contributions[channel]
        row, column = divmod(int(np.abs(shares).argmax()), shares.shape[1])
        sources.append(
            Contribution(
                block=block,
                branch=branch,
                channel=channel - first,
                contribution=float(amounts[channel]),
                row=row,
                column=column,
                cell_contribution=float(shares[row, column]),
                activation=float(activations[channel, row, column]),
            )
        )
    return tuple(sources)
