"""Circuits: the sum check, ablated channels, contributions by hand, and the path back to the stem."""

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
from support.networks import randomise
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
    preprocessing = replace(IMAGENET, resize=64, crop=64, size=64)
    labels = tuple(f"class {index}" for index in range(5))
    return {
        name: PretrainedModel(
            name,
            randomise(InceptionV1(classes=5, input_shape=(3, 64, 64), **options)).requires_grad_(False),
            preprocessing,
            labels,
            Provenance("", "", "", ""),
        )
        for name, options in NETWORKS.items()
    }


@pytest.fixture(scope="module")
def predictions(networks: dict[str, PretrainedModel]) -> dict[str, Prediction]:
    return {name: predict(network, open_photo(EXAMPLES / PHOTOS[0])) for name, network in networks.items()}


def before_relu(pretrained: PretrainedModel, block: str, branch: str, inputs: torch.Tensor) -> torch.Tensor:
    """The branch's map (C, H, W) before its ReLU, computed by the plain network from the previous block's output."""
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


def check(circuit: Circuit) -> None:
    assert abs(circuit.constant + float(circuit.contributions.sum()) - circuit.value) <= 1e-4
    assert circuit.error <= 1e-4
    assert circuit.constant + sum(source.contribution for source in circuit.sources) + circuit.rest == pytest.approx(
        circuit.total
    )
    amounts = [abs(source.contribution) for source in circuit.sources]
    assert amounts == sorted(amounts, reverse=True)
    assert json.loads(json.dumps(circuit.to_dict(), allow_nan=False)) == circuit.to_dict()


@pytest.mark.parametrize("name", NETWORKS)
def test_cell_is_the_constant_plus_contributions_of_the_previous_block(
    name: str, networks: dict[str, PretrainedModel], predictions: dict[str, Prediction]
) -> None:
    pretrained, prediction = networks[name], predictions[name]
    for number, block in enumerate(BLOCKS):
        branch = tuple(BRANCHES)[number % 4]
        _, height, width = prediction.block(block).shape
        circuit = cell_circuit(pretrained, prediction, block, branch, 5, height - 1, width // 2)
        check(circuit)
        maps = before_relu(pretrained, block, branch, stage_of(prediction, circuit.block))
        expected = float(maps[5, height - 1, width // 2])
        assert circuit.value == pytest.approx(expected, abs=1e-4)
        assert circuit.predicted == pytest.approx(expected if name == "preact" else max(expected, 0), abs=1e-3)
        assert sum(circuit.by_branch.values()) == pytest.approx(circuit.contributions.sum())
        assert list(circuit.by_branch) == (["all"] if block == "3a" else list(BRANCHES))


@pytest.mark.parametrize("photo", PHOTOS)
def test_embedded_networks_circuits_add_up_from_the_logit_to_the_stem(photo: str, embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / photo))
    path = strongest_path(embedded, prediction)
    assert [circuit.block for circuit in path] == [*list(BLOCKS)[::-1], "stem"]
    for circuit, next_circuit in itertools.pairwise(path):
        check(circuit)
        source = circuit.sources[0]
        unit = next_circuit.unit
        assert (unit.block, unit.branch, unit.channel, unit.row, unit.column) == (
            *(source.block, source.branch, source.channel),
            *(source.row, source.column),
        )
        # A contributing cell is active, so its value before the ReLU is the one that the next block reads.
        assert next_circuit.value == pytest.approx(source.activation, abs=1e-4)
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
    name: str, networks: dict[str, PretrainedModel], predictions: dict[str, Prediction]
) -> None:
    pretrained, prediction = networks[name], predictions[name]
    circuit = cell_circuit(pretrained, prediction, "4c", "1x1", 9, 1, 2)
    unit = pretrained.model.block("4c")["1x1"]
    scale = 1.0 if unit.norm is None else unit.norm.weight[9] / torch.sqrt(unit.norm.running_var[9] + unit.norm.eps)
    inputs = stage_of(prediction, "4b")
    value = before_relu(pretrained, "4c", "1x1", inputs)[9, 1, 2]
    for source in circuit.sources[:3]:
        channel = prediction.slices["4b"][source.branch].start + source.channel
        ablated = inputs.clone()
        ablated[:, channel] = 0
        change = float(value - before_relu(pretrained, "4c", "1x1", ablated)[9, 1, 2])
        by_hand = float(unit.conv.weight[9, channel, 0, 0] * scale * inputs[0, channel, 1, 2])
        assert (source.row, source.column) == (1, 2)  # a 1x1 reads no other cell
        assert source.contribution == source.cell_contribution == pytest.approx(by_hand, abs=1e-4)
        assert change == pytest.approx(by_hand, abs=1e-4)


def test_contributions_through_max_pool_and_relu_match_weights_times_gates_by_hand(
    networks: dict[str, PretrainedModel], predictions: dict[str, Prediction]
) -> None:
    # 4a reads 3b through a max pool, and the 3x3 has a reduction with a ReLU: gates of both kinds.
    pretrained, prediction = networks["googlenet"], predictions["googlenet"]
    circuit = cell_circuit(pretrained, prediction, "4a", "3x3", 3, 1, 1)
    block = pretrained.model.block("4a")
    reduce, last = block.convolution("3x3_reduce"), block.convolution("3x3")
    pool = nn.MaxPool2d(3, 2, ceil_mode=True, return_indices=True)
    inputs = stage_of(prediction, "3b").double()
    pooled, cells = pool(inputs)
    constant, contributions = float(last.bias[3]), np.zeros(inputs.shape[1:])
    for row, column in np.ndindex(3, 3):  # the window of the cell (1, 1) begins at the cell (0, 0)
        weights = reduce.weight[:, :, 0, 0].double()
        reduced = weights @ pooled[0, :, row, column] + reduce.bias
        gated = last.weight[3, :, row, column].double() * (reduced > 0)
        constant += float(gated @ reduce.bias.double())
        shares = (gated @ weights) * pooled[0, :, row, column]
        for channel, share in enumerate(shares.tolist()):
            position = np.unravel_index(int(cells[0, channel, row, column]), inputs.shape[2:])
            contributions[(channel, *position)] += share
    assert circuit.constant == pytest.approx(constant, abs=1e-6)
    assert np.allclose(circuit.contributions, contributions, atol=1e-6)


def test_unknown_units_are_rejected_with_the_valid_choices(
    networks: dict[str, PretrainedModel], predictions: dict[str, Prediction]
) -> None:
    pretrained, prediction = networks["batchnorm"], predictions["batchnorm"]
    with pytest.raises(ChoiceError, match="3a, 3b, 4a"):
        cell_circuit(pretrained, prediction, "6a", "1x1", 0, 0, 0)
    with pytest.raises(ChoiceError, match="1x1, 3x3, 5x5, pool"):
        cell_circuit(pretrained, prediction, "4a", "7x7", 0, 0, 0)
    with pytest.raises(ExplanationError, match="in 4a/pool; its channels are numbered 0 to 63"):
        cell_circuit(pretrained, prediction, "4a", "pool", 64, 0, 0)
    with pytest.raises(CellError, match="4 rows and 4 columns"):
        cell_circuit(pretrained, prediction, "4a", "pool", 0, 4, 0)
    with pytest.raises(ExplanationError, match="numbered 0 to 4"):
        logit_circuit(pretrained, prediction, 5)


def test_model_is_unchanged(networks: dict[str, PretrainedModel], predictions: dict[str, Prediction]) -> None:
    model = networks["torchvision"].model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        circuit = cell_circuit(networks["torchvision"], predictions["torchvision"], "5a", "pool", 0, 0, 0)
    assert not circuit.contributions.flags.writeable
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(tensor.dtype == torch.float32 for tensor in model.parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())
