"""Circuits: the sum check, a channel that is really removed, the pieces by hand, and the walk back to the stem."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from inception import open_photo
from inception.errors import ChoiceError
from inception.explain.attribution import evidence
from inception.explain.circuit import Circuit, block_before, cell_circuit, logit_circuit, strongest_path
from inception.explain.masking import ExplanationError
from inception.explain.receptive_field import CellError
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.inception_v1 import STAGES, InceptionV1
from inception.prediction import Prediction, predict
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import IMAGENET
from support.networks import lively
from support.paths import EXAMPLES

NETWORKS = {
    "batchnorm": {},
    "preact": {"variant": "batchnorm", "preact": True},
    "googlenet": {"variant": "googlenet"},
    "torchvision": {"variant": "torchvision"},
}
PHOTOS = ("espresso.jpg", "bison.jpg", "red_panda.jpg")


@pytest.fixture(scope="module")
def networks() -> dict[str, PretrainedModel]:
    how = replace(IMAGENET, resize=64, crop=64, size=64)
    labels = tuple(f"class {index}" for index in range(5))
    return {
        name: PretrainedModel(
            name,
            lively(InceptionV1(classes=5, input_shape=(3, 64, 64), **more)).requires_grad_(False),
            how,
            labels,
            Provenance("", "", "", ""),
        )
        for name, more in NETWORKS.items()
    }


@pytest.fixture(scope="module")
def seen(networks: dict[str, PretrainedModel]) -> dict[str, Prediction]:
    return {name: predict(one, open_photo(EXAMPLES / PHOTOS[0])) for name, one in networks.items()}


def before_relu(pretrained: PretrainedModel, block: str, branch: str, inputs: torch.Tensor) -> torch.Tensor:
    """The branch's map (C, H, W) before its ReLU, for the output of the block before, by running the plain network."""
    stages = STAGES[STAGES.index("stem" if block == "3a" else f"inception_{block_before(block)}") + 1 :]
    for stage in stages[: stages.index(f"inception_{block}")]:
        inputs = pretrained.model.get_submodule(stage)(inputs)
    *first, last = (pretrained.model.block(block)[layer] for layer in BRANCHES[branch])
    for layer in first:
        inputs = layer(inputs)
    steps = list(last.children())
    for step in steps[:-1] if isinstance(steps[-1], nn.ReLU) else steps:
        inputs = step(inputs)
    return inputs[0]


def stage_of(prediction: Prediction, block: str) -> torch.Tensor:
    return torch.from_numpy(prediction.stages["stem" if block == "stem" else f"inception_{block}"].copy())[None]


def check(told: Circuit) -> None:
    assert abs(told.constant + float(told.contributions.sum()) - told.value) <= 1e-4
    assert told.error <= 1e-4
    assert told.constant + sum(one.contribution for one in told.sources) + told.rest == pytest.approx(told.total)
    amounts = [abs(one.contribution) for one in told.sources]
    assert amounts == sorted(amounts, reverse=True)
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False)) == told.to_dict()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_cell_is_the_constant_and_what_the_block_before_contributes(
    name: str, networks: dict[str, PretrainedModel], seen: dict[str, Prediction]
) -> None:
    pretrained, prediction = networks[name], seen[name]
    for number, block in enumerate(BLOCKS):
        branch = tuple(BRANCHES)[number % 4]
        _, height, width = prediction.block(block).shape
        told = cell_circuit(pretrained, prediction, block, branch, 5, height - 1, width // 2)
        check(told)
        by_running = before_relu(pretrained, block, branch, stage_of(prediction, told.block))
        expected = float(by_running[5, height - 1, width // 2])
        assert told.value == pytest.approx(expected, abs=1e-4)
        assert told.predicted == pytest.approx(expected if name == "preact" else max(expected, 0), abs=1e-3)
        assert sum(told.by_branch.values()) == pytest.approx(told.contributions.sum())
        assert list(told.by_branch) == (["all"] if block == "3a" else list(BRANCHES))


@pytest.mark.parametrize("photo", PHOTOS)
def test_the_embedded_networks_circuits_add_up_from_the_logit_to_the_stem(
    photo: str, embedded: PretrainedModel
) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / photo))
    path = strongest_path(embedded, prediction)
    assert [told.block for told in path] == [*list(BLOCKS)[::-1], "stem"]
    for told, following in itertools.pairwise(path):
        check(told)
        source = told.sources[0]
        unit = following.unit
        assert (unit.block, unit.branch, unit.channel, unit.row, unit.column) == (
            *(source.block, source.branch, source.channel),
            *(source.row, source.column),
        )
        # A cell that contributes is on: before its ReLU it has the value that the next block read.
        assert following.value == pytest.approx(source.activation, abs=1e-4)
    check(path[-1])
    assert path[-1].sources[0].branch is None
    assert path[0].value == pytest.approx(float(prediction.logits.max()), abs=1e-4)
    other = logit_circuit(embedded, prediction, "goldfish")
    check(other)
    split = evidence(embedded, prediction, "goldfish")
    assert dict(other.by_branch) == pytest.approx(dict(split.amounts), abs=1e-3)
    assert other.constant == pytest.approx(split.rest, abs=1e-3)


@pytest.mark.parametrize("name", ["batchnorm", "googlenet", "torchvision"])
def test_removing_a_channel_before_a_1x1_changes_the_cell_by_weight_times_activation(
    name: str, networks: dict[str, PretrainedModel], seen: dict[str, Prediction]
) -> None:
    pretrained, prediction = networks[name], seen[name]
    told = cell_circuit(pretrained, prediction, "4c", "1x1", 9, 1, 2)
    unit = pretrained.model.block("4c")["1x1"]
    scale = 1.0 if unit.norm is None else unit.norm.weight[9] / torch.sqrt(unit.norm.running_var[9] + unit.norm.eps)
    inputs = stage_of(prediction, "4b")
    whole = before_relu(pretrained, "4c", "1x1", inputs)[9, 1, 2]
    for source in told.sources[:3]:
        channel = prediction.slices["4b"][source.branch].start + source.channel
        without = inputs.clone()
        without[:, channel] = 0
        change = float(whole - before_relu(pretrained, "4c", "1x1", without)[9, 1, 2])
        by_hand = float(unit.conv.weight[9, channel, 0, 0] * scale * inputs[0, channel, 1, 2])
        assert (source.row, source.column) == (1, 2)  # a 1x1 reads no other cell
        assert source.contribution == source.cell_contribution == pytest.approx(by_hand, abs=1e-4)
        assert change == pytest.approx(by_hand, abs=1e-4)


def test_far_from_the_photo_the_piece_is_that_of_weights_times_gates_by_hand(
    networks: dict[str, PretrainedModel], seen: dict[str, Prediction]
) -> None:
    # 4a reads 3b through a max pool, and the 3x3 has a reduction with a ReLU: gates of both kinds.
    pretrained, prediction = networks["googlenet"], seen["googlenet"]
    told = cell_circuit(pretrained, prediction, "4a", "3x3", 3, 1, 1)
    block = pretrained.model.block("4a")
    reduce, last = block.convolution("3x3_reduce"), block.convolution("3x3")
    pool = nn.MaxPool2d(3, 2, ceil_mode=True, return_indices=True)
    inputs = stage_of(prediction, "3b").double()
    pooled, cells = pool(inputs)
    constant, contributions = float(last.bias[3]), np.zeros(inputs.shape[1:])
    for row, column in np.ndindex(3, 3):  # the window of the cell (1, 1) begins at the cell (0, 0)
        weights = reduce.weight[:, :, 0, 0].double()
        reduced = weights @ pooled[0, :, row, column] + reduce.bias
        onwards = last.weight[3, :, row, column].double() * (reduced > 0)
        constant += float(onwards @ reduce.bias.double())
        shares = (onwards @ weights) * pooled[0, :, row, column]
        for channel, share in enumerate(shares.tolist()):
            place = np.unravel_index(int(cells[0, channel, row, column]), inputs.shape[2:])
            contributions[(channel, *place)] += share
    assert told.constant == pytest.approx(constant, abs=1e-6)
    assert np.allclose(told.contributions, contributions, atol=1e-6)


def test_a_wrong_unit_is_answered_with_what_exists(
    networks: dict[str, PretrainedModel], seen: dict[str, Prediction]
) -> None:
    pretrained, prediction = networks["batchnorm"], seen["batchnorm"]
    with pytest.raises(ChoiceError, match="3a, 3b, 4a"):
        cell_circuit(pretrained, prediction, "6a", "1x1", 0, 0, 0)
    with pytest.raises(ChoiceError, match="1x1, 3x3, 5x5, pool"):
        cell_circuit(pretrained, prediction, "4a", "7x7", 0, 0, 0)
    with pytest.raises(ExplanationError, match="block 4a/pool has the channels 0 to 63"):
        cell_circuit(pretrained, prediction, "4a", "pool", 64, 0, 0)
    with pytest.raises(CellError, match="4 rows and 4 columns"):
        cell_circuit(pretrained, prediction, "4a", "pool", 0, 4, 0)
    with pytest.raises(ExplanationError, match="numbered 0 to 4"):
        logit_circuit(pretrained, prediction, 5)


def test_the_model_is_left_as_it_was(networks: dict[str, PretrainedModel], seen: dict[str, Prediction]) -> None:
    model = networks["torchvision"].model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        told = cell_circuit(networks["torchvision"], seen["torchvision"], "5a", "pool", 0, 0, 0)
    assert not told.contributions.flags.writeable
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(tensor.dtype == torch.float32 for tensor in model.parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())
