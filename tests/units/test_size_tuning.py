"""Size tuning curves, compared with one forward pass of the plain network for each stimulus."""

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


def test_sizes_grow_from_four_pixels_by_a_constant_factor() -> None:
    for side in (32, 128, 224):
        sizes = tuning_sizes(side)
        assert len(set(sizes)) == SIZES
        assert sizes[0] == 4
        assert sizes[-1] == pytest.approx(0.6 * side, abs=0.1)
        ratios = np.array(sizes[1:]) / np.array(sizes[:-1])
        assert ratios == pytest.approx(np.full(SIZES - 1, ratios.mean()), rel=0.03)


@pytest.mark.parametrize("shape", ["disc", "grating"])
@pytest.mark.parametrize("block", ["3b", "4c"])
def test_curve_matches_the_plain_network(block: str, shape: str, embedded: PretrainedModel, grey: Prediction) -> None:
    tuning = size_tuning(embedded, grey, block, shape)
    side, module = embedded.input_size, embedded.model.block(block)

    @torch.inference_mode()
    def centre_response(picture) -> np.ndarray:
        maps = embedded.model.trace(embedded.preprocessing.to_tensor(picture)).stages[f"inception_{block}"]
        return maps[0, :, tuning.row, tuning.column].numpy()

    grey_response = centre_response(plain_grey(side))
    orientations = (0.0, 45.0, 90.0, 135.0) if shape == "grating" else (0.0,)
    for number in (0, 5, 11):
        size = tuning.sizes[number]
        differences = [
            np.abs(centre_response(draw(Stimulus(shape, size, orientation), side, tuning.x, tuning.y)) - grey_response)
            for orientation in orientations
        ]
        response = np.max(differences, axis=0)
        for branch, part in module.slices.items():
            assert tuning.branches[branch].response[number] == pytest.approx(float(response[part].mean()), rel=1e-3)


@pytest.mark.parametrize("block", ["3a", "4a", "5b"])
def test_middle_cell_is_centred_on_the_input(block: str, embedded: PretrainedModel, grey: Prediction) -> None:
    tuning = size_tuning(embedded, grey, block, "disc")
    field = receptive_field(embedded.model, block, "pool")
    assert tuning.x == field.start + tuning.column * field.stride + field.size / 2
    assert abs(tuning.x - embedded.input_size / 2) <= field.stride / 2
    assert (tuning.row, tuning.y) == (tuning.column, tuning.x)
    report = tuning.to_dict()
    assert list(report) == ["block", "shape", "sizes", "row", "column", "x", "y", "branches"]
    assert all(4 <= row["preferred"] <= tuning.sizes[-1] for row in report["branches"].values())


def test_preferred_size_is_the_mean_over_responding_channels() -> None:
    # Channel 0 prefers 4, channel 1 prefers 8, channel 2 responds less than a hundredth as much, channel 3 not at all.
    differences = np.array([[2.0, 0.0, 0.01, 0.0], [1.0, 3.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    tuning = branch_tuning(differences, (4.0, 8.0, 16.0))
    assert tuning.preferred == pytest.approx(6.0)
    assert tuning.response == pytest.approx((2.01 / 4, 1.0, 0.25))
    silent = branch_tuning(np.zeros((3, 4)), (4.0, 8.0, 16.0))
    assert silent.preferred is None
    assert silent.response == (0, 0, 0)


def test_unknown_blocks_and_shapes_are_rejected(embedded: PretrainedModel, grey: Prediction) -> None:
    assert SHAPES == ("disc", "ring", "grating")
    with pytest.raises(ChoiceError, match="shape is 'star'"):
        size_tuning(embedded, grey, "3a", "star")
    with pytest.raises(ChoiceError, match="block is '3c'"):
        size_tuning(embedded, grey, "3c", "disc")
