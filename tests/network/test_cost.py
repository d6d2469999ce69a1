"""Sizes, costs and depths, against arithmetic by hand, torchvision's networks, PyTorch's own counter and the paper."""

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
def theirs(name: str) -> nn.Module:
    """torchvision's network without numbers, in evaluation."""
    with torch.device("meta"):
        more = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
        return getattr(models, name)(weights=None, **more).eval()


def held(model: nn.Module, without: tuple[str, ...] = ()) -> int:
    return sum(one.numel() for name, one in model.named_parameters() if not name.startswith(without or "-"))


def layers_in(told: NetworkSize, part: str) -> int:
    return sum(name.startswith(part) for name in told.longest_path)


def counted_multiplications(model: nn.Module) -> int:
    """PyTorch counts an addition and a multiplication for each product."""
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 224, 224, device="meta"))
    return counter.get_total_flops() // 2


# ---------------------------------------------------------------- reductions


def test_the_5x5_of_3a_by_hand() -> None:
    cost = bottleneck(192, 16, 32, 5, bias=False)
    assert cost.direct.weights == 25 * 192 * 32 == 153_600
    assert cost.reduced.weights == 192 * 16 + 25 * 16 * 32 == 15_872


@pytest.mark.parametrize(
    ("kernel", "direct", "through", "limit"), [(3, 294_912, 77_824, 121), (5, 819_200, 208_896, 125)]
)
def test_the_worked_example_by_hand(kernel: int, direct: int, through: int, limit: int) -> None:
    given, reduced, out = WORKED_EXAMPLE
    assert WORKED_EXAMPLE == (128, 32, 256)
    cost = bottleneck(given, reduced, out, kernel, bias=False)
    assert (cost.direct.weights, cost.reduced.weights) == (direct, through)
    assert break_even(given, out, kernel) == limit


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize(("given", "out"), [(1, 1), (2, 2), (3, 8), (16, 16), (64, 10), (10, 64), (480, 208)])
def test_a_reduction_saves_up_to_the_break_even_and_not_beyond(given: int, out: int, kernel: int) -> None:
    direct = kernel**2 * given * out
    # Through as many channels as there are it cannot save: the window alone costs as much.
    saving = [r for r in range(1, given + 1) if r * given + kernel**2 * r * out < direct]
    assert break_even(given, out, kernel) == max(saving, default=0)


def test_3a_naive_and_reduced_by_hand() -> None:
    first = module_costs(InceptionV1(variant="googlenet"))[0]
    naive = 192 * 64 + 9 * 192 * 128 + 25 * 192 * 32
    reduced = 192 * 64 + 192 * 96 + 9 * 96 * 128 + 192 * 16 + 25 * 16 * 32 + 192 * 32
    assert (first.block, first.in_channels, first.cells) == ("3a", 192, 28 * 28)
    assert (first.naive.weights, first.reduced.weights) == (naive, reduced) == (387_072, 163_328)
    assert first.naive.multiplications == naive * 784
    assert first.reduced.multiplications == reduced * 784
    assert (first.naive_channels, first.reduced_channels) == (64 + 128 + 32 + 192, 256)
    assert first.saving == pytest.approx(387_072 / 163_328)
    # Nothing stands before it.
    assert (first.stacked, first.stacked_channels) == (first.naive, first.naive_channels)


@pytest.mark.parametrize(("variant", "wide"), [("batchnorm", 5), ("googlenet", 5), ("torchvision", 3)])
def test_naive_blocks_one_after_another_grow_ever_wider(variant: str, wide: int) -> None:
    model = InceptionV1(variant=variant, classes=2)
    rows = module_costs(model)
    assert [row.block for row in rows] == list(BLOCKS)
    given = 192
    for row, (own, one, (_, three), (_, five), _) in zip(rows, BLOCKS.values(), strict=True):
        per_channel = one + 9 * three + wide**2 * five
        biases = one + three + five if model.block(row.block)["1x1"].conv.bias is not None else 0
        assert row.naive.weights == own * per_channel
        assert row.stacked.weights == given * per_channel
        assert row.stacked.parameters == row.stacked.weights + biases
        assert row.stacked.multiplications == row.stacked.weights * row.cells
        given += one + three + five
        assert row.stacked_channels == given


def test_block_costs_follow_the_input_shape() -> None:
    sides = {"3": 16, "4": 8, "5": 4}
    for row in module_costs(InceptionV1(classes=2, input_shape=(3, 128, 128))):
        assert row.cells == sides[row.block[0]] ** 2
        assert row.reduced.multiplications == row.reduced.weights * row.cells


# ---------------------------------------------------------------- whole networks


class Forked(nn.Module):
    """Two ways, a long and a short one, meet again; one layer never runs."""

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


def test_a_small_network_by_hand() -> None:
    told = network_size(Forked(), (3, 8, 8))
    assert told.input_shape == (3, 8, 8)
    assert told.convolution_weights == 3 * 4 * 9 + 4 * 2 + 2 * 4 * 9 + 4 * 2
    assert told.weights == told.convolution_weights + 64 * 5
    # Biases of three layers, scale and shift of BatchNorm; the layer that never runs has no part.
    assert told.parameters == told.weights + 4 + 2 + 5 + 2 * 4
    assert told.classifier_parameters == 64 * 5 + 5
    assert told.multiplications == 64 * told.convolution_weights + 64 * 5
    assert told.longest_path == ("first", "long.0", "long.2", "last")
    # Of the pools only the one that makes the map smaller is a layer.
    assert (told.depth, told.depth_with_pools) == (4, 5)
    assert (told.convolutions, told.linears, told.weighted_layers) == (4, 1, 5)


def test_counting_leaves_the_model_as_it_was_and_works_in_inference_mode() -> None:
    model = InceptionV1(variant="googlenet", classes=2, aux_classifiers=True).train()
    model.stem.requires_grad_(False)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    wishes = [one.requires_grad for one in model.parameters()]
    with torch.inference_mode():
        told = network_size(model, (3, 64, 64))
    assert told.depth == 22
    assert model.training
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert [one.requires_grad for one in model.parameters()] == wishes
    assert all(one.grad is None for one in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("shape", [(224, 224), (1, 3, 224, 224), (3, 8, 8)])
def test_a_shape_that_no_photo_has_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"3, height, width\)"):
        network_size(published_network(), shape)


def test_vgg16_is_counted_as_torchvision_and_pytorch_count_it() -> None:
    told = vgg16_size()
    assert told.parameters == held(theirs("vgg16")) == 138_357_544
    assert told.parameters_without_classifier == held(theirs("vgg16"), ("classifier.",))
    assert told.multiplications == counted_multiplications(theirs("vgg16"))
    # Simonyan and Zisserman 2015, configuration D: 13 convolutions, 3 linear layers, 5 pools.
    assert (told.convolutions, told.linears) == (13, 3)
    assert (told.depth, told.depth_with_pools) == (16, 21)


def test_torchvisions_googlenet_is_as_large_as_ours_of_that_kind() -> None:
    ours, other = published_size("torchvision"), network_size(theirs("googlenet"), (3, 224, 224))
    assert ours.parameters == other.parameters == held(theirs("googlenet"), ("aux1.", "aux2.")) == 6_624_904
    assert ours.parameters_without_classifier == held(theirs("googlenet"), ("aux1.", "aux2.", "fc."))
    assert ours.multiplications == other.multiplications == counted_multiplications(theirs("googlenet"))
    assert (other.depth, other.depth_with_pools) == (22, 27)


@pytest.mark.parametrize("variant", VARIANTS)
def test_multiplications_are_those_that_pytorch_counts(variant: str) -> None:
    assert published_size(variant).multiplications == counted_multiplications(published_network(variant).eval())


def test_googlenet_is_22_layers_deep_and_27_with_pools() -> None:
    told = published_size()
    assert (told.depth, told.depth_with_pools) == (22, 27)
    assert [layers_in(told, part) for part in ("stem", "inception", "head")] == [3, 18, 1]
    assert all(layers_in(told, f"inception_{block}.") == 2 for block in BLOCKS)
    assert (told.convolutions, told.linears) == (3 + 9 * 6, 1)
    # What the Caffe model that was published holds without its auxiliary classifiers, and with them.
    assert told.parameters == 6_998_552
    assert held(published_network()) == 13_378_280


def test_a_hidden_layer_in_the_head_makes_it_deeper() -> None:
    told = published_size("batchnorm")
    assert (told.depth, told.depth_with_pools) == (23, 28)
    assert (layers_in(told, "head"), told.linears) == (2, 2)
    assert told.classifier_parameters == 1024 * 1024 + 1024 + 1024 * 1000 + 1000


# ---------------------------------------------------------------- what "5 million" counts


def test_the_eight_ways_of_counting_on_torchvisions_own_network() -> None:
    theirs_by_way = {
        (auxiliary, classifier, biases): sum(
            one.numel()
            for name, one in theirs("googlenet").named_parameters()
            if (auxiliary or not name.startswith("aux"))
            and (classifier or not name.startswith("fc."))
            and (biases or one.dim() > 1)
        )
        for auxiliary in (True, False)
        for classifier in (True, False)
        for biases in (True, False)
    }
    counts = parameter_counts(published_network("torchvision"))
    assert {(one.auxiliary, one.classifier, one.biases): one.parameters for one in counts} == theirs_by_way
    assert counts[0] == ParameterCount(True, True, True, held(theirs("googlenet")))
    assert counts[0].parameters == 13_004_888


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_module_documents_its_counts_as_they_are(variant: str) -> None:
    from inception.network import cost as size

    column = list(VARIANTS).index(variant) + 1
    _, head, rows, _ = re.split(r"^=+ .*=$", size.__doc__ or "", flags=re.M)
    assert head.split()[-len(VARIANTS) :] == list(VARIANTS)
    written = [float(re.split(r" {2,}", row)[column]) for row in rows.strip().splitlines()]
    by_way = {
        (one.auxiliary, one.classifier, one.biases): one.parameters
        for one in parameter_counts(published_network(variant))
    }
    ways = [(True, True, True), (False, True, True), (False, True, False), (False, False, True), (False, False, False)]
    assert written == [round(by_way[way] / 1e6, 2) for way in ways]


def test_no_way_of_counting_gives_five_million() -> None:
    counts = parameter_counts(published_network())
    nearest = min(counts, key=lambda count: abs(count.parameters - FIVE_MILLION))
    assert (nearest.auxiliary, nearest.classifier, nearest.biases) == (False, False, False)
    assert nearest.parameters == published_size().convolution_weights
    assert min(one.parameters for one in counts) > 5_900_000
    assert ALEXNET_CLAIM / 12 == FIVE_MILLION, "12 times fewer"


def test_the_papers_table_counts_weights_in_units_of_1024() -> None:
    model = published_network()
    weights = {row.block: row.reduced.weights for row in module_costs(model)}
    weights["conv2"] = 64 * 64 + 9 * 64 * 192
    weights["linear"] = 1024 * 1000
    assert set(TABLE_1) == {*weights, "conv1"}
    assert (weights["conv2"], weights["linear"]) == (112 * TABLE_1_UNIT, 1000 * TABLE_1_UNIT)
    # As printed; 4c is the farthest off, but for conv1.
    for row, weight in weights.items():
        assert TABLE_1[row] * TABLE_1_UNIT == pytest.approx(weight, rel=0.08), row
    assert sum(TABLE_1.values()) * TABLE_1_UNIT == pytest.approx(published_size().weights, rel=0.01)
