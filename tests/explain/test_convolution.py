"""The arithmetic of one convolution, compared with the prediction's maps and with PyTorch's layers."""

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
from support.networks import randomise

LAYERS = [(branch, layer) for branch, layers in BRANCHES.items() for layer in layers if layer != "pool"]
# Gives 12 x 12 cells in 3a, 6 x 6 in 4a and 3 x 3 in 5a, where a 5x5 kernel crosses all four borders at once.
SIDE = 96


def network(**options: object) -> PretrainedModel:
    model = randomise(InceptionV1(classes=3, input_shape=(3, SIDE, SIDE), **options))  # type: ignore[arg-type]
    return PretrainedModel("test", model, replace(IMAGENET, size=SIDE), ("a", "b", "c"), UNKNOWN_PROVENANCE)


NETWORKS = {
    **{variant: {"variant": variant} for variant in VARIANTS},
    "no bias": {"use_bias": False},
    "preact": {"preact": True},
    "preact, no bias": {"preact": True, "use_bias": False},
}

Subject = tuple[PretrainedModel, Prediction]


@pytest.fixture(scope="module", params=[*NETWORKS, "tiny-imagenet"])
def subject(request: pytest.FixtureRequest, photo: Image.Image) -> Subject:
    net = load("tiny-imagenet") if request.param == "tiny-imagenet" else network(**NETWORKS[request.param])
    return net, predict(net, photo)


@pytest.fixture(scope="module")
def plain(photo: Image.Image) -> Subject:
    net = network()
    return net, predict(net, photo)


def cells(maps: np.ndarray, seed: int) -> Iterator[tuple[int, int, int]]:
    """The corners and a cell beside one, each of a random channel, and the cell with the highest value."""
    channels, height, width = maps.shape
    draw = np.random.default_rng(seed).integers
    for row, column in ((0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (1, height - 2)):
        yield int(draw(channels)), row, column
    channel, row, column = np.unravel_index(maps.argmax(), maps.shape)
    yield int(channel), int(row), int(column)


def layer_input(net: PretrainedModel, prediction: Prediction, block: str, branch: str, layer: str) -> torch.Tensor:
    """A layer's input (1, C, H, W), computed by PyTorch's layers before it."""
    x = torch.from_numpy(prediction.stages[STAGES[STAGES.index(f"inception_{block}") - 1]].copy())[None]
    with torch.no_grad():
        for earlier in BRANCHES[branch][: BRANCHES[branch].index(layer)]:
            x = net.model.block(block)[earlier](x)
    return x


def total(trace: ConvolutionTrace) -> float:
    return sum(product.product for product in trace.products) + trace.others


@pytest.mark.parametrize("block", BLOCKS)
def test_computed_result_is_the_value_in_the_map(subject: Subject, block: str) -> None:
    net, prediction = subject
    intermediate_maps, positive = intermediates(net, prediction, block), 0
    for number, (branch, layer) in enumerate(LAYERS):
        maps = prediction.branch(block, branch) if layer == BRANCHES[branch][-1] else intermediate_maps[layer]
        for channel, row, column in cells(maps, number):
            trace = trace_convolution(net, prediction, block, branch, channel, row, column, layer)
            position = (block, layer, channel, row, column)
            assert trace.value == maps[channel, row, column], position
            assert np.isclose(trace.result, trace.value, rtol=1e-4, atol=1e-5), position
            assert np.isclose(total(trace), trace.sum - trace.bias, rtol=1e-9, atol=1e-12), position
            positive += trace.value > 0
    assert positive >= len(LAYERS), "too few positive values: zeros behind a ReLU would hide errors"


@pytest.mark.parametrize("block", ["3a", "4d", "5b"])
def test_each_step_matches_pytorchs_layer(subject: Subject, block: str) -> None:
    net, prediction = subject
    for branch, layer in LAYERS:
        unit = net.model.block(block)[layer]
        steps, x = {}, layer_input(net, prediction, block, branch, layer)
        with torch.no_grad():
            for name, module in unit.named_children():
                steps[f"into {name}"] = x[0].double().numpy()
                x = steps[name] = module(x)
        for channel, row, column in cells(x[0].numpy(), 7):
            trace = trace_convolution(net, prediction, block, branch, channel, row, column, layer)

            def step(name: str, at: tuple[int, int, int] = (channel, row, column)) -> float:
                return float(steps[name][0][at])  # noqa: B023 - called within the same iteration

            assert trace.sum == pytest.approx(step("conv"), rel=1e-4, abs=1e-5)
            assert trace.bias == (0 if unit.conv.bias is None else unit.conv.bias[channel].item())
            if trace.preact:
                assert trace.affine is trace.normalised is trace.relu is None
            else:
                assert trace.relu == pytest.approx(step("relu"), rel=1e-4, abs=1e-5)
            if "bn" not in steps:
                assert trace.affine is trace.normalised is None
            elif not trace.preact:
                assert trace.normalised == pytest.approx(step("bn"), rel=1e-4, abs=1e-5)
                assert trace.normalised == trace.affine.scale * trace.sum + trace.affine.shift

            side, reach = trace.kernel_side, trace.kernel_side // 2
            padded = np.pad(steps["into conv"], ((0, 0), (reach, reach), (reach, reach)))
            assert np.allclose(trace.patch, padded[:, row : row + side, column : column + side], rtol=1e-4, atol=1e-5)
            assert np.array_equal(trace.kernel, unit.conv.weight[channel].detach().double().numpy())


def test_listed_products_are_the_largest(plain: Subject) -> None:
    for row, column, inside_count in ((3, 3, 25), (0, 0, 9), (0, 3, 15), (5, 4, 12)):
        trace = trace_convolution(*plain, "4b", "5x5", 7, row, column, maximum=12)
        assert trace.kernel_side == 5
        assert trace.inside.sum() == inside_count
        assert trace.count == inside_count * 24
        products = trace.patch * trace.kernel
        magnitudes = np.sort(np.abs(products).ravel())[::-1]
        assert [abs(product.product) for product in trace.products] == magnitudes[:12].tolist()
        for product in trace.products:
            position = (product.input_channel, product.row, product.column)
            assert trace.inside[product.row, product.column]
            assert (product.value, product.weight) == (trace.patch[position], trace.kernel[position])
            assert product.product == product.value * product.weight


def test_padding_gives_no_products(plain: Subject) -> None:
    trace = trace_convolution(*plain, "5a", "5x5", 0, 0, 0, maximum=10**6)
    assert len(trace.products) == trace.count == 9 * 32
    assert {(product.row, product.column) for product in trace.products} == {
        (r, c) for r in (2, 3, 4) for c in (2, 3, 4)
    }
    assert len({(product.input_channel, product.row, product.column) for product in trace.products}) == trace.count
    assert trace.others == pytest.approx(0, abs=1e-12)
    assert not trace.patch[:, ~trace.inside].any()


def test_unlisted_products_are_summed_in_others(plain: Subject) -> None:
    full, few, none = (trace_convolution(*plain, "4c", "3x3", 5, 2, 2, maximum=maximum) for maximum in (10**6, 3, 0))
    assert few.products == full.products[:3]
    assert none.products == ()
    assert none.others == pytest.approx(full.sum - full.bias)
    assert few.others == pytest.approx(sum(product.product for product in full.products[3:]))


def test_preact_maps_can_be_negative_and_their_patches_cannot(photo: Image.Image) -> None:
    net = network(preact=True)
    prediction = predict(net, photo)
    maps = prediction.branch("4c", "3x3")
    channel, row, column = (int(i) for i in np.unravel_index(maps.argmin(), maps.shape))
    trace = trace_convolution(net, prediction, "4c", "3x3", channel, row, column)
    assert trace.preact
    assert trace.value == maps.min() < 0
    assert trace.result == trace.sum == pytest.approx(trace.value, rel=1e-4)
    assert trace.patch.min() == 0


def test_layer_defaults_to_the_last_convolution(plain: Subject) -> None:
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


def test_torchvisions_5x5_branch_is_traced_with_its_3x3_kernel(photo: Image.Image) -> None:
    net = network(variant="torchvision")
    trace = trace_convolution(net, predict(net, photo), "3b", "5x5", 1, 5, 5)
    assert (trace.kernel_side, trace.kernel.shape, trace.count) == (3, (32, 3, 3), 9 * 32)


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        (("6a", "3x3", 0, 0, 0), "choice", "3a, 3b, 4a"),
        (("4c", "7x7", 0, 0, 0), "choice", "1x1, 3x3, 5x5, pool"),
        (("4c", "3x3", 0, 0, 0, "5x5"), "choice", "3x3_reduce, 3x3"),
        (("4c", "pool", 0, 0, 0, "pool"), "choice", "must be one of: pool_proj"),
        (("4c", "3x3", 256, 0, 0), "explain_channel", "no channel 256 in 4c/3x3; its channels are numbered 0 to 255"),
        (
            ("4c", "3x3", 128, 0, 0, "3x3_reduce"),
            "explain_channel",
            "in 4c/3x3_reduce; its channels are numbered 0 to 127",
        ),
        (("4c", "3x3", -1, 0, 0), "explain_channel", "0 to 255"),
        (("4c", "3x3", 0, 6, 0), "explain_cell", "map of 4c/3x3 has 6 rows and 6 columns"),
        (("4c", "5x5", 0, 0, -1, "5x5_reduce"), "explain_cell", "map of 4c/5x5_reduce has 6 rows and 6 columns"),
    ],
)
def test_unknown_names_and_cells_are_rejected_with_the_valid_ones(
    plain: Subject, arguments: tuple[object, ...], kind: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        trace_convolution(*plain, *arguments)  # type: ignore[arg-type]
    assert error.value.kind == kind


def test_arrays_are_read_only_and_the_model_is_unchanged(plain: Subject) -> None:
    net, _ = plain
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    trace = trace_convolution(*plain, "4c", "3x3", 0, 0, 0)
    for array in (trace.patch, trace.kernel, trace.inside):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    assert all(torch.equal(before[name], tensor) for name, tensor in net.model.state_dict().items())
    assert not any(module._forward_hooks or module.training for module in net.model.modules())
