"""What a cell sees, against the gradients of a network through which everything gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from inception import UserError
from inception.explain.receptive_field import EffectiveField, Square, cell_square, effective_field, map_size
from inception.network.blocks import BLOCKS, BRANCHES, InceptionBlock
from inception.network.inception_v1 import STAGES, VARIANTS, InceptionV1
from inception.prediction import predict
from inception.pretrained.description import UNKNOWN_PROVENANCE
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import CAFFE, IMAGENET, TORCHVISION
from support.networks import lively, smooth_copy


def share_in(field: EffectiveField, square: Square) -> float:
    """The share of the energy inside a square; 0 without any energy."""
    total = field.energy.sum(dtype=np.float64)
    inside = field.energy[square.top : square.bottom, square.left : square.right].sum(dtype=np.float64)
    return min(float(inside / total), 1.0) if total > 0 else 0.0


# ---------------------------------------------------------------- the square


def thin_smooth_copy(variant: str) -> InceptionV1:
    """`smooth_copy` with one channel in every layer, so that a thousand pixels are affordable.

    Kernels, strides, paddings and the order of the layers are the network's own; which pixels a
    gradient reaches does not depend on how many channels carry it.
    """
    model = smooth_copy(variant, 32)
    for name, module in list(model.named_modules()):
        path, _, child = name.rpartition(".")
        layer = path.rpartition(".")[2]
        if isinstance(module, nn.BatchNorm2d):
            model.get_submodule(path).add_module(child, nn.Identity())
        elif isinstance(module, nn.Conv2d):
            # A block's first layers take what the four branches before them gave; 3a's what the stem gave.
            joined = path.startswith("inception_") and not path.startswith("inception_3a")
            channels = 3 if layer == "conv1" else 4 if joined and layer not in ("3x3", "5x5") else 1
            thin = nn.Conv2d(channels, 1, module.kernel_size, module.stride, module.padding, bias=False)
            thin.weight.data.fill_(1 / thin.weight[0].numel())
            model.get_submodule(path).add_module(child, thin.double())
    return model


def thin_branches(model: InceptionV1, x: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """Each branch of each block with its map (1, 1, H, W)."""
    for stage in STAGES:
        module = model.get_submodule(stage)
        if isinstance(module, InceptionBlock):
            outputs = module.trace(x)
            maps = {branch: outputs[layers[-1]] for branch, layers in BRANCHES.items()}
            yield from ((stage.removeprefix("inception_"), branch, one) for branch, one in maps.items())
            x = torch.cat(list(maps.values()), dim=1)
        else:
            x = module(x)


def support(output: Tensor, x: Tensor, row: int, column: int) -> Square:
    """Where the gradient of one cell is not zero; it must be a square without holes."""
    (gradient,) = torch.autograd.grad(output[0, 0, row, column], x, retain_graph=True)
    touched = gradient[0].abs().sum(0) > 0
    (top, left), (bottom, right) = touched.nonzero().min(0).values.tolist(), touched.nonzero().max(0).values.tolist()
    square = Square(left, top, right + 1, bottom + 1)
    assert touched.sum() == square.width * square.height
    return square


def check(variant: str, size: tuple[int, int], places: Callable[[int, int], set[tuple[int, int]]]) -> int:
    """Compare squares and supports in some cells of every branch of every block; how many were not cut off."""
    facts = InceptionV1(variant=variant, include_top=False, input_shape=(3, *size))
    x = torch.rand(1, 3, *size, dtype=torch.float64, requires_grad=True)
    seen, whole = [], 0
    for block, branch, output in thin_branches(thin_smooth_copy(variant), x):
        height, width = output.shape[-2:]
        assert map_size(facts, block) == (height, width)
        for row, column in places(height, width):
            square = cell_square(facts, block, branch, row, column)
            assert square == support(output, x, row, column), (block, branch, row, column)
            whole += square.left > 0 and square.top > 0 and square.right < size[1] and square.bottom < size[0]
        seen.append((block, branch))
    assert seen == [(block, branch) for block in BLOCKS for branch in BRANCHES]
    return whole


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cell_sees_what_the_gradient_says(variant: str) -> None:
    """Of a photo so large that the widest field, of 715 pixels, does not reach its border."""
    assert check(variant, (897, 930), lambda height, width: {(height // 2, width // 2)}) == 36


# Long strips, where a square is cut off on two sides, one or none of the other two; then small photos
# of odd and even sides, of which a deep cell sees all. What rows do, columns do not show, and so both ways.
@pytest.mark.parametrize("size", [(899, 64), (64, 900), (131, 96), (33, 70)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cell_near_the_border_sees_what_the_gradient_says(variant: str, size: tuple[int, int]) -> None:
    def places(height: int, width: int) -> set[tuple[int, int]]:
        rows, columns = {0, 1, height // 2, height - 1}, {0, width // 2, width - 1}
        return {(row, column) for row in rows for column in columns if row < height}

    check(variant, size, places)


@pytest.mark.parametrize(
    ("variant", "sides"),
    [("batchnorm", [27, 43, 59, 43]), ("googlenet", [27, 43, 59, 43]), ("torchvision", [27, 43, 43, 43])],
)
def test_the_squares_of_3a_by_hand(variant: str, sides: list[int]) -> None:
    model = InceptionV1(variant=variant)
    squares = [cell_square(model, "3a", branch, 14, 14) for branch in BRANCHES]
    assert [(square.width, square.height) for square in squares] == [(side, side) for side in sides]


@pytest.mark.parametrize(("variant", "first"), [("batchnorm", 30), ("googlenet", 36), ("torchvision", 28)])
def test_at_the_border_the_square_is_cut_off(variant: str, first: int) -> None:
    # By hand for googlenet: the first cell begins at -(3 + 4 + 2 * 8) = -23, and -23 + 59 = 36.
    model = InceptionV1(variant=variant, input_shape=(3, 224, 160))
    assert cell_square(model, "3a", "5x5", 0, 0) == Square(0, 0, first, first)
    last = cell_square(model, "3a", "5x5", 27, 19)
    assert (last.right, last.bottom) == (160, 224)
    assert last.width == last.height < 43
    assert cell_square(model, "5b", "5x5", 3, 3) == Square(0, 0, 160, 224)


@pytest.mark.parametrize(("row", "column"), [(14, 0), (0, 10), (-1, 0), (0, -1)])
def test_a_cell_outside_the_map_is_refused_with_the_maps_size(row: int, column: int) -> None:
    model = InceptionV1(input_shape=(3, 224, 160))
    with pytest.raises(UserError, match="map of 4a/1x1 has 14 rows and 10 columns") as refused:
        cell_square(model, "4a", "1x1", row, column)
    assert refused.value.kind == "explain_cell"


def test_an_unknown_block_or_branch_is_refused_with_those_that_exist() -> None:
    model = InceptionV1()
    with pytest.raises(ValueError, match="3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"):
        cell_square(model, "6a", "1x1", 0, 0)
    with pytest.raises(ValueError, match="1x1, 3x3, 5x5, pool"):
        cell_square(model, "3a", "7x7", 0, 0)


# ---------------------------------------------------------------- the effective field

SIDE = 128
PREPROCESSING = {"batchnorm": IMAGENET, "googlenet": CAFFE, "torchvision": TORCHVISION}


def network(variant: str = "batchnorm", **options: object) -> PretrainedModel:
    model = lively(InceptionV1(variant=variant, classes=3, input_shape=(3, SIDE, SIDE), **options))  # type: ignore[arg-type]
    return PretrainedModel(
        "test", model, replace(PREPROCESSING[variant], size=SIDE), ("a", "b", "c"), UNKNOWN_PROVENANCE
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_energy_is_that_of_the_gradient_through_the_whole_pass(variant: str, photo: Image.Image) -> None:
    net = network(variant)
    seen = predict(net, photo)
    x = net.preprocessing.to_tensor(seen.image).requires_grad_()
    stages = net.model.trace(x).stages
    cells = (("3a", "pool", 9, 4), ("3b", "3x3", 0, 15), ("4b", "5x5", 3, 5), ("5b", "1x1", 3, 0))
    for block, branch, row, column in cells:
        channels = net.model.block(block).slices[branch]
        summed = stages[f"inception_{block}"][0, channels, row, column].sum()
        (gradient,) = torch.autograd.grad(summed, x, retain_graph=True)
        expected = (gradient[0].double() ** 2).sum(dim=0).numpy()
        told = effective_field(net, seen, block, branch, row, column)
        assert told.energy.shape == (SIDE, SIDE)
        assert told.energy.dtype == np.float32
        assert np.allclose(told.energy, expected, rtol=1e-3, atol=1e-4 * expected.max()), (block, branch)


def test_the_gradient_is_the_slope_of_the_map_along_a_pixel(photo: Image.Image) -> None:
    """Central differences: no derivative of PyTorch's has a part in this."""
    net = network("googlenet")
    seen = predict(net, photo)
    told = effective_field(net, seen, "3a", "3x3", 7, 8)
    row, column = (int(i) for i in np.unravel_index(told.energy.argmax(), told.energy.shape))
    model, x, step = net.model.double(), net.preprocessing.to_tensor(seen.image).double(), 1e-5
    where = model.block("3a").slices["3x3"]

    def answer(colour: int, change: float) -> float:
        moved = x.clone()
        moved[0, colour, row, column] += change
        with torch.no_grad():
            return float(model.trace(moved).stages["inception_3a"][0, where, 7, 8].sum())

    slopes = [(answer(colour, step) - answer(colour, -step)) / (2 * step) for colour in range(3)]
    assert told.energy[row, column] == pytest.approx(sum(slope**2 for slope in slopes), rel=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_energy_lies_outside_the_square(variant: str, photo: Image.Image) -> None:
    net = network(variant)
    seen = predict(net, photo)
    for block, row, column in (("3a", 8, 7), ("3a", 0, 15), ("3b", 15, 3), ("4a", 0, 0), ("4b", 7, 7), ("5a", 2, 1)):
        for branch in BRANCHES:
            told = effective_field(net, seen, block, branch, row, column)
            outside = told.energy.copy()
            outside[told.square.top : told.square.bottom, told.square.left : told.square.right] = 0
            assert told.square == cell_square(net.model, block, branch, row, column)
            assert told.energy.any()
            assert not outside.any(), (block, branch, row, column)
            assert share_in(told, told.square) == pytest.approx(1)


def test_a_trained_network_looks_mostly_at_the_middle_of_what_it_could_see(
    embedded: PretrainedModel, photo: Image.Image
) -> None:
    """Luo et al. 2016: the effective field takes up a fraction of the theoretical one."""
    seen = predict(embedded, photo)
    told = effective_field(embedded, seen, "3b", "5x5", 8, 8)
    core = told.core(0.9)
    assert share_in(told, core) >= 0.9
    assert core.width == core.height < 0.6 * told.square.width
    assert told.square.left < core.left < core.right < told.square.right


def test_an_effective_field_leaves_the_model_as_it_was(photo: Image.Image) -> None:
    net = network()
    seen = predict(net, photo)
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in net.model.parameters()]
    told = effective_field(net, seen, "4a", "3x3", 2, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.model.state_dict().items())
    assert [parameter.requires_grad for parameter in net.model.parameters()] == flags
    assert all(parameter.grad is None for parameter in net.model.parameters())
    assert not any(module._forward_hooks or module.training for module in net.model.modules())
    with pytest.raises(ValueError, match="read-only"):
        told.energy[0, 0] = 1


def test_an_effective_field_is_had_where_gradients_are_switched_off_too(
    embedded: PretrainedModel, photo: Image.Image
) -> None:
    seen = predict(embedded, photo)
    expected = effective_field(embedded, seen, "3a", "3x3", 5, 5).energy
    for off in (torch.no_grad(), torch.inference_mode()):
        with off:
            assert np.array_equal(effective_field(embedded, seen, "3a", "3x3", 5, 5).energy, expected)


def test_a_cell_in_which_nothing_is_active_has_no_energy(photo: Image.Image) -> None:
    net = network("googlenet")
    net.model.block("3a")["1x1"].conv.bias.data.fill_(-1e6)
    told = effective_field(net, predict(net, photo), "3a", "1x1", 3, 3)
    assert not told.energy.any()
    assert share_in(told, told.square) == 0
    assert told.core().width == told.core().height == 0


def test_an_effective_field_refuses_what_does_not_exist(photo: Image.Image) -> None:
    net = network()
    seen = predict(net, photo)
    with pytest.raises(UserError, match="map of 4c/5x5 has 8 rows and 8 columns"):
        effective_field(net, seen, "4c", "5x5", 8, 0)
    with pytest.raises(ValueError, match="3a, 3b, 4a"):
        effective_field(net, seen, "6a", "5x5", 0, 0)
    with pytest.raises(ValueError, match="1x1, 3x3, 5x5, pool"):
        effective_field(net, seen, "4c", "7x7", 0, 0)


# ---------------------------------------------------------------- the core


def of_energy(energy: np.ndarray) -> EffectiveField:
    height, width = energy.shape
    return EffectiveField("3a", "1x1", 0, 0, Square(0, 0, width, height), energy.astype(np.float32))


def test_the_core_of_even_energy_by_hand() -> None:
    energy = np.zeros((40, 40))
    energy[10:20, 25:35] = 3
    told = of_energy(energy)
    assert told.core(1.0) == Square(25, 10, 35, 20)
    assert told.core(0.9).width == 10  # 9 x 9 would be 81 %
    assert told.core(0.81).width == 9
    assert told.core(0.64) == Square(26, 11, 34, 19)
    assert share_in(told, Square(25, 10, 30, 20)) == 0.5


def test_near_the_border_the_core_stays_a_whole_square() -> None:
    rows, columns = np.mgrid[0:50, 0:50]
    told = of_energy(np.exp(-(rows + columns) / 6.0))
    core = told.core(0.9)
    assert (core.left, core.top) == (0, 0)
    assert core.width == core.height == 18  # (1 - exp(-18 / 6)) ** 2 is 90.3 %, with 17 it is 88.6 %


def test_the_core_is_the_smallest_of_all_squares_around_the_centre() -> None:
    rows, columns = np.mgrid[0:60, 0:60]
    told = of_energy(np.exp(-((rows - 31) ** 2 + (columns - 22) ** 2) / (2 * 5.0**2)))
    for share in (0.1, 0.5, 0.9, 0.99):
        core = told.core(share)
        assert share_in(told, core) >= share
        side = core.width - 1
        rest = [share_in(told, Square(x, y, x + side, y + side)) for x in range(60 - side) for y in range(60 - side)]
        assert max(rest) < share
        assert abs((core.left + core.right) / 2 - 22.5) <= 0.5
        assert abs((core.top + core.bottom) / 2 - 31.5) <= 0.5


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        of_energy(np.ones((3, 3))).core(share)
