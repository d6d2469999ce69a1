"""Sizes, costs and depths, compared with hand calculations, torchvision, PyTorch's FLOP counter and the paper."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from inception.network.anatomy import bottleneck
from inception.network.blocks import BLOCKS
from inception.network.cost import (
    WORKED_EXAMPLE,
    NetworkSize,
    ParameterCount,
    break_even,
    module_costs,
    network_size,
    parameter_counts,
    published_network,
    published_size,
    vgg16_size,
)
from inception.network.inception_v1 import VARIANTS, InceptionV1

# Published figures, for comparison with the counts; `inception.network.cost` names their sources.
FIVE_MILLION = 5_000_000
ALEXNET_CLAIM = 60_000_000

# Column "params" of the paper's table 1, in K as printed. K is 1024: conv2 has 112 * 1024 weights and the linear
# layer 1000 * 1024. Some rows are wrong (conv1 has 9,408 weights), but the sum is close.
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


@cache
def torchvision_model(name: str) -> nn.Module:
    """Return torchvision's network on the meta device, in evaluation mode."""
    with torch.device("meta"):
        options = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
        return getattr(models, name)(weights=None, **options).eval()


def parameter_total(model: nn.Module, without: tuple[str, ...] = ()) -> int:
    return sum(parameter.numel() for name, parameter in model.named_parameters() if not name.startswith(without or "-"))


def layers_in(size: NetworkSize, part: str) -> int:
    return sum(name.startswith(part) for name in size.longest_path)


def counted_multiplications(model: nn.Module) -> int:
    """Return PyTorch's FLOP count, halved: it counts each multiply-add as two."""
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 224, 224, device="meta"))
    return counter.get_total_flops() // 2


# ---------------------------------------------------------------- reductions


def test_5x5_reduction_of_3a_matches_hand_calculations() -> None:
    cost = bottleneck(192, 16, 32, 5, bias=False)
    assert cost.direct.weights == 25 * 192 * 32 == 153_600
    assert cost.reduced.weights == 192 * 16 + 25 * 16 * 32 == 15_872


@pytest.mark.parametrize(
    ("kernel", "direct", "reduced", "limit"), [(3, 294_912, 77_824, 121), (5, 819_200, 208_896, 125)]
)
def test_worked_example_matches_hand_calculations(kernel: int, direct: int, reduced: int, limit: int) -> None:
    in_channels, reduced_channels, out_channels = WORKED_EXAMPLE
    assert WORKED_EXAMPLE == (128, 32, 256)
    cost = bottleneck(in_channels, reduced_channels, out_channels, kernel, bias=False)
    assert (cost.direct.weights, cost.reduced.weights) == (direct, reduced)
    assert break_even(in_channels, out_channels, kernel) == limit


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize(
    ("in_channels", "out_channels"), [(1, 1), (2, 2), (3, 8), (16, 16), (64, 10), (10, 64), (480, 208)]
)
def test_a_reduction_saves_weights_up_to_the_break_even_only(in_channels: int, out_channels: int, kernel: int) -> None:
    direct = kernel**2 * in_channels * out_channels
    # Reducing to the number of input channels saves nothing: the second convolution alone costs as much.
    saving = [
        reduced
        for reduced in range(1, in_channels + 1)
        if reduced * in_channels + kernel**2 * reduced * out_channels < direct
    ]
    assert break_even(in_channels, out_channels, kernel) == max(saving, default=0)


def test_naive_and_reduced_costs_of_3a_match_hand_calculations() -> None:
    first = module_costs(InceptionV1(variant="googlenet"))[0]
    naive = 192 * 64 + 9 * 192 * 128 + 25 * 192 * 32
    reduced = 192 * 64 + 192 * 96 + 9 * 96 * 128 + 192 * 16 + 25 * 16 * 32 + 192 * 32
    assert (first.block, first.in_channels, first.cells) == ("3a", 192, 28 * 28)
    assert (first.naive.weights, first.reduced.weights) == (naive, reduced) == (387_072, 163_328)
    assert first.naive.multiplications == naive * 784
    assert first.reduced.multiplications == reduced * 784
    assert (first.naive_channels, first.reduced_channels) == (64 + 128 + 32 + 192, 256)
    assert first.saving == pytest.approx(387_072 / 163_328)
    # 3a comes first, so stacking does not widen its input.
    assert (first.stacked, first.stacked_channels) == (first.naive, first.naive_channels)


@pytest.mark.parametrize(("variant", "third_kernel"), [("batchnorm", 5), ("googlenet", 5), ("torchvision", 3)])
def test_stacked_naive_blocks_grow_wider(variant: str, third_kernel: int) -> None:
    model = InceptionV1(variant=variant, classes=2)
    rows = module_costs(model)
    assert [row.block for row in rows] == list(BLOCKS)
    stacked_channels = 192
    for row, (in_channels, n1x1, (_, n3x3), (_, n5x5), _) in zip(rows, BLOCKS.values(), strict=True):
        per_channel = n1x1 + 9 * n3x3 + third_kernel**2 * n5x5
        biases = n1x1 + n3x3 + n5x5 if model.block(row.block)["1x1"].conv.bias is not None else 0
        assert row.naive.weights == in_channels * per_channel
        assert row.stacked.weights == stacked_channels * per_channel
        assert row.stacked.parameters == row.stacked.weights + biases
        assert row.stacked.multiplications == row.stacked.weights * row.cells
        stacked_channels += n1x1 + n3x3 + n5x5
        assert row.stacked_channels == stacked_channels


def test_block_costs_follow_the_input_shape() -> None:
    sides = {"3": 16, "4": 8, "5": 4}
    for row in module_costs(InceptionV1(classes=2, input_shape=(3, 128, 128))):
        assert row.cells == sides[row.block[0]] ** 2
        assert row.reduced.multiplications == row.reduced.weights * row.cells


# ---------------------------------------------------------------- networks


class Forked(nn.Module):
    """A long and a short path that join again, and a layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.long = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(2, 4, 3, padding=1, bias=False))
        self.short = nn.Conv2d(4, 4, 1, groups=2, bias=False)
        self.after = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(4))
        self.last = nn.Linear(64, 5)
        self.idle = nn.Linear(100, 100)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(self.after(self.long(x) + self.short(x)).flatten(1))


def test_a_small_network_matches_hand_calculations() -> None:
    size = network_size(Forked(), (3, 8, 8))
    assert size.input_shape == (3, 8, 8)
    assert size.convolution_weights == 3 * 4 * 9 + 4 * 2 + 2 * 4 * 9 + 4 * 2
    assert size.weights == size.convolution_weights + 64 * 5
    # Biases of three layers, scale and shift of BatchNorm; the layer that never runs does not count.
    assert size.parameters == size.weights + 4 + 2 + 5 + 2 * 4
    assert size.classifier_parameters == 64 * 5 + 5
    assert size.multiplications == 64 * size.convolution_weights + 64 * 5
    assert size.longest_path == ("first", "long.0", "long.2", "last")
    # Only a pool that shrinks the feature map counts as a layer.
    assert (size.depth, size.depth_with_pools) == (4, 5)
    assert (size.convolutions, size.linears, size.weighted_layers) == (4, 1, 5)


def test_counting_leaves_the_model_unchanged_and_works_in_inference_mode() -> None:
    model = InceptionV1(variant="googlenet", classes=2, aux_classifiers=True).train()
    model.stem.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    requires_grad = [parameter.requires_grad for parameter in model.parameters()]
    with torch.inference_mode():
        size = network_size(model, (3, 64, 64))
    assert size.depth == 22
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("shape", [(224, 224), (1, 3, 224, 224), (3, 8, 8)])
def test_invalid_input_shapes_are_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"3, height, width\)"):
        network_size(published_network(), shape)


def test_vgg16_counts_match_torchvision_and_pytorch() -> None:
    size = vgg16_size()
    assert size.parameters == parameter_total(torchvision_model("vgg16")) == 138_357_544
    assert size.parameters_without_classifier == parameter_total(torchvision_model("vgg16"), ("classifier.",))
    assert size.multiplications == counted_multiplications(torchvision_model("vgg16"))
    # Simonyan and Zisserman 2015, configuration D: 13 convolutions, 3 linear layers, 5 pools.
    assert (size.convolutions, size.linears) == (13, 3)
    assert (size.depth, size.depth_with_pools) == (16, 21)


def test_torchvision_variant_has_the_size_of_torchvisions_googlenet() -> None:
    ours, reference = published_size("torchvision"), network_size(torchvision_model("googlenet"), (3, 224, 224))
    assert (
        ours.parameters
        == reference.parameters
        == parameter_total(torchvision_model("googlenet"), ("aux1.", "aux2."))
        == 6_624_904
    )
    assert ours.parameters_without_classifier == parameter_total(
        torchvision_model("googlenet"), ("aux1.", "aux2.", "fc.")
    )
    assert ours.multiplications == reference.multiplications == counted_multiplications(torchvision_model("googlenet"))
    assert (reference.depth, reference.depth_with_pools) == (22, 27)


@pytest.mark.parametrize("variant", VARIANTS)
def test_multiplications_match_pytorchs_counter(variant: str) -> None:
    assert published_size(variant).multiplications == counted_multiplications(published_network(variant).eval())


def test_googlenet_is_22_layers_deep_and_27_with_pools() -> None:
    size = published_size()
    assert (size.depth, size.depth_with_pools) == (22, 27)
    assert [layers_in(size, part) for part in ("stem", "inception", "head")] == [3, 18, 1]
    assert all(layers_in(size, f"inception_{block}.") == 2 for block in BLOCKS)
    assert (size.convolutions, size.linears) == (3 + 9 * 6, 1)
    # Parameters of the published Caffe model, without and with its auxiliary classifiers.
    assert size.parameters == 6_998_552
    assert parameter_total(published_network()) == 13_378_280


def test_a_hidden_layer_in_the_head_adds_depth() -> None:
    size = published_size("batchnorm")
    assert (size.depth, size.depth_with_pools) == (23, 28)
    assert (layers_in(size, "head"), size.linears) == (2, 2)
    assert size.classifier_parameters == 1024 * 1024 + 1024 + 1024 * 1000 + 1000


# ---------------------------------------------------------------- the paper's "5 million" parameters


def test_eight_counting_conventions_match_torchvisions_googlenet() -> None:
    expected = {
        (auxiliary, classifier, biases): sum(
            parameter.numel()
            for name, parameter in torchvision_model("googlenet").named_parameters()
            if (auxiliary or not name.startswith("aux"))
            and (classifier or not name.startswith("fc."))
            and (biases or parameter.dim() > 1)
        )
        for auxiliary in (True, False)
        for classifier in (True, False)
        for biases in (True, False)
    }
    counts = parameter_counts(published_network("torchvision"))
    assert {(count.auxiliary, count.classifier, count.biases): count.parameters for count in counts} == expected
    assert counts[0] == ParameterCount(True, True, True, parameter_total(torchvision_model("googlenet")))
    assert counts[0].parameters == 13_004_888


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_module_docstring_lists_the_actual_counts(variant: str) -> None:
    from inception.network import cost

    column = list(VARIANTS).index(variant) + 1
    _, header, rows, _ = re.split(r"^=+ .*=$", cost.__doc__ or "", flags=re.M)
    assert header.split()[-len(VARIANTS) :] == list(VARIANTS)
    documented = [float(re.split(r" {2,}", row)[column]) for row in rows.strip().splitlines()]
    actual = {
        (count.auxiliary, count.classifier, count.biases): count.parameters
        for count in parameter_counts(published_network(variant))
    }
    conventions = [
        (True, True, True),
        (False, True, True),
        (False, True, False),
        (False, False, True),
        (False, False, False),
    ]
    assert documented == [round(actual[convention] / 1e6, 2) for convention in conventions]


def test_no_counting_convention_gives_five_million() -> None:
    counts = parameter_counts(published_network())
    nearest = min(counts, key=lambda count: abs(count.parameters - FIVE_MILLION))
    assert (nearest.auxiliary, nearest.classifier, nearest.biases) == (False, False, False)
    assert nearest.parameters == published_size().convolution_weights
    assert min(count.parameters for count in counts) > 5_900_000
    assert ALEXNET_CLAIM / 12 == FIVE_MILLION, "the paper claims 12 times fewer"


def test_the_papers_table_counts_weights_in_units_of_1024() -> None:
    model = published_network()
    weights = {row.block: row.reduced.weights for row in module_costs(model)}
    weights["conv2"] = 64 * 64 + 9 * 64 * 192
    weights["linear"] = 1024 * 1000
    assert set(TABLE_1) == {*weights, "conv1"}
    assert (weights["conv2"], weights["linear"]) == (112 * TABLE_1_UNIT, 1000 * TABLE_1_UNIT)
    # Values as printed; apart from conv1, 4c deviates most.
    for row, weight in weights.items():
        assert TABLE_1[row] * TABLE_1_UNIT == pytest.approx(weight, rel=0.08), row
    assert sum(TABLE_1.values()) * TABLE_1_UNIT == pytest.approx(published_size().weights, rel=0.01)
