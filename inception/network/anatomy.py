"""Facts about a network, computed from the model at hand: shapes, parameters, costs, what a cell sees.

Nothing here is typed in: kernels, strides and paddings are read off the model's own layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import choice
from .blocks import BLOCKS, BRANCHES, InceptionBlock
from .copies import copy_module
from .inception_v1 import STAGES, InceptionV1

MEGABYTE = 2**20
BYTES_PER_NUMBER = 4  # float32


@dataclass(frozen=True)
class LayerRow:
    """One layer in the order of its work: kind, output shape without the batch, own parameters."""

    index: int
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class LayerTable:
    """All layers of a model at one input shape, with the totals in megabytes (2**20 bytes, float32).

    Forward/backward counts each output twice: once for itself, once for its gradient.
    """

    input_shape: tuple[int, int, int]
    rows: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def input_mb(self) -> float:
        return prod(self.input_shape) * BYTES_PER_NUMBER / MEGABYTE

    @property
    def forward_backward_mb(self) -> float:
        return 2 * sum(prod(row.output_shape) for row in self.rows) * BYTES_PER_NUMBER / MEGABYTE

    @property
    def parameters_mb(self) -> float:
        return self.parameters * BYTES_PER_NUMBER / MEGABYTE

    @property
    def total_mb(self) -> float:
        return self.input_mb + self.forward_backward_mb + self.parameters_mb


def layer_table(model: InceptionV1) -> LayerTable:
    """Every layer that a forward pass at `model.input_shape` runs, in the order in which it ends."""
    rows: list[LayerRow] = []

    def record(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        rows.append(LayerRow(len(rows) + 1, _kind(module), tuple(output.shape[1:]), own))

    plan = _plan(model)
    for module in plan.modules():
        if isinstance(module, InceptionBlock) or not any(module.children()):
            module.register_forward_hook(record)
    plan(_blank_photo(plan))
    return LayerTable(model.input_shape, tuple(rows))


def _plan(model: InceptionV1) -> InceptionV1:
    """A copy in evaluation mode that has shapes and no numbers.

    Hooks go on the copy: the model itself may be at work in another thread, and stays as it was.
    """
    return copy_module(model, "meta").eval().requires_grad_(False)


def parameter_count(model: nn.Module) -> int:
    """How many numbers training can change."""
    return sum(parameter.numel() for parameter in model.parameters())


def _kind(module: nn.Module) -> str:
    # Adaptive pooling to 1x1 is an average pool whose kernel is the whole map (7x7 at 224).
    return "AvgPool2d" if isinstance(module, nn.AdaptiveAvgPool2d) else type(module).__name__


def _blank_photo(plan: InceptionV1) -> Tensor:
    return torch.zeros(1, *plan.input_shape, device="meta", dtype=next(plan.parameters()).dtype)


@dataclass(frozen=True)
class Cost:
    """What a stack of convolutions costs: parameters with biases, weights without, and the
    multiplications for one photo."""

    parameters: int
    weights: int
    multiplications: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.weights + other.weights,
            self.multiplications + other.multiplications,
        )


NOTHING = Cost(0, 0, 0)


def conv_cost(in_channels: int, out_channels: int, kernel: int, *, cells: int = 1, bias: bool = True) -> Cost:
    """A kernel x kernel convolution whose output map has `cells` cells."""
    weights = kernel * kernel * in_channels * out_channels
    return Cost(weights + out_channels * bias, weights, weights * cells)


@dataclass(frozen=True)
class Bottleneck:
    """A wide convolution taken directly, and through a 1x1 reduction (paper, section 4)."""

    direct: Cost
    reduction: Cost
    convolution: Cost

    @property
    def reduced(self) -> Cost:
        return self.reduction + self.convolution

    @property
    def saving(self) -> float:
        """How many times fewer parameters the reduced form has."""
        return self.direct.parameters / self.reduced.parameters


def bottleneck(
    in_channels: int, reduced: int, out_channels: int, kernel: int, *, cells: int = 1, bias: bool = True
) -> Bottleneck:
    """`bottleneck(128, 32, 256, 5)`: a 5x5 from 128 to 256 channels, through 32 channels or not."""
    return Bottleneck(
        direct=conv_cost(in_channels, out_channels, kernel, cells=cells, bias=bias),
        reduction=conv_cost(in_channels, reduced, 1, cells=cells, bias=bias),
        convolution=conv_cost(reduced, out_channels, kernel, cells=cells, bias=bias),
    )


@dataclass(frozen=True)
class ModuleCost:
    """A whole block with its reductions, and the naive module (paper, figure 2a) beside it.

    The naive module convolves the block's input directly and passes the pooled input on as it
    is, so its output is wider: `naive_channels` against `reduced_channels`.
    """

    naive: Cost
    reduced: Cost
    naive_channels: int
    reduced_channels: int

    @property
    def saving(self) -> float:
        """How many times fewer parameters the block with reductions has."""
        return self.naive.parameters / self.reduced.parameters


def module_cost(block: InceptionBlock, cells: int = 1) -> ModuleCost:
    """Convolutions only; `cells` is the height times the width of the block's maps."""
    widths = block.widths
    naive = NOTHING
    for branch in ("1x1", "3x3", "5x5"):
        conv = _convolution(block[branch])
        naive += conv_cost(
            widths.in_channels,
            conv.out_channels,
            conv.kernel_size[0],
            cells=cells,
            bias=conv.bias is not None,
        )
    channels = block.branch_channels
    return ModuleCost(
        naive=naive,
        reduced=sum((branch_cost(block, branch, cells) for branch in BRANCHES), NOTHING),
        naive_channels=sum(channels.values()) - channels["pool"] + widths.in_channels,
        reduced_channels=sum(channels.values()),
    )


def branch_cost(block: InceptionBlock, branch: str, cells: int = 1) -> Cost:
    """All convolutions along one branch of a block."""
    total = NOTHING
    for layer in BRANCHES[branch]:
        if layer != "pool":
            conv = _convolution(block[layer])
            total += conv_cost(
                conv.in_channels, conv.out_channels, conv.kernel_size[0], cells=cells, bias=conv.bias is not None
            )
    return total


def _convolution(unit: nn.Module) -> nn.Conv2d:
    return next(module for module in unit.modules() if isinstance(module, nn.Conv2d))


@dataclass(frozen=True)
class ReceptiveField:
    """The input square behind the cells of a map, along one axis and in pixels.

    Cell i sees the `size` pixels that begin at `start + i * stride`, where they lie in the photo.
    """

    size: int
    stride: int
    start: int

    def through(self, kernel: int, stride: int, padding: int) -> ReceptiveField:
        """The field after one more layer (Dumoulin and Visin 2016)."""
        return ReceptiveField(
            size=self.size + (kernel - 1) * self.stride,
            stride=self.stride * stride,
            start=self.start - padding * self.stride,
        )


PIXEL = ReceptiveField(size=1, stride=1, start=0)


def receptive_field(model: InceptionV1, block: str, branch: str) -> ReceptiveField:
    """What a cell of one branch of a block sees, from the kernels, strides and paddings on its way.

    Through the blocks before it, the widest branch counts: a cell sees what any branch shows it.
    """
    target = model.block(block)
    choice("branch", branch, tuple(BRANCHES))
    field = PIXEL
    for stage in STAGES[: STAGES.index(f"inception_{block}")]:
        module = model.get_submodule(stage)
        if isinstance(module, InceptionBlock):
            field = max((_through_branch(field, module, name) for name in BRANCHES), key=lambda f: f.size)
        else:
            field = _through(field, module)
    return _through_branch(field, target, branch)


def _through_branch(field: ReceptiveField, block: InceptionBlock, branch: str) -> ReceptiveField:
    for layer in BRANCHES[branch]:
        field = _through(field, block[layer])
    return field


def _through(field: ReceptiveField, module: nn.Module) -> ReceptiveField:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            field = field.through(_side(layer.kernel_size), _side(layer.stride), _side(layer.padding))
    return field


@dataclass(frozen=True)
class BranchFacts:
    """One branch of one block of one model."""

    block: str
    branch: str
    label: str  # the branch's name, and what it really runs where that differs
    kernel: int
    channels: int
    reduced_to: int | None  # channels after the 1x1 reduction, where there is one
    height: int
    width: int
    receptive_field: ReceptiveField
    wider_than_photo: bool  # the receptive field, at the model's input shape
    cost: Cost


def network_facts(model: InceptionV1) -> dict[str, tuple[BranchFacts, ...]]:
    """The four branches of each of the nine blocks, at the model's input shape."""
    shapes = stage_shapes(model)
    return {block: _block_facts(model, block, *shapes[f"inception_{block}"][1:]) for block in BLOCKS}


def stage_shapes(model: InceptionV1) -> dict[str, tuple[int, int, int]]:
    """Channels, height and width of each stage's output, seen on a blank photo of the model's size."""
    plan = _plan(model)
    stages = plan.trace(_blank_photo(plan)).stages
    return {name: (out.shape[1], out.shape[2], out.shape[3]) for name, out in stages.items()}


def _block_facts(model: InceptionV1, block: str, height: int, width: int) -> tuple[BranchFacts, ...]:
    module = model.block(block)
    return tuple(
        BranchFacts(
            block=block,
            branch=branch,
            label=branch_label(module, branch),
            kernel=branch_kernel(module, branch),
            channels=channels,
            reduced_to=_convolution(module[f"{branch}_reduce"]).out_channels if f"{branch}_reduce" in module else None,
            height=height,
            width=width,
            receptive_field=field,
            wider_than_photo=field.size > min(model.input_shape[1:]),
            cost=branch_cost(module, branch, height * width),
        )
        for branch, channels in module.branch_channels.items()
        for field in [receptive_field(model, block, branch)]
    )


def branch_kernel(block: InceptionBlock, branch: str) -> int:
    """The side of the widest window along a branch; the pool branch's is its pool's."""
    layer = block["pool"] if branch == "pool" else _convolution(block[branch])
    return _side(layer.kernel_size)


def _side(value: Any) -> int:
    """PyTorch keeps a square's side as one number or as two."""
    return int(value[0] if isinstance(value, tuple) else value)


def branch_label(block: InceptionBlock, branch: str) -> str:
    """ "5x5", or "5x5 (runs 3x3)" where the kernel is not what the name says."""
    kernel = branch_kernel(block, branch)
    runs = f"{kernel}x{kernel}"
    return branch if branch in ("pool", runs) else f"{branch} (runs {runs})"
