"""Circuits: a cell before its ReLU, or a logit, as an exact sum over the channels of the block before."""

from typing import TYPE_CHECKING, Annotated

from ..registry import CHANNEL, COLUMN, ROW, Block, Branch, ClassName, Subject, explanation

if TYPE_CHECKING:
    from ...pretrained.pretrained import PretrainedModel
    from ..circuit import Circuit


def _check(pretrained: "PretrainedModel", *, block: str, branch: str, channel: int, row: int, column: int) -> None:
    from ..circuit import check_unit

    check_unit(pretrained.model, block, branch, channel, row, column)


@explanation(position=7)
def logit_circuit(subject: Subject, *, class_name: ClassName = "") -> "Circuit":
    """The circuit of a class: its logit as a sum over the channels of block 5b.

    Each channel contributes its activations times the gradient of the logit. With a constant, which is what the biases
    contribute, this adds up to the logit exactly. `circuit` goes on from a channel's strongest cell, block by block.

    Returns:
        the class, its logit, the constant, the sum of each branch of 5b, the channels that contribute most by absolute
        value, each with its strongest cell, the rest, and the error of the sum
    """
    from .. import circuit as circuits

    return subject.cached(circuits.logit_circuit, class_name)


@explanation(position=8, check=_check)
def circuit(
    subject: Subject,
    *,
    block: Block = "3a",
    branch: Branch = "1x1",
    channel: Annotated[int, CHANNEL] = 0,
    row: Annotated[int, ROW] = 0,
    column: Annotated[int, COLUMN] = 0,
) -> "Circuit":
    """The circuit of one cell before its ReLU: a sum over the channels of the block before.

    With the ReLUs and max pools switched as they are for this photo the network is linear, so the sum is exact. The
    channels before block 3a are those of the stem.

    Returns:
        the cell, its value before the ReLU, the constant, which is what the biases contribute, the sum of each branch
        of the block before, the channels that contribute most by absolute value, each with its strongest cell, the
        rest, and the error of the sum
    """
    from ..circuit import cell_circuit

    return subject.cached(cell_circuit, block, branch, channel, row, column)
