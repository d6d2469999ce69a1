"""Size tuning: the curves by a plain forward pass for each picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inception.errors import ChoiceError
from inception.network.anatomy import receptive_field
from inception.prediction import Prediction, predict_crop
from inception.pretrained.pretrained import PretrainedModel
from inception.units.size_tuning import SHAPES, SIZES, branch_tuning, size_tuning, tuning_sizes
from inception.units.stimuli import Stimulus, draw, plain_grey


@pytest.fixture(scope="module")
def grey(embedded: PretrainedModel) -> Prediction:
    return predict_crop(embedded, plain_grey(embedded.input_size))


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
    turns = (0.0, 45.0, 90.0, 135.0) if shape == "grating" else (0.0,)
    for number in (0, 5, 11):
        size = told.sizes[number]
        shown = [np.abs(centre(draw(Stimulus(shape, size, turn), side, told.x, told.y)) - before) for turn in turns]
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
