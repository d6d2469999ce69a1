"""One cell of a feature map: its receptive field, and the convolution that computes it."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from ..registry import CHANNEL, COLUMN, CORE_SHARE, ROW, Block, Branch, Subject, explanation

if TYPE_CHECKING:
    from ...pretrained.pretrained import PretrainedModel
    from ..convolution import ConvolutionTrace
    from ..receptive_field import EffectiveField, Square


@dataclass(frozen=True)
class CellExplanation:
    """One cell: its convolution, its receptive field, and its effective receptive field for this photo."""

    trace: "ConvolutionTrace"
    square: "Square"
    effective: "EffectiveField" = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """`block, branch, layer, channel, row, column, value, square, effective, by_hand`.

        `square` is the cell's receptive field in pixels of the network's input: `{"left", "top", "right", "bottom"}`,
        the last two exclusive. `effective` is the smaller square that contains `share` of the energy.
        `by_hand` is the convolution: `{"kernel", "preact", "count", "largest", "others", "bias", "sum", "affine",
        "normalised", "relu", "result"}` as in `ConvolutionTrace`; `affine` is `{"scale", "shift"}`, and a step that
        the layer does not have is None.
        """
        trace = self.trace
        return {
            "block": trace.block,
            "branch": trace.branch,
            "layer": trace.layer,
            "channel": trace.channel,
            "row": trace.row,
            "column": trace.column,
            "value": trace.value,
            "square": asdict(self.square),
            "effective": {"share": CORE_SHARE, **asdict(self.effective.core(CORE_SHARE))},
            "by_hand": {
                "kernel": trace.kernel_side,
                "preact": trace.preact,
                "count": trace.count,
                "largest": [asdict(product) for product in trace.products],
                "others": trace.others,
                "bias": trace.bias,
                "sum": trace.sum,
                "affine": None if trace.affine is None else asdict(trace.affine),
                "normalised": trace.normalised,
                "relu": trace.relu,
                "result": trace.result,
            },
        }


def _check(pretrained: "PretrainedModel", *, block: str, branch: str, channel: int, row: int, column: int) -> None:
    from ..circuit import check_unit

    check_unit(pretrained.model, block, branch, channel, row, column)


@explanation(position=6, check=_check)
def cell(
    subject: Subject,
    *,
    block: Block = "3a",
    branch: Branch = "1x1",
    channel: Annotated[int, CHANNEL] = 0,
    row: Annotated[int, ROW] = 0,
    column: Annotated[int, COLUMN] = 0,
) -> CellExplanation:
    """The receptive field of one cell of a feature map, and its value computed by hand, product by product.

    Returns:
        the value; the square of input pixels that can influence it and the smaller one that mostly does; and the
        convolution with its largest products, the sum of the others, bias, normalisation and ReLU
    """
    from ..convolution import trace_convolution
    from ..receptive_field import cell_square, effective_field

    return CellExplanation(
        subject.compute(trace_convolution, block, branch, channel, row, column),
        cell_square(subject.pretrained.model, block, branch, row, column),
        subject.cached(effective_field, block, branch, row, column),
    )
