"""Theoretical and effective receptive fields of cells, compared with gradients."""

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
from support.networks import linear_network, randomise


def share_in(field: EffectiveField, square: Square) -> float:
    """The share of the energy inside a square; 0 without any energy."""
    total = field.energy.sum(dtype=np.float64)
    inside = field.energy[square.top : square.bottom, square.left : square.right].sum(dtype=np.float64)
    return min(float(inside / total), 1.0) if total > 0 else 0.0


# ---------------------------------------------------------------- the theoretical field


def thin_linear_network(variant: str) -> InceptionV1:
    """`linear_network` with one channel in every layer, so that a thousand pixels are affordable.

    Kernels, strides, paddings and the order of layers are the network's. Which pixels a gradient
    reaches does not depend on the number of channels. All weights are 1, so a gradient counts paths,
    which float32 neither loses nor overflows.
    """
    model = linear_network(variant, 32).float()
    for name, module in list(model.named_modules()):
        path, _, child = name.rpartition(".")
        layer = path.rpartition(".")[2]
        if isinstance(module, nn.BatchNorm2d):
            model.get_submodule(path).add_module(child, nn.Identity())
        elif isinstance(module, nn.Conv2d):
            # A block's first layers read four channels, one per branch of the previous block; 3a's read one.
            joined = path.startswith("inception_") and not path.startswith("inception_3a")
            channels = 3 if layer == "conv1" else 4 if joined and layer not in ("3x3", "5x5") else 1
            thin = nn.Conv2d(channels, 1, module.kernel_size, module.stride, module.padding, bias=False)
            thin.weight.data.fill_(1)
            model.get_submodule(path).add_module(child, thin)
    return model


def thin_branches(model: InceptionV1, x: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """Each branch of each block with its map (1, 1, H, W)."""
    for stage in STAGES:
        module = model.get_submodule(stage)
        if isinstance(module, InceptionBlock):
            outputs = module.trace(x)
            maps = {branch: outputs[layers[-1]] for branch, layers in BRANCHES.items()}
            yield from ((stage.removeprefix("inception_"), branch, branch_maps) for branch, branch_maps in maps.items())
            x = torch.cat(list(maps.values()), dim=1)
        else:
            x = module(x)


def support(output: Tensor, x: Tensor, row: int, column: int) -> Square:
    """The pixels where a cell's gradient is not zero; they must be a square without holes."""
    (gradient,) = torch.autograd.grad(output[0, 0, row, column], x, retain_graph=True)
    assert gradient.isfinite().all()
    reached = gradient[0].abs().sum(0) > 0
    (top, left), (bottom, right) = reached.nonzero().min(0).values.tolist(), reached.nonzero().max(0).values.tolist()
    square = Square(left, top, right + 1, bottom + 1)
    assert reached.sum() == square.width * square.height
    return square


def check_squares(variant: str, size: tuple[int, int], cells_of: Callable[[int, int], set[tuple[int, int]]]) -> int:
    """Compare squares with supports in some cells of every branch; return how many squares were not clipped."""
    model = InceptionV1(variant=variant, include_top=False, input_shape=(3, *size))
    x = torch.rand(1, 3, *size, requires_grad=True)
    compared, unclipped = [], 0
    for block, branch, output in thin_branches(thin_linear_network(variant), x):
        height, width = output.shape[-2:]
        assert map_size(model, block) == (height, width)
        for row, column in cells_of(height, width):
            square = cell_square(model, block, branch, row, column)
            assert square == support(output, x, row, column), (block, branch, row, column)
            unclipped += square.left > 0 and square.top > 0 and square.right < size[1] and square.bottom < size[0]
        compared.append((block, branch))
    assert compared == [(block, branch) for block in BLOCKS for branch in BRANCHES]
    return unclipped


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cell_sees_the_pixels_that_its_gradient_reaches(variant: str) -> None:
    """In a photo so large that the widest field, of 715 pixels, does not reach its border."""
    assert check_squares(variant, (897, 930), lambda height, width: {(height // 2, width // 2)}) == 36


# Long strips, where a square is clipped on two sides and on one or none of the others; then small photos with
# odd and even sides, which deep cells see entirely. Rows can fail where columns do not, hence both directions.
@pytest.mark.parametrize("size", [(899, 64), (64, 900), (131, 96), (33, 70)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cell_near_the_border_sees_the_pixels_that_its_gradient_reaches(variant: str, size: tuple[int, int]) -> None:
    def cells_of(height: int, width: int) -> set[tuple[int, int]]:
        rows, columns = {0, 1, height // 2, height - 1}, {0, width // 2, width - 1}
        return {(row, column) for row in rows for column in columns if row < height}

    check_squares(variant, size, cells_of)


@pytest.mark.parametrize(
    ("variant", "sides"),
    [("batchnorm", [27, 43, 59, 43]), ("googlenet", [27, 43, 59, 43]), ("torchvision", [27, 43, 43, 43])],
)
def test_squares_of_3a_by_hand(variant: str, sides: list[int]) -> None:
    model = InceptionV1(variant=variant)
    squares = [cell_square(model, "3a", branch, 14, 14) for branch in BRANCHES]
    assert [(square.width, square.height) for square in squares] == [(side, side) for side in sides]


@pytest.mark.parametrize(("variant", "first"), [("batchnorm", 30), ("googlenet", 36), ("torchvision", 28)])
def test_square_is_clipped_at_the_border(variant: str, first: int) -> None:
    # By hand for googlenet: the first cell begins at -(3 + 4 + 2 * 8) = -23, and -23 + 59 = 36.
    model = InceptionV1(variant=variant, input_shape=(3, 224, 160))
    assert cell_square(model, "3a", "5x5", 0, 0) == Square(0, 0, first, first)
    last = cell_square(model, "3a", "5x5", 27, 19)
    assert (last.right, last.bottom) == (160, 224)
    assert last.width == last.height < 43
    assert cell_square(model, "5b", "5x5", 3, 3) == Square(0, 0, 160, 224)


@pytest.mark.parametrize(("row", "column"), [(14, 0), (0, 10), (-1, 0), (0, -1)])
def test_a_cell_outside_the_map_is_rejected_with_the_maps_size(row: int, column: int) -> None:
    model = InceptionV1(input_shape=(3, 224, 160))
    with pytest.raises(UserError, match="map of 4a/1x1 has 14 rows and 10 columns") as error:
        cell_square(model, "4a", "1x1", row, column)
    assert error.value.kind == "explain_cell"


def test_unknown_block_or_branch_is_rejected_with_the_valid_choices() -> None:
    model = InceptionV1()
    with pytest.raises(ValueError, match="3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"):
        cell_square(model, "6a", "1x1", 0, 0)
    with pytest.raises(ValueError, match="1x1, 3x3, 5x5, pool"):
        cell_square(model, "3a", "7x7", 0, 0)


# ---------------------------------------------------------------- the effective field

SIDE = 128
PREPROCESSING = {"batchnorm": IMAGENET, "googlenet": CAFFE, "torchvision": TORCHVISION}


def network(variant: str = "batchnorm", **options: object) -> PretrainedModel:
    model = randomise(InceptionV1(variant=variant, classes=3, input_shape=(3, SIDE, SIDE), **options))  # type: ignore[arg-type]
    return PretrainedModel(
        "test", model, replace(PREPROCESSING[variant], size=SIDE), ("a", "b", "c"), UNKNOWN_PROVENANCE
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_energy_is_the_squared_gradient_through_the_whole_network(variant: str, photo: Image.Image) -> None:
    net = network(variant)
    prediction = predict(net, photo)
    x = net.preprocessing.to_tensor(prediction.image).requires_grad_()
    stages = net.model.trace(x).stages
    cells = (("3a", "pool", 9, 4), ("3b", "3x3", 0, 15), ("4b", "5x5", 3, 5), ("5b", "1x1", 3, 0))
    for block, branch, row, column in cells:
        channels = net.model.block(block).slices[branch]
        summed = stages[f"inception_{block}"][0, channels, row, column].sum()
        (gradient,) = torch.autograd.grad(summed, x, retain_graph=True)
        expected = (gradient[0].double() ** 2).sum(dim=0).numpy()
        field = effective_field(net, prediction, block, branch, row, column)
        assert field.energy.shape == (SIDE, SIDE)
        assert field.energy.dtype == np.float32
        assert np.allclose(field.energy, expected, rtol=1e-3, atol=1e-4 * expected.max()), (block, branch)


def test_energy_matches_finite_differences(photo: Image.Image) -> None:
    """By central differences, without PyTorch's derivatives."""
    net = network("googlenet")
    prediction = predict(net, photo)
    field = effective_field(net, prediction, "3a", "3x3", 7, 8)
    row, column = (int(i) for i in np.unravel_index(field.energy.argmax(), field.energy.shape))
    model, x, step = net.model.double(), net.preprocessing.to_tensor(prediction.image).double(), 1e-5
    channels = model.block("3a").slices["3x3"]

    def response(colour: int, change: float) -> float:
        moved = x.clone()
        moved[0, colour, row, column] += change
        with torch.no_grad():
            return float(model.trace(moved).stages["inception_3a"][0, channels, 7, 8].sum())

    slopes = [(response(colour, step) - response(colour, -step)) / (2 * step) for colour in range(3)]
    assert field.energy[row, column] == pytest.approx(sum(slope**2 for slope in slopes), rel=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_energy_lies_outside_the_square(variant: str, photo: Image.Image) -> None:
    net = network(variant)
    prediction = predict(net, photo)
    for block, row, column in (("3a", 8, 7), ("3a", 0, 15), ("3b", 15, 3), ("4a", 0, 0), ("4b", 7, 7), ("5a", 2, 1)):
        for branch in BRANCHES:
            field = effective_field(net, prediction, block, branch, row, column)
            outside = field.energy.copy()
            outside[field.square.top : field.square.bottom, field.square.left : field.square.right] = 0
            assert field.square == cell_square(net.model, block, branch, row, column)
            assert field.energy.any()
            assert not outside.any(), (block, branch, row, column)
            assert share_in(field, field.square) == pytest.approx(1)


def test_effective_field_of_a_trained_network_is_in_the_middle_of_its_square(
    embedded: PretrainedModel, photo: Image.Image
) -> None:
    """Luo et al. 2016: the effective field takes up a fraction of the theoretical one."""
    prediction = predict(embedded, photo)
    field = effective_field(embedded, prediction, "3b", "5x5", 8, 8)
    core = field.core(0.9)
    assert share_in(field, core) >= 0.9
    assert core.width == core.height < 0.6 * field.square.width
    assert field.square.left < core.left < core.right < field.square.right


def test_effective_field_leaves_the_model_unchanged(photo: Image.Image) -> None:
    net = network()
    prediction = predict(net, photo)
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in net.model.parameters()]
    field = effective_field(net, prediction, "4a", "3x3", 2, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.model.state_dict().items())
    assert [parameter.requires_grad for parameter in net.model.parameters()] == flags
    assert all(parameter.grad is None for parameter in net.model.parameters())
    assert not any(module._forward_hooks or module.training for module in net.model.modules())
    with pytest.raises(ValueError, match="read-only"):
        field.energy[0, 0] = 1


def test_effective_field_works_with_gradients_disabled(embedded: PretrainedModel, photo: Image.Image) -> None:
    prediction = predict(embedded, photo)
    expected = effective_field(embedded, prediction, "3a", "3x3", 5, 5).energy
    for off in (torch.no_grad(), torch.inference_mode()):
        with off:
            assert np.array_equal(effective_field(embedded, prediction, "3a", "3x3", 5, 5).energy, expected)


def test_a_cell_without_active_channels_has_no_energy(photo: Image.Image) -> None:
    net = network("googlenet")
    net.model.block("3a")["1x1"].conv.bias.data.fill_(-1e6)
    field = effective_field(net, predict(net, photo), "3a", "1x1", 3, 3)
    assert not field.energy.any()
    assert share_in(field, field.square) == 0
    assert field.core().width == field.core().height == 0


def test_effective_field_rejects_unknown_cells_blocks_and_branches(photo: Image.Image) -> None:
    net = network()
    prediction = predict(net, photo)
    with pytest.raises(UserError, match="map of 4c/5x5 has 8 rows and 8 columns"):
        effective_field(net, prediction, "4c", "5x5", 8, 0)
    with pytest.raises(ValueError, match="3a, 3b, 4a"):
        effective_field(net, prediction, "6a", "5x5", 0, 0)
    with pytest.raises(ValueError, match="1x1, 3x3, 5x5, pool"):
        effective_field(net, prediction, "4c", "7x7", 0, 0)


# ---------------------------------------------------------------- the core


def field_of(energy: np.ndarray) -> EffectiveField:
    height, width = energy.shape
    return EffectiveField("3a", "1x1", 0, 0, Square(0, 0, width, height), energy.astype(np.float32))


def test_core_of_uniform_energy_by_hand() -> None:
    energy = np.zeros((40, 40))
    energy[10:20, 25:35] = 3
    field = field_of(energy)
    assert field.core(1.0) == Square(25, 10, 35, 20)
    assert field.core(0.9).width == 10  # 9 x 9 would be 81 %
    assert field.core(0.81).width == 9
    assert field.core(0.64) == Square(26, 11, 34, 19)
    assert share_in(field, Square(25, 10, 30, 20)) == 0.5


def test_core_near_the_border_is_still_a_square() -> None:
    rows, columns = np.mgrid[0:50, 0:50]
    field = field_of(np.exp(-(rows + columns) / 6.0))
    core = field.core(0.9)
    assert (core.left, core.top) == (0, 0)
    assert core.width == core.height == 18  # (1 - exp(-18 / 6)) ** 2 is 90.3 %, with 17 it is 88.6 %


def test_core_is_the_smallest_square_with_its_share_of_the_energy() -> None:
    rows, columns = np.mgrid[0:60, 0:60]
    field = field_of(np.exp(-((rows - 31) ** 2 + (columns - 22) ** 2) / (2 * 5.0**2)))
    for share in (0.1, 0.5, 0.9, 0.99):
        core = field.core(share)
        assert share_in(field, core) >= share
        side = core.width - 1
        smaller = [
            share_in(field, Square(x, y, x + side, y + side)) for x in range(60 - side) for y in range(60 - side)
        ]
        assert max(smaller) < share
        assert abs((core.left + core.right) / 2 - 22.5) <= 0.5
        assert abs((core.top + core.bottom) / 2 - 31.5) <= 0.5


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_invalid_share_is_rejected(share: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        field_of(np.ones((3, 3))).core(share)
