"""Effective receptive fields of all branches at once, compared with those of each branch alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inception import open_photo, predict
from inception.errors import ChoiceError
from inception.explain.branch_fields import middle_cores
from inception.explain.receptive_field import CellError, effective_field, effective_fields
from inception.network.anatomy import receptive_field
from inception.network.blocks import BRANCHES
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction
from inception.pretrained.description import UNKNOWN_PROVENANCE
from inception.pretrained.pretrained import PretrainedModel
from inception.units.middle_cell import middle_cell
from inception.vision.preprocessing import IMAGENET
from support.networks import randomise
from support.paths import EXAMPLES


@pytest.fixture(scope="module")
def prediction(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(EXAMPLES / "bison.jpg"))


@pytest.mark.parametrize("block", ["3a", "4c", "5b"])
def test_fields_computed_together_equal_those_computed_alone(
    block: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    _, height, width = prediction.block(block).shape
    row, column = height // 2, width // 2
    with torch.inference_mode():
        fields = effective_fields(embedded, prediction, block, row, column)
    assert list(fields) == list(BRANCHES)
    for branch, field in fields.items():
        alone = effective_field(embedded, prediction, block, branch, row, column)
        np.testing.assert_array_equal(field.energy, alone.energy)
        assert (field.square, field.row, field.column) == (alone.square, row, column)
        assert not field.energy.flags.writeable
    for branch, core in middle_cores(embedded, prediction, block).items():
        assert (core.row, core.column, core.share) == (row, column, 0.9)
        assert core.square == fields[branch].core(0.9)
    assert all(parameter.grad is None for parameter in embedded.engine.parameters())


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
@pytest.mark.parametrize("block", ["3a", "4c", "5b"])
def test_the_middle_cell_is_the_one_that_is_centred_nearest_to_the_middle(variant: str, block: str) -> None:
    model = randomise(InceptionV1(variant=variant, classes=2, input_shape=(3, 64, 64)))
    preprocessing = replace(IMAGENET, resize=64, crop=64, size=64)
    pretrained = PretrainedModel("made up", model, preprocessing, ("a", "b"), UNKNOWN_PROVENANCE)
    prediction = predict(pretrained, open_photo(EXAMPLES / "bison.jpg"))
    field, cells = receptive_field(model, block, "5x5"), prediction.block(block).shape[1]
    distances = [abs(field.start + cell * field.stride + field.size / 2 - 32) for cell in range(cells)]
    expected = distances.index(min(distances))
    middle = middle_cell(pretrained, block)
    assert (middle.row, middle.column) == (expected, expected)
    assert abs(middle.x - 32) == abs(middle.y - 32) == min(distances)
    for core in middle_cores(pretrained, prediction, block).values():
        assert (core.row, core.column) == (expected, expected)


def test_larger_kernels_have_larger_cores(embedded: PretrainedModel, prediction: Prediction) -> None:
    cores = middle_cores(embedded, prediction, "3b")
    assert cores["1x1"].square.width < cores["3x3"].square.width < cores["5x5"].square.width


def test_unknown_blocks_and_cells_are_rejected(embedded: PretrainedModel, prediction: Prediction) -> None:
    with pytest.raises(ChoiceError, match="block is '3c'"):
        middle_cores(embedded, prediction, "3c")
    with pytest.raises(CellError, match="row 99"):
        effective_fields(embedded, prediction, "3a", 99, 0)
