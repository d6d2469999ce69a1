"""A unit of a network: a branch of a block, one of its channels, or one cell of a channel, and what it can see."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..checks import choice
from ..errors import UserError, quoted
from ..explain.masking import ExplanationError, check_channel
from ..explain.receptive_field import check_cell, map_size
from ..network.anatomy import ReceptiveField, receptive_field
from ..network.blocks import BLOCKS, BRANCHES
from ..pretrained.pretrained import PretrainedModel

CELLS = 3  # at least, across an image that all cells see; of fewer each would see mostly padding
EXAMPLE = "4c:3x3:17@7,7"
PATTERN = re.compile(r"(\w{1,9}):(\w{1,9})(?::(\d{1,9})(?:@(\d{1,9}),(\d{1,9}))?)?")


@dataclass(frozen=True)
class Unit:
    """A branch, one of its channels, or one cell of a channel; all counted from 0.

    `str()` is its address, for instance "4c:3x3:17@7,7", which `parse_unit` reads.
    """

    block: str
    branch: str
    channel: int | None = None
    row: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        channel = "" if self.channel is None else f":{self.channel}"
        cell = "" if self.row is None else f"@{self.row},{self.column}"
        return f"{self.block}:{self.branch}{channel}{cell}"

    def check(self, pretrained: PretrainedModel) -> None:
        """Check that a network has this unit.

        Raises:
            UserError: if there is no such block, branch, channel or cell, or a cell without row, column or channel.
        """
        choice("block", self.block, tuple(BLOCKS))
        choice("branch", self.branch, tuple(BRANCHES))
        channels = pretrained.model.block(self.block).branch_channels[self.branch]
        if self.channel is not None:
            check_channel(f"{self.block}/{self.branch}", self.channel, channels)
        if self.row is not None or self.column is not None:
            if self.channel is None:
                raise _no_unit(str(self))
            check_cell(f"{self.block}/{self.branch}", self.row, self.column, *map_size(pretrained.model, self.block))


def parse_unit(text: str) -> Unit:
    """Read a unit's address: "4c:3x3" is a branch, "4c:3x3:17" a channel, "4c:3x3:17@7,7" a cell (row, column).

    Raises:
        UserError: if `text` is not such an address.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise _no_unit(text)
    block, branch, *numbers = match.groups()
    return Unit(block, branch, *(None if number is None else int(number) for number in numbers))


def _no_unit(text: str) -> UserError:
    return ExplanationError(
        "explain_unit",
        "{unit} is not a unit; write BLOCK:BRANCH, BLOCK:BRANCH:CHANNEL or BLOCK:BRANCH:CHANNEL@ROW,COLUMN, for "
        "instance {example}.",
        unit=quoted(text),
        example=EXAMPLE,
    )


@dataclass(frozen=True)
class UnitView:
    """Image shown to a unit, and its position in the network's input.

    Attributes:
        height, width: of the image in pixels.
        top, left: pixels before the image in the network's input, which put it where the cell looks.
        row, column: of the cell in the map of that input; None where the unit is all cells.
    """

    height: int
    width: int
    top: int = 0
    left: int = 0
    row: int | None = None
    column: int | None = None


def unit_view(pretrained: PretrainedModel, unit: Unit, side: int) -> UnitView:
    """Return what a unit is shown.

    A cell is shown its receptive field within the network's usual input. A channel or branch is shown the whole
    receptive field of one cell if that is at most `side` pixels, else an image of side x side pixels for all cells. In
    5a and 5b, whose cells are 32 pixels apart, that image has at least 96 pixels.
    """
    field = receptive_field(pretrained.model, unit.block, unit.branch)
    if unit.row is not None and unit.column is not None:
        (height, top, row), (width, left, column) = (
            _span(field, cell, pretrained.input_size) for cell in (unit.row, unit.column)
        )
        return UnitView(height, width, top, left, row, column)
    if field.size > side:
        side = max(side, CELLS * field.stride)
        return UnitView(side, side)
    before = field.start % field.stride
    cell = (before - field.start) // field.stride
    return UnitView(field.size, field.size, before, before, cell, cell)


def _span(field: ReceptiveField, cell: int, size: int) -> tuple[int, int, int]:
    """Return the length of a cell's field within `size` pixels, the pixels before it, and the cell's new index.

    The input begins at a multiple of the stride, so that the layers' windows lie as they do in the whole input. At
    the left border it begins there, and the cell sees the same padding.
    """
    start = max(0, field.start + cell * field.stride)
    end = min(size, field.start + cell * field.stride + field.size)
    before = start % field.stride
    return end - start, before, cell - start // field.stride
