"""Shapes, parameters, costs and receptive fields of a network, computed from its own layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from ..checks import choice
from .blocks import BLOCKS, BRANCHES, InceptionBlock, side_of
from .copies import empty_batch, shape_copy
from .inception_v1 import STAGES, InceptionV1, stage_of

MEGABYTE = 2**20
BYTES_PER_NUMBER = 4  # float32


@dataclass(frozen=True)
class LayerRow:
    """One layer of a `LayerTable`."""

    index: int  # from 1, in order of completion
    kind: str
    output_shape: tuple[int, ...]  # without the batch
    parameters: int  # without those of submodules


@dataclass(frozen=True)
class LayerTable:
    """All layers of a model at one input shape, with memory in megabytes (2**20 bytes, float32).

    `forward_backward_mb` counts each output and its gradient.
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
    """List every layer of a forward pass at `model.input_shape`, in order of completion."""
    rows: list[LayerRow] = []

    def record(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        rows.append(LayerRow(len(rows) + 1, _kind(module), tuple(output.shape[1:]), parameters))

    copy = shape_copy(model)
    for module in copy.modules():
        if isinstance(module, InceptionBlock) or not any(module.children()):
            module.register_forward_hook(record)
    copy(empty_batch(copy, model.input_shape))
    return LayerTable(model.input_shape, tuple(rows))


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _kind(module: nn.Module) -> str:
    # Adaptive pooling to 1x1 is average pooling with a kernel as large as the map (7x7 at 224 pixels).
    return "AvgPool2d" if isinstance(module, nn.AdaptiveAvgPool2d) else type(module).__name__


@dataclass(frozen=True)
class Cost:
    """Cost of convolutions: parameters, weights (parameters without biases), and multiplications for one photo."""

    parameters: int
    weights: int
    multiplications: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.weights + other.weights,
            self.multiplications + other.multiplications,
        )


ZERO_COST = Cost(0, 0, 0)


def conv_cost(in_channels: int, out_channels: int, kernel: int, *, cells: int = 1, bias: bool = True) -> Cost:
    """Return the cost of a kernel x kernel convolution whose output has `cells` cells."""
    weights = kernel * kernel * in_channels * out_channels
    return Cost(weights + out_channels * bias, weights, weights * cells)


@dataclass(frozen=True)
class Bottleneck:
    """Cost of a convolution without and with a 1x1 reduction before it (paper, section 4)."""

    direct: Cost
    reduction: Cost
    convolution: Cost

    @property
    def reduced(self) -> Cost:
        return self.reduction + self.convolution

    @property
    def saving(self) -> float:
        """Weights without the reduction over weights with it; the ratio of multiplications is the same."""
        return self.direct.weights / self.reduced.weights


def bottleneck(
    in_channels: int, reduced: int, out_channels: int, kernel: int, *, cells: int = 1, bias: bool = True
) -> Bottleneck:
    """Compute the costs, for instance `bottleneck(128, 32, 256, 5)` of a 5x5 from 128 to 256 channels through 32."""
    return Bottleneck(
        direct=conv_cost(in_channels, out_channels, kernel, cells=cells, bias=bias),
        reduction=conv_cost(in_channels, reduced, 1, cells=cells, bias=bias),
        convolution=conv_cost(reduced, out_channels, kernel, cells=cells, bias=bias),
    )


@dataclass(frozen=True)
class ModuleCost:
    """Cost of a block with its reductions, and of the naive module (paper, figure 2a) with the same input.

    The naive module has no reductions and no projection of the pooled input, so its output is wider: `naive_channels`
    instead of `reduced_channels`.
    """

    naive: Cost
    reduced: Cost
    naive_channels: int
    reduced_channels: int

    @property
    def saving(self) -> float:
        """Weights of the naive module over weights of the block; the ratio of multiplications is the same."""
        return self.naive.weights / self.reduced.weights


def module_cost(block: InceptionBlock, cells: int = 1) -> ModuleCost:
    """Compute the costs of a block's convolutions; `cells` is the height times the width of its maps."""
    widths = block.widths
    naive = ZERO_COST
    for branch in ("1x1", "3x3", "5x5"):
        conv = block.convolution(branch)
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
        reduced=sum((branch_cost(block, branch, cells) for branch in BRANCHES), ZERO_COST),
        naive_channels=sum(channels.values()) - channels["pool"] + widths.in_channels,
        reduced_channels=sum(channels.values()),
    )


def branch_cost(block: InceptionBlock, branch: str, cells: int = 1) -> Cost:
    """Compute the cost of the convolutions of one branch."""
    total = ZERO_COST
    for layer in BRANCHES[branch]:
        if layer != "pool":
            conv = block.convolution(layer)
            total += conv_cost(
                conv.in_channels, conv.out_channels, conv.kernel_size[0], cells=cells, bias=conv.bias is not None
            )
    return total


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive field of the cells of a map along one axis, in pixels of the input.

    Cell i depends on the `size` pixels from `start + i * stride` on, as far as they are inside the photo.
    """

    size: int
    stride: int
    start: int

    def through(self, kernel: int, stride: int, padding: int) -> ReceptiveField:
        """Return the receptive field after one more layer (Dumoulin and Visin 2016)."""
        return ReceptiveField(
            size=self.size + (kernel - 1) * self.stride,
            stride=self.stride * stride,
            start=self.start - padding * self.stride,
        )

    def centre(self, cell: int) -> float:
        """Return the middle of the receptive field of a cell, in pixels from the input's edge."""
        return self.start + self.size / 2 + cell * self.stride

    def middle_cell(self, cells: int, length: int) -> int:
        """Return which of `cells` has its receptive field centred nearest to the middle of an input of `length` pixels.

        Of two that are equally near it is the first.
        """
        return min(range(cells), key=lambda cell: abs(self.centre(cell) - length / 2))


PIXEL = ReceptiveField(size=1, stride=1, start=0)


def receptive_field(model: InceptionV1, block: str, branch: str) -> ReceptiveField:
    """Compute the receptive field of a branch from the kernels, strides and paddings of the layers before it.

    In the blocks before it the branch with the largest field counts, because their outputs are concatenated.
    """
    target = model.block(block)
    choice("branch", branch, tuple(BRANCHES))
    field = PIXEL
    for stage in STAGES[: STAGES.index(stage_of(block))]:
        module = model.get_submodule(stage)
        if isinstance(module, InceptionBlock):
            field = max((_after_branch(field, module, name) for name in BRANCHES), key=lambda f: f.size)
        else:
            field = _after(field, module)
    return _after_branch(field, target, branch)


def _after_branch(field: ReceptiveField, block: InceptionBlock, branch: str) -> ReceptiveField:
    for layer in BRANCHES[branch]:
        field = _after(field, block[layer])
    return field


def _after(field: ReceptiveField, module: nn.Module) -> ReceptiveField:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            field = field.through(side_of(layer.kernel_size), side_of(layer.stride), side_of(layer.padding))
    return field


@dataclass(frozen=True)
class BranchFacts:
    """Properties of one branch of a block at the model's input shape."""

    block: str
    branch: str
    label: str  # the branch's name, with its kernel if that differs from the name
    kernel: int
    channels: int
    reduced_to: int | None  # channels after the 1x1 reduction, if there is one
    height: int
    width: int
    receptive_field: ReceptiveField
    wider_than_photo: bool  # whether the receptive field is larger than the photo
    cost: Cost


def network_facts(model: InceptionV1) -> dict[str, tuple[BranchFacts, ...]]:
    """Compute the properties of the four branches of each block."""
    shapes = stage_shapes(model)
    return {block: _block_facts(model, block, *shapes[stage_of(block)][1:]) for block in BLOCKS}


def stage_shapes(model: InceptionV1) -> dict[str, tuple[int, int, int]]:
    """Return channels, height and width of each stage's output at the model's input shape."""
    copy = shape_copy(model)
    stages = copy.trace(empty_batch(copy, model.input_shape)).stages
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
            reduced_to=module.convolution(f"{branch}_reduce").out_channels if f"{branch}_reduce" in module else None,
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
    """Return the side of a branch's largest kernel; of the pool branch, that of its pool."""
    layer = block["pool"] if branch == "pool" else block.convolution(branch)
    return side_of(layer.kernel_size)


def branch_label(block: InceptionBlock, branch: str) -> str:
    """Return a branch's name, with its kernel if that differs from the name: "5x5 (runs 3x3)"."""
    kernel = branch_kernel(block, branch)
    runs = f"{kernel}x{kernel}"
    return branch if branch in ("pool", runs) else f"{branch} (runs {runs})"
