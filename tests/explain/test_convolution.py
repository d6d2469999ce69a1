"""One convolution by hand, against the maps and against PyTorch's own layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from inception import UserError, load
from inception.explain.convolution import ConvolutionTrace, convolutions, trace_convolution
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.inception_v1 import STAGES, VARIANTS, InceptionV1
from inception.prediction import Prediction, intermediates, predict
from inception.pretrained.description import UNKNOWN_PROVENANCE
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import IMAGENET
from support.networks import lively

LAYERS = [(branch, layer) for branch, layers in BRANCHES.items() for layer in layers if layer != "pool"]
# 3a has 12 x 12 cells then, 4a 6 x 6 and 5a 3 x 3: there a 5x5 kernel reaches over all four borders at once.
SIDE = 96


def network(**options: object) -> PretrainedModel:
    model = lively(InceptionV1(classes=3, input_shape=(3, SIDE, SIDE), **options))  # type: ignore[arg-type]
    return PretrainedModel("test", model, replace(IMAGENET, size=SIDE), ("a", "b", "c"), UNKNOWN_PROVENANCE)


NETWORKS = {
    **{variant: {"variant": variant} for variant in VARIANTS},
    "no bias": {"use_bias": False},
    "preact": {"preact": True},
    "preact, no bias": {"preact": True, "use_bias": False},
}

Looked = tuple[PretrainedModel, Prediction]


@pytest.fixture(scope="module", params=[*NETWORKS, "tiny-imagenet"])
def looked(request: pytest.FixtureRequest, photo: Image.Image) -> Looked:
    net = load("tiny-imagenet") if request.param == "tiny-imagenet" else network(**NETWORKS[request.param])
    return net, predict(net, photo)


@pytest.fixture(scope="module")
def plain(photo: Image.Image) -> Looked:
    net = network()
    return net, predict(net, photo)


def cells(maps: np.ndarray, seed: int) -> Iterator[tuple[int, int, int]]:
    """The four corners, a cell beside a corner and the liveliest cell, each of some channel."""
    channels, height, width = maps.shape
    draw = np.random.default_rng(seed).integers
    for row, column in ((0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (1, height - 2)):
        yield int(draw(channels)), row, column
    channel, row, column = np.unravel_index(maps.argmax(), maps.shape)
    yield int(channel), int(row), int(column)


def given_to(net: PretrainedModel, seen: Prediction, block: str, branch: str, layer: str) -> torch.Tensor:
    """A layer's input (1, C, H, W), by running PyTorch's layers before it."""
    x = torch.from_numpy(seen.stages[STAGES[STAGES.index(f"inception_{block}") - 1]].copy())[None]
    with torch.no_grad():
        for earlier in BRANCHES[branch][: BRANCHES[branch].index(layer)]:
            x = net.model.block(block)[earlier](x)
    return x


def total(told: ConvolutionTrace) -> float:
    return sum(product.product for product in told.products) + told.others


@pytest.mark.parametrize("block", BLOCKS)
def test_the_arithmetic_comes_to_what_the_map_has(looked: Looked, block: str) -> None:
    net, seen = looked
    inside, positive = intermediates(net, seen, block), 0
    for number, (branch, layer) in enumerate(LAYERS):
        maps = seen.branch(block, branch) if layer == BRANCHES[branch][-1] else inside[layer]
        for channel, row, column in cells(maps, number):
            told = trace_convolution(net, seen, block, branch, channel, row, column, layer)
            where = (block, layer, channel, row, column)
            assert told.value == maps[channel, row, column], where
            assert np.isclose(told.result, told.value, rtol=1e-4, atol=1e-5), where
            assert np.isclose(total(told), told.sum - told.bias, rtol=1e-9, atol=1e-12), where
            positive += told.value > 0
    assert positive >= len(LAYERS), "a ReLU that holds everything at zero would hide a mistake"


@pytest.mark.parametrize("block", ["3a", "4d", "5b"])
def test_each_step_is_what_pytorchs_own_layer_computes(looked: Looked, block: str) -> None:
    net, seen = looked
    for branch, layer in LAYERS:
        unit = net.model.block(block)[layer]
        steps, x = {}, given_to(net, seen, block, branch, layer)
        with torch.no_grad():
            for name, module in unit.named_children():
                steps[f"into {name}"] = x[0].double().numpy()
                x = steps[name] = module(x)
        for channel, row, column in cells(x[0].numpy(), 7):
            told = trace_convolution(net, seen, block, branch, channel, row, column, layer)

            def step(name: str, at: tuple[int, int, int] = (channel, row, column)) -> float:
                return float(steps[name][0][at])  # noqa: B023 - called before the next layer's turn

            assert told.sum == pytest.approx(step("conv"), rel=1e-4, abs=1e-5)
            assert told.bias == (0 if unit.conv.bias is None else unit.conv.bias[channel].item())
            if told.preact:
                assert told.affine is told.normalised is told.relu is None
            else:
                assert told.relu == pytest.approx(step("relu"), rel=1e-4, abs=1e-5)
            if "bn" not in steps:
                assert told.affine is told.normalised is None
            elif not told.preact:
                assert told.normalised == pytest.approx(step("bn"), rel=1e-4, abs=1e-5)
                assert told.normalised == told.affine.scale * told.sum + told.affine.shift

            side, reach = told.kernel_side, told.kernel_side // 2
            padded = np.pad(steps["into conv"], ((0, 0), (reach, reach), (reach, reach)))
            assert np.allclose(told.patch, padded[:, row : row + side, column : column + side], rtol=1e-4, atol=1e-5)
            assert np.array_equal(told.kernel, unit.conv.weight[channel].detach().double().numpy())


def test_the_products_told_are_the_largest(plain: Looked) -> None:
    for row, column, inside in ((3, 3, 25), (0, 0, 9), (0, 3, 15), (5, 4, 12)):
        told = trace_convolution(*plain, "4b", "5x5", 7, row, column, maximum=12)
        assert told.kernel_side == 5
        assert told.inside.sum() == inside
        assert told.count == inside * 24
        every = told.patch * told.kernel
        sizes = np.sort(np.abs(every).ravel())[::-1]
        assert [abs(product.product) for product in told.products] == sizes[:12].tolist()
        for product in told.products:
            place = (product.input_channel, product.row, product.column)
            assert told.inside[product.row, product.column]
            assert (product.value, product.weight) == (told.patch[place], told.kernel[place])
            assert product.product == product.value * product.weight


def test_what_lies_beside_the_map_is_no_product(plain: Looked) -> None:
    told = trace_convolution(*plain, "5a", "5x5", 0, 0, 0, maximum=10**6)
    assert len(told.products) == told.count == 9 * 32
    assert {(product.row, product.column) for product in told.products} == {
        (r, c) for r in (2, 3, 4) for c in (2, 3, 4)
    }
    assert len({(product.input_channel, product.row, product.column) for product in told.products}) == told.count
    assert told.others == pytest.approx(0, abs=1e-12)
    assert not told.patch[:, ~told.inside].any()


def test_fewer_products_leave_more_to_the_others(plain: Looked) -> None:
    every, few, none = (trace_convolution(*plain, "4c", "3x3", 5, 2, 2, maximum=most) for most in (10**6, 3, 0))
    assert few.products == every.products[:3]
    assert none.products == ()
    assert none.others == pytest.approx(every.sum - every.bias)
    assert few.others == pytest.approx(sum(product.product for product in every.products[3:]))


def test_a_preact_map_may_be_negative_and_its_patch_may_not(photo: Image.Image) -> None:
    net = network(preact=True)
    seen = predict(net, photo)
    maps = seen.branch("4c", "3x3")
    channel, row, column = (int(i) for i in np.unravel_index(maps.argmin(), maps.shape))
    told = trace_convolution(net, seen, "4c", "3x3", channel, row, column)
    assert told.preact
    assert told.value == maps.min() < 0
    assert told.result == told.sum == pytest.approx(told.value, rel=1e-4)
    assert told.patch.min() == 0


def test_the_last_layer_is_told_where_none_is_named(plain: Looked) -> None:
    assert {branch: trace_convolution(*plain, "4a", branch, 0, 0, 0).layer for branch in BRANCHES} == {
        "1x1": "1x1",
        "3x3": "3x3",
        "5x5": "5x5",
        "pool": "pool_proj",
    }
    assert [convolutions(branch) for branch in BRANCHES] == [
        ("1x1",),
        ("3x3_reduce", "3x3"),
        ("5x5_reduce", "5x5"),
        ("pool_proj",),
    ]


def test_torchvisions_5x5_is_computed_with_the_kernel_that_it_has(photo: Image.Image) -> None:
    net = network(variant="torchvision")
    told = trace_convolution(net, predict(net, photo), "3b", "5x5", 1, 5, 5)
    assert (told.kernel_side, told.kernel.shape, told.count) == (3, (32, 3, 3), 9 * 32)


@pytest.mark.parametrize(
    ("asked", "kind", "sentence"),
    [
        (("6a", "3x3", 0, 0, 0), "choice", "3a, 3b, 4a"),
        (("4c", "7x7", 0, 0, 0), "choice", "1x1, 3x3, 5x5, pool"),
        (("4c", "3x3", 0, 0, 0, "5x5"), "choice", "3x3_reduce, 3x3"),
        (("4c", "pool", 0, 0, 0, "pool"), "choice", "must be one of: pool_proj"),
        (("4c", "3x3", 256, 0, 0), "explain_channel", "no channel 256; block 4c/3x3 has the channels 0 to 255"),
        (("4c", "3x3", 128, 0, 0, "3x3_reduce"), "explain_channel", "block 4c/3x3_reduce has the channels 0 to 127"),
        (("4c", "3x3", -1, 0, 0), "explain_channel", "0 to 255"),
        (("4c", "3x3", 0, 6, 0), "explain_cell", "map of 4c/3x3 has 6 rows and 6 columns"),
        (("4c", "5x5", 0, 0, -1, "5x5_reduce"), "explain_cell", "map of 4c/5x5_reduce has 6 rows and 6 columns"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    plain: Looked, asked: tuple[object, ...], kind: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        trace_convolution(*plain, *asked)  # type: ignore[arg-type]
    assert refused.value.kind == kind


def test_the_numbers_are_told_and_not_lent(plain: Looked) -> None:
    net, _ = plain
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    told = trace_convolution(*plain, "4c", "3x3", 0, 0, 0)
    for array in (told.patch, told.kernel, told.inside):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    assert all(torch.equal(before[name], tensor) for name, tensor in net.model.state_dict().items())
    assert not any(module._forward_hooks or module.training for module in net.model.modules())
