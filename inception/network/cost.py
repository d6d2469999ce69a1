"""How large the network is, and what its 1x1 reductions save: counted on the model at hand.

**What "22 layers" counts.** The paper's depth (section 5: "22 layers deep when counting only layers with
parameters (or 27 layers if we also count pooling)") is the longest way from the photo to the answer. The
branches of a block stand side by side, so each block adds two: a reduction and a convolution. That is 3 in the
stem, 18 in the nine blocks and 1 linear layer; the "batchnorm" variant ends in 2 linear layers and has 23. All
layers with weights, wherever they stand, are 57 convolutions and the linear ones.

**What "5 million" counts.** Nothing that can be counted. The paper says "12 times fewer parameters" than
AlexNet (section 1) and gives no total; "5 million" against AlexNet's 60 million is in Szegedy et al., "Rethinking
the Inception Architecture for Computer Vision", CVPR 2016, section 1, and is 60 / 12. With 1000 classes,
`parameter_counts` of `published_network` finds, in millions:

===============================================  =========  =========  ===========
what is counted                                  batchnorm  googlenet  torchvision
===============================================  =========  =========  ===========
all that was trained, auxiliary classifiers too  14.44      13.38      13.00
all that answers                                 8.06       7.00       6.62
of that, weights (no biases, no BatchNorm)       8.04       6.99       6.61
convolutions, no classifier                      5.99       5.97       5.60
of that, weights                                 5.97       5.97       5.59
===============================================  =========  =========  ===========

So the nearest are the weights of the convolutions alone: about 6 million, not 5. The paper's own table 1 is the
third row (`TABLE_1`): weights with the classifier and without biases, in units of 1024, adding up to 7.0 million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor, nn

from ..errors import quoted
from .anatomy import Cost, module_cost, stage_shapes
from .blocks import BLOCKS
from .copies import copy_module
from .inception_v1 import InceptionV1

PUBLISHED_CLASSES = 1000
PUBLISHED_SHAPE = (3, 224, 224)

# Claims of the literature, kept to be compared with what is counted; see above for where they stand.
FIVE_MILLION = 5_000_000
ALEXNET_CLAIM, TIMES_FEWER_CLAIM = 60_000_000, 12

# The column "params" of the paper's table 1, in K as printed. K is 1024 there: conv2 has 112 * 1024 weights and
# the linear layer 1000 * 1024. Some rows are off (conv1 has 9,408 weights), their sum is not far off.
TABLE_1_UNIT = 1024
TABLE_1: Mapping[str, float] = {
    "conv1": 2.7,
    "conv2": 112,
    "3a": 159,
    "3b": 380,
    "4a": 364,
    "4b": 437,
    "4c": 463,
    "4d": 580,
    "4e": 840,
    "5a": 1072,
    "5b": 1388,
    "linear": 1000,
}

WORKED_EXAMPLE = (128, 32, 256)  # channels before, between and after

POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
ADAPTIVE_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True)
class BlockCost:
    """One block with its reductions beside the naive module (paper, figure 2a), at the model's input shape.

    `naive` takes the input that the block has; `stacked` takes what it would get if all blocks before it were
    naive too, whose outputs are wider. Costs count convolutions; `cells` is height times width of the maps.
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
        """How many times fewer weights the reduced block has; its multiplications fall by the same factor."""
        return self.naive.weights / self.reduced.weights


def module_costs(model: InceptionV1) -> tuple[BlockCost, ...]:
    """The nine blocks in order, each naive and reduced, at `model.input_shape`."""
    shapes = stage_shapes(model)
    rows: list[BlockCost] = []
    for name in BLOCKS:
        block = model.block(name)
        _, height, width = shapes[f"inception_{name}"]
        cells, given = height * width, block.widths.in_channels
        cost = module_cost(block, cells)
        # A naive module's weights are proportional to its input's channels, and its biases do not depend on them.
        wider = rows[-1].stacked_channels if rows else given
        weights = cost.naive.weights // given * wider
        rows.append(
            BlockCost(
                block=name,
                in_channels=given,
                cells=cells,
                naive=cost.naive,
                reduced=cost.reduced,
                naive_channels=cost.naive_channels,
                reduced_channels=cost.reduced_channels,
                stacked=Cost(weights + cost.naive.parameters - cost.naive.weights, weights, weights * cells),
                stacked_channels=cost.naive_channels - given + wider,
            )
        )
    return tuple(rows)


def break_even(in_channels: int, out_channels: int, kernel: int) -> int:
    """The most channels that a reduction may leave and still save weights; 0 where it never does.

    Through r channels it takes r * (in + kernel² * out) weights, directly kernel² * in * out.
    """
    window = kernel * kernel
    return (window * in_channels * out_channels - 1) // (in_channels + window * out_channels)


@dataclass(frozen=True)
class NetworkSize:
    """What a network needs to answer for one photo of `input_shape` (3, height, width).

    Only layers that run for an answer count, so auxiliary classifiers do not. `parameters` is all that is trained
    in them; `weights` leaves out biases and BatchNorm; `convolution_weights` leaves out the linear layers too.
    `multiplications` are those of convolutions and linear layers. `longest_path` names the convolutions and linear
    layers on the longest way from photo to answer, in order; `depth_with_pools` counts its pools too.
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
        """Layers with weights on the longest way."""
        return len(self.longest_path)

    @property
    def weighted_layers(self) -> int:
        """All layers with weights, side by side or one after another."""
        return self.convolutions + self.linears

    @property
    def classifier_parameters(self) -> int:
        """Parameters of the linear layers."""
        return self.parameters - self.parameters_without_classifier

    def path_length(self, *stages: str) -> int:
        """How many layers of the longest way lie in the stages whose names begin so, for instance "stem"."""
        return sum(name.startswith(stages) for name in self.longest_path)


def network_size(model: nn.Module, input_shape: Sequence[int]) -> NetworkSize:
    """Count `model` at (3, height, width), whatever its layers are; the model itself stays as it was.

    It runs once on a copy without numbers, and PyTorch's own record of that run tells which layer follows which.
    A pool that leaves a map's size as it is because it may (VGG-16's, at 224 pixels) is no layer.

    Raises:
        ValueError: if `input_shape` is not three numbers, or too small for an `InceptionV1`.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape is {quoted(tuple(input_shape))}; it must be (3, height, width).")
    channels, height, width = (int(side) for side in input_shape)
    steps: dict[object, str] = {}  # node of PyTorch's record: name of the layer with weights that made it
    pools: dict[object, str] = {}
    ran: dict[str, nn.Module] = {}
    multiplications = 0

    # A caller may be in inference mode, in which PyTorch keeps no record.
    with torch.inference_mode(False), torch.enable_grad():
        plan = copy_module(model, "meta").eval().requires_grad_(True)
        names = {module: name for name, module in plan.named_modules()}

        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
            nonlocal multiplications
            ran[names[module]] = module
            if not isinstance(output, Tensor):
                return
            if isinstance(module, nn.Conv2d | nn.Linear):
                multiplications += output[0].numel() * module.weight[0].numel()
                steps[output.grad_fn] = names[module]
            elif isinstance(module, POOLS):
                idle = isinstance(module, ADAPTIVE_POOLS) and output.shape == inputs[0].shape
                if not idle:
                    pools[output.grad_fn] = names[module]

        for module in plan.modules():
            module.register_forward_hook(record)
        photo = torch.zeros(1, channels, height, width, device="meta", dtype=next(plan.parameters()).dtype)
        answer: Tensor = plan(photo)
        path = _longest_path(answer.grad_fn, steps)
        with_pools = _longest_path(answer.grad_fn, {**steps, **pools})

    convolutions = [module for module in ran.values() if isinstance(module, nn.Conv2d)]
    linears = [module for module in ran.values() if isinstance(module, nn.Linear)]
    parameters = sum(_own(module) for module in ran.values())
    convolution_weights = sum(module.weight.numel() for module in convolutions)
    return NetworkSize(
        input_shape=(channels, height, width),
        parameters=parameters,
        weights=convolution_weights + sum(module.weight.numel() for module in linears),
        convolution_weights=convolution_weights,
        parameters_without_classifier=parameters - sum(_own(module) for module in linears),
        multiplications=multiplications,
        longest_path=path,
        depth_with_pools=len(with_pools),
        convolutions=len(convolutions),
        linears=len(linears),
    )


def _own(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _longest_path(end: torch.autograd.graph.Node | None, steps: Mapping[object, str]) -> tuple[str, ...]:
    """The names on the way to `end` through the most nodes of `steps`. A loop and no recursion: networks are deep."""
    best: dict[torch.autograd.graph.Node, tuple[str, ...]] = {}
    waiting = [] if end is None else [end]
    while waiting:
        node = waiting[-1]
        before = [previous for previous, _ in node.next_functions if previous is not None]
        unknown = [previous for previous in before if previous not in best]
        if unknown:
            waiting.extend(unknown)
            continue
        waiting.pop()
        own = (steps[node],) if node in steps else ()
        best[node] = max((best[previous] for previous in before), key=len, default=()) + own
    return () if end is None else best[end]


@cache
def vgg16_size() -> NetworkSize:
    """VGG-16 (Simonyan and Zisserman 2015, configuration D) as torchvision builds it, at 224x224 pixels."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        return network_size(vgg16(), PUBLISHED_SHAPE)


def published_network(variant: str = "googlenet") -> InceptionV1:
    """A variant as it was trained for ImageNet, auxiliary classifiers too: 1000 classes, 224 pixels, no numbers.

    Raises:
        ValueError: if there is no such variant.
    """
    with torch.device("meta"):
        return InceptionV1(
            variant=variant, classes=PUBLISHED_CLASSES, input_shape=PUBLISHED_SHAPE, aux_classifiers=True
        )


@cache
def published_size(variant: str = "googlenet") -> NetworkSize:
    """`network_size` of `published_network` at 224x224 pixels."""
    return network_size(published_network(variant), PUBLISHED_SHAPE)


@dataclass(frozen=True)
class ParameterCount:
    """How many parameters there are if these three are counted or not."""

    auxiliary: bool  # the auxiliary classifiers, which run in training only
    classifier: bool  # the linear layers at the end
    biases: bool  # biases, and BatchNorm's scales and shifts
    parameters: int


def parameter_counts(model: InceptionV1) -> tuple[ParameterCount, ...]:
    """The eight ways of counting what `model` holds, the most inclusive first."""
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


def nearest_count(counts: Sequence[ParameterCount], target: int = FIVE_MILLION) -> ParameterCount:
    """The way of counting that comes nearest to `target`; the most inclusive where several do.

    Raises:
        ValueError: if there are no counts.
    """
    return min(counts, key=lambda count: abs(count.parameters - target))
