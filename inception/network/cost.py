"""Size of the network, and savings of its 1x1 reductions, counted on the model.

**22 layers.** The paper's depth (section 5: "22 layers deep when counting only layers with parameters (or 27 layers
if we also count pooling)") is the longest path from the photo to the logits. The branches of a block are parallel, so
each block adds two layers, a reduction and a convolution: 3 layers in the stem, 18 in the nine blocks and 1 linear
layer. The "batchnorm" variant ends in 2 linear layers and has 23. In total there are 57 convolutions.

**5 million parameters.** The paper says "12 times fewer parameters" than AlexNet (section 1) and gives no total;
"5 million" against AlexNet's 60 million is in Szegedy et al., "Rethinking the Inception Architecture for Computer
Vision", CVPR 2016, section 1, and is 60 / 12. With 1000 classes, `parameter_counts` of `published_network` gives, in
millions:

================================================  =========  =========  ===========
counted                                           batchnorm  googlenet  torchvision
================================================  =========  =========  ===========
all parameters, with auxiliary classifiers        14.44      13.38      13.00
without auxiliary classifiers                     8.06       7.00       6.62
of these, weights (without biases and BatchNorm)  8.04       6.99       6.61
convolutions only                                 5.99       5.97       5.60
of these, weights                                 5.97       5.97       5.59
================================================  =========  =========  ===========

The nearest to 5 million are the weights of the convolutions, about 6 million. The paper's table 1 is the
third row: weights with the classifier and without biases, in units of 1024, 7.0 million in total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor, nn

from ..errors import ArgumentError, quoted
from .anatomy import Cost, module_cost, stage_shapes
from .blocks import BLOCKS
from .copies import empty_batch, shape_copy
from .inception_v1 import InceptionV1, stage_of

PUBLISHED_CLASSES = 1000
PUBLISHED_SHAPE = (3, 224, 224)

WORKED_EXAMPLE = (128, 32, 256)  # channels before, between and after

POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
ADAPTIVE_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True)
class BlockCost:
    """Cost of a block's convolutions with and without reductions (paper, figure 2a), at the model's input shape.

    `naive` is the naive module with the block's input; `stacked` is the naive module if all blocks before it were
    naive too, with wider outputs. `cells` is height times width of the maps.
    """

    block: str
    in_channels: int
    cells: int
    naive: Cost
    reduced: Cost
    naive_channels: int
    reduced_channels: int
    stacked: Cost
    stacked_channels: int

    @property
    def saving(self) -> float:
        """Weights of the naive module over weights of the block; the ratio of multiplications is the same."""
        return self.naive.weights / self.reduced.weights


def module_costs(model: InceptionV1) -> tuple[BlockCost, ...]:
    """Compute the costs of the nine blocks, in order, at `model.input_shape`."""
    shapes = stage_shapes(model)
    rows: list[BlockCost] = []
    for name in BLOCKS:
        block = model.block(name)
        _, height, width = shapes[stage_of(name)]
        cells, in_channels = height * width, block.widths.in_channels
        cost = module_cost(block, cells)
        # A naive module's weights are proportional to its input channels; its biases do not depend on them.
        stacked_in_channels = rows[-1].stacked_channels if rows else in_channels
        weights = cost.naive.weights // in_channels * stacked_in_channels
        rows.append(
            BlockCost(
                block=name,
                in_channels=in_channels,
                cells=cells,
                naive=cost.naive,
                reduced=cost.reduced,
                naive_channels=cost.naive_channels,
                reduced_channels=cost.reduced_channels,
                stacked=Cost(weights + cost.naive.parameters - cost.naive.weights, weights, weights * cells),
                stacked_channels=cost.naive_channels - in_channels + stacked_in_channels,
            )
        )
    return tuple(rows)


def break_even(in_channels: int, out_channels: int, kernel: int) -> int:
    """Return the largest number of reduced channels that saves weights; 0 if none does.

    With r reduced channels there are r * (in + kernel² * out) weights, without a reduction kernel² * in * out.
    """
    window = kernel * kernel
    return (window * in_channels * out_channels - 1) // (in_channels + window * out_channels)


@dataclass(frozen=True)
class NetworkSize:
    """Size of a network at inference for one photo of `input_shape` (3, height, width).

    Attributes:
        parameters: of all layers that run, so without auxiliary classifiers.
        weights: parameters of convolutions and linear layers without biases.
        convolution_weights: weights of the convolutions only.
        parameters_without_classifier: without those of linear layers.
        multiplications: of convolutions and linear layers.
        longest_path: names of the convolutions and linear layers on the longest path from photo to logits.
        depth_with_pools: length of the longest path when pools count too.
    """

    input_shape: tuple[int, int, int]
    parameters: int
    weights: int
    convolution_weights: int
    parameters_without_classifier: int
    multiplications: int
    longest_path: tuple[str, ...]
    depth_with_pools: int
    convolutions: int
    linears: int

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path."""
        return len(self.longest_path)

    @property
    def weighted_layers(self) -> int:
        """All layers with weights, parallel ones included."""
        return self.convolutions + self.linears

    @property
    def classifier_parameters(self) -> int:
        """Parameters of the linear layers."""
        return self.parameters - self.parameters_without_classifier


def network_size(model: nn.Module, input_shape: Sequence[int]) -> NetworkSize:
    """Count the size of any `model` at (3, height, width).

    A copy runs once over an empty batch, and the autograd graph gives the order of its layers. An adaptive pool that
    leaves a map's size unchanged (VGG-16's, at 224 pixels) does not count as a layer.

    Raises:
        ArgumentError: if `input_shape` is not three numbers, or too small for an `InceptionV1`.
    """
    if len(input_shape) != 3:
        raise ArgumentError(f"input_shape is {quoted(tuple(input_shape))}; it must be (3, height, width).")
    channels, height, width = (int(side) for side in input_shape)
    weighted: dict[object, str] = {}  # from autograd nodes to the names of the layers with weights that created them
    pools: dict[object, str] = {}
    executed: dict[str, nn.Module] = {}
    multiplications = 0

    # The caller may be in inference mode, which builds no autograd graph.
    with torch.inference_mode(False), torch.enable_grad():
        copy = shape_copy(model).requires_grad_(True)
        names = {module: name for name, module in copy.named_modules()}

        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
            nonlocal multiplications
            executed[names[module]] = module
            if not isinstance(output, Tensor):
                return
            if isinstance(module, nn.Conv2d | nn.Linear):
                multiplications += output.shape[1:].numel() * module.weight[0].numel()
                weighted[output.grad_fn] = names[module]
            elif isinstance(module, POOLS):
                is_identity = isinstance(module, ADAPTIVE_POOLS) and output.shape == inputs[0].shape
                if not is_identity:
                    pools[output.grad_fn] = names[module]

        for module in copy.modules():
            module.register_forward_hook(record)
        output: Tensor = copy(empty_batch(copy, (channels, height, width)))
        path = _longest_path(output.grad_fn, weighted)
        with_pools = _longest_path(output.grad_fn, {**weighted, **pools})

    convolutions = [module for module in executed.values() if isinstance(module, nn.Conv2d)]
    linears = [module for module in executed.values() if isinstance(module, nn.Linear)]
    parameters = sum(_own_parameters(module) for module in executed.values())
    convolution_weights = sum(module.weight.numel() for module in convolutions)
    return NetworkSize(
        input_shape=(channels, height, width),
        parameters=parameters,
        weights=convolution_weights + sum(module.weight.numel() for module in linears),
        convolution_weights=convolution_weights,
        parameters_without_classifier=parameters - sum(_own_parameters(module) for module in linears),
        multiplications=multiplications,
        longest_path=path,
        depth_with_pools=len(with_pools),
        convolutions=len(convolutions),
        linears=len(linears),
    )


def _own_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _longest_path(end: torch.autograd.graph.Node | None, names: Mapping[object, str]) -> tuple[str, ...]:
    """Return the names along the path to `end` with the most nodes of `names`; iterative, because graphs are deep."""
    paths: dict[torch.autograd.graph.Node, tuple[str, ...]] = {}
    stack = [] if end is None else [end]
    while stack:
        node = stack[-1]
        inputs = [function for function, _ in node.next_functions if function is not None]
        pending = [function for function in inputs if function not in paths]
        if pending:
            stack.extend(pending)
            continue
        stack.pop()
        name = (names[node],) if node in names else ()
        paths[node] = max((paths[function] for function in inputs), key=len, default=()) + name
    return () if end is None else paths[end]


@cache
def vgg16_size() -> NetworkSize:
    """Return the size of torchvision's VGG-16 (Simonyan and Zisserman 2015, configuration D) at 224x224 pixels."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        return network_size(vgg16(), PUBLISHED_SHAPE)


def published_network(variant: str = "googlenet") -> InceptionV1:
    """Build a variant as published for ImageNet, with auxiliary classifiers, on the meta device.

    Raises:
        ChoiceError: if there is no such variant.
    """
    with torch.device("meta"):
        return InceptionV1(
            variant=variant, classes=PUBLISHED_CLASSES, input_shape=PUBLISHED_SHAPE, aux_classifiers=True
        )


@cache
def published_size(variant: str = "googlenet") -> NetworkSize:
    """Return the `network_size` of a `published_network` at 224x224 pixels."""
    return network_size(published_network(variant), PUBLISHED_SHAPE)


@dataclass(frozen=True)
class ParameterCount:
    """Number of parameters with or without three kinds of them."""

    auxiliary: bool  # auxiliary classifiers
    classifier: bool  # linear layers of the head
    biases: bool  # biases, and scales and shifts of BatchNorms
    parameters: int


def parameter_counts(model: InceptionV1) -> tuple[ParameterCount, ...]:
    """Count the parameters of `model` in all eight ways, the most inclusive first."""
    sizes = [
        (name.startswith("aux."), name.startswith("head."), parameter.dim() == 1, parameter.numel())
        for name, parameter in model.named_parameters()
    ]
    return tuple(
        ParameterCount(
            auxiliary,
            classifier,
            biases,
            sum(
                size
                for aux, head, bias, size in sizes
                if (auxiliary or not aux) and (classifier or not head) and (biases or not bias)
            ),
        )
        for auxiliary, classifier, biases in product((True, False), repeat=3)
    )
