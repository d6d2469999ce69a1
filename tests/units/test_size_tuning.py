"""Size tuning: the pictures by their areas, the curves by a plain forward pass for each picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inception.errors import ChoiceError
from inception.network.anatomy import receptive_field
from inception.prediction import Prediction, predict_crop
from inception.pretrained.pretrained import PretrainedModel
from inception.units.size_tuning import (
    GREY,
    SHAPES,
    SIZES,
    branch_tuning,
    draw_shape,
    plain_grey,
    size_tuning,
    tuning_sizes,
)


@pytest.fixture(scope="module")
def grey(embedded: PretrainedModel) -> Prediction:
    return predict_crop(embedded, plain_grey(embedded.input_size))


def light(picture: np.ndarray) -> float:
    """Sum of the levels above grey, in pixels of white."""
    return float((picture[..., 0].astype(float) - GREY).sum() / (255 - GREY))


@pytest.mark.parametrize("size", [4.0, 13.4, 60.0])
def test_discs_and_rings_have_their_areas_and_their_centre(size: float) -> None:
    disc, ring = (np.asarray(draw_shape(shape, size, 128, 50.5, 70.5)) for shape in ("disc", "ring"))
    area = np.pi * (size / 2) ** 2
    assert light(disc) == pytest.approx(area, rel=0.05)
    assert light(ring) == pytest.approx(area * (1 - 0.75**2), rel=0.08)
    for picture in (disc, ring):
        above = picture[..., 0].astype(float) - GREY
        places = np.arange(128) + 0.5
        assert (above.sum(axis=0) * places).sum() / above.sum() == pytest.approx(50.5, abs=0.05)
        assert (above.sum(axis=1) * places).sum() / above.sum() == pytest.approx(70.5, abs=0.05)
        assert picture.min() == GREY
    assert disc[70, 50, 0] == 255
    if size > 10:
        assert ring[70, 50, 0] == GREY


def test_a_grating_repeats_with_its_wavelength_and_turns() -> None:
    upright, lying = (np.asarray(draw_shape("grating", 16, 128, 64, 64, turn))[..., 0] for turn in (0.0, 0.5))
    assert np.array_equal(upright[:, :112], upright[:, 16:])
    assert np.array_equal(upright, np.broadcast_to(upright[0], upright.shape))
    assert np.array_equal(lying, upright.T)
    assert upright.min() < 5
    assert upright.max() > 250
    assert upright[0, 64] > 240, "a white stripe passes through the centre"
    assert float(upright.mean()) == pytest.approx(GREY, abs=1)


def test_sizes_rise_from_four_pixels_by_one_factor() -> None:
    for side in (32, 128, 224):
        sizes = tuning_sizes(side)
        assert len(set(sizes)) == SIZES
        assert sizes[0] == 4
        assert sizes[-1] == pytest.approx(0.6 * side, abs=0.1)
        ratios = np.array(sizes[1:]) / np.array(sizes[:-1])
        assert ratios == pytest.approx(np.full(SIZES - 1, ratios.mean()), rel=0.03)


@pytest.mark.parametrize("shape", ["disc", "grating"])
@pytest.mark.parametrize("block", ["3b", "4c"])
def test_a_curve_is_that_of_the_plain_network(
    block: str, shape: str, embedded: PretrainedModel, grey: Prediction
) -> None:
    told = size_tuning(embedded, grey, block, shape)
    side, module = embedded.input_size, embedded.model.block(block)

    @torch.inference_mode()
    def centre(picture) -> np.ndarray:
        maps = embedded.model.trace(embedded.preprocessing.to_tensor(picture)).stages[f"inception_{block}"]
        return maps[0, :, told.row, told.column].numpy()

    before = centre(plain_grey(side))
    turns = (0.0, 0.25, 0.5, 0.75) if shape == "grating" else (0.0,)
    for number in (0, 5, 11):
        size = told.sizes[number]
        shown = [np.abs(centre(draw_shape(shape, size, side, told.x, told.y, turn)) - before) for turn in turns]
        answer = np.max(shown, axis=0)
        for branch, part in module.slices.items():
            assert told.branches[branch].response[number] == pytest.approx(float(answer[part].mean()), rel=1e-3)


@pytest.mark.parametrize("block", ["3a", "4a", "5b"])
def test_the_middle_cell_sees_the_middle(block: str, embedded: PretrainedModel, grey: Prediction) -> None:
    told = size_tuning(embedded, grey, block, "disc")
    field = receptive_field(embedded.model, block, "pool")
    assert told.x == field.start + told.column * field.stride + field.size / 2
    assert abs(told.x - embedded.input_size / 2) <= field.stride / 2
    assert (told.row, told.y) == (told.column, told.x)
    plain = told.to_dict()
    assert list(plain) == ["block", "shape", "sizes", "row", "column", "x", "y", "branches"]
    assert all(4 <= row["preferred"] <= told.sizes[-1] for row in plain["branches"].values())


def test_the_preferred_size_is_the_mean_over_channels_that_respond() -> None:
    # Channel 0 prefers 4, channel 1 prefers 8, channel 2 answers with less than a hundredth of these, 3 not at all.
    differences = np.array([[2.0, 0.0, 0.01, 0.0], [1.0, 3.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    told = branch_tuning(differences, (4.0, 8.0, 16.0))
    assert told.preferred == pytest.approx(6.0)
    assert told.response == pytest.approx((2.01 / 4, 1.0, 0.25))
    silent = branch_tuning(np.zeros((3, 4)), (4.0, 8.0, 16.0))
    assert silent.preferred is None
    assert silent.response == (0, 0, 0)


def test_unknown_blocks_and_shapes_are_refused(embedded: PretrainedModel, grey: Prediction) -> None:
    assert SHAPES == ("disc", "ring", "grating")
    with pytest.raises(ChoiceError, match="shape is 'star'"):
        size_tuning(embedded, grey, "3a", "star")
    with pytest.raises(ChoiceError, match="block is '3c'"):
        size_tuning(embedded, grey, "3c", "disc")
