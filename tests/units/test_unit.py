"""Units: their addresses, and responses to a receptive field alone, compared with those to the whole photo."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from inception.errors import UserError
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.pretrained import PretrainedModel
from inception.units.branch_network import RedirectedReLU, branch_network
from inception.units.unit import Unit, parse_unit, unit_view
from support.networks import randomise

SIDE = 160  # of the embedded network's input


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("4c:3x3", Unit("4c", "3x3")),
        ("5b:pool:17", Unit("5b", "pool", 17)),
        ("3a:1x1:0@7,12", Unit("3a", "1x1", 0, 7, 12)),
    ],
)
def test_address_round_trips(text: str, unit: Unit) -> None:
    assert parse_unit(text) == unit
    assert str(unit) == text


@pytest.mark.parametrize("text", ["", "4c", "4c:3x3:x", "4c:3x3@7,7", "4c:3x3:17@7", "4c:3x3:17 ", "4c:3x3:-1"])
def test_invalid_addresses_are_rejected(text: str) -> None:
    with pytest.raises(UserError, match=r"is not a unit; write BLOCK:BRANCH, .* for instance 4c:3x3:17@7,7\.$"):
        parse_unit(text)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (Unit("9z", "3x3"), "block is '9z'; it must be one of: 3a, 3b"),
        (Unit("4c", "7x7"), "branch is '7x7'; it must be one of: 1x1, 3x3, 5x5, pool"),
        (Unit("4c", "5x5", 64), "no channel 64 in 4c/5x5; its channels are numbered 0 to 63"),
        (Unit("4c", "5x5", 1, 10, 3), "no cell at row 10, column 3: the map of 4c/5x5 has 10 rows and 10 columns"),
        (Unit("4c", "5x5", 1, 3), "no cell at row 3, column None"),
        (Unit("4c", "5x5", None, 3, 3), "is not a unit"),
    ],
)
def test_unknown_unit_is_rejected_with_those_that_exist(unit: Unit, message: str, embedded: PretrainedModel) -> None:
    with pytest.raises(UserError) as error:
        unit.check(embedded)
    assert message in str(error.value)


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
@pytest.mark.parametrize(
    ("block", "branch", "row", "column"),
    [("3a", "5x5", 10, 9), ("3b", "3x3", 0, 19), ("3b", "pool", 7, 1), ("4a", "1x1", 4, 5), ("4a", "3x3", 9, 0)],
)
def test_cell_responds_to_its_field_alone_as_in_the_whole_photo(
    variant: str, block: str, branch: str, row: int, column: int, embedded: PretrainedModel
) -> None:
    model = randomise(InceptionV1(variant=variant, include_top=False, input_shape=(3, SIDE, SIDE)))
    pretrained = replace(embedded, model=model)
    view = unit_view(pretrained, Unit(block, branch, 0, row, column), SIDE)
    photo = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    # The top left corner of the cell's field, which is clipped at the right and lower borders.
    stride = 8 if block[0] == "3" else 16
    top, left = (row - view.row) * stride + view.top, (column - view.column) * stride + view.left
    crop = photo[:, :, top : top + view.height, left : left + view.width]
    assert crop.shape[2:] == (view.height, view.width)
    with torch.inference_mode():
        stages = model.trace(photo).stages
        in_photo = stages[f"inception_{block}"][0, model.block(block).slices[branch], row, column]
        maps = branch_network(model, block, branch)(F.pad(crop, (view.left, 0, view.top, 0)))
    alone = F.relu(maps[0, :, view.row, view.column])
    assert float(in_photo.max()) > 0.1
    assert torch.allclose(alone, in_photo, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", ["3a", "4a"])
def test_view_of_a_channel_is_the_field_of_one_cell_if_that_is_small(block: str, embedded: PretrainedModel) -> None:
    for branch, side in {"3a": ((("1x1", 27), ("5x5", 59))), "4a": (("1x1", 107), ("3x3", 139))}[block]:
        view = unit_view(embedded, Unit(block, branch, 0), SIDE)
        assert (view.height, view.width) == (side, side)
        cell = unit_view(embedded, Unit(block, branch, 0, 5, 5), SIDE)
        if block == "4a" and branch == "3x3":
            assert cell.height > view.height - 16, "smaller than the field of a middle cell"
        small = unit_view(embedded, Unit(block, branch), side - 1)
        assert (small.height, small.width, small.row) == (side - 1, side - 1, None)


def test_view_of_all_cells_is_at_least_three_cells_wide(embedded: PretrainedModel) -> None:
    for block, side in {"4e": 64, "5a": 96, "5b": 96}.items():
        view = unit_view(embedded, Unit(block, "3x3", 0), 64)
        assert (view.height, view.width, view.row) == (side, side, None)


def test_branch_network_ends_at_its_branch_and_leaves_the_original_unchanged(embedded: PretrainedModel) -> None:
    before = {name: value.clone() for name, value in embedded.model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in embedded.model.parameters()]
    network = branch_network(embedded.model, "3b", "5x5")
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 3 + 6 + 2, "the stem, block 3a, and one branch of 3b"
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert flags == [parameter.requires_grad for parameter in embedded.model.parameters()]
    assert all(torch.equal(before[name], value) for name, value in embedded.model.state_dict().items())
    assert not any(isinstance(module, RedirectedReLU) for module in embedded.model.modules())
    assert not embedded.model.training


def test_silent_relu_passes_gradients_that_would_raise_its_values() -> None:
    relu = RedirectedReLU()
    # Two photos; the first has one value above zero.
    x = torch.tensor([[-1.0, 2.0, -3.0], [-1.0, -2.0, -3.0]]).view(2, 3, 1, 1).requires_grad_()
    gradient = torch.tensor([[-1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]).view(2, 3, 1, 1)
    (relu(x) * gradient).sum().backward()
    assert x.grad.flatten(1).tolist() == [[0, -1, 0], [-1, -1, 0]]
    relu.redirected, x.grad = False, None
    (relu(x) * gradient).sum().backward()
    assert x.grad.flatten(1).tolist() == [[0, -1, 0], [0, 0, 0]]
