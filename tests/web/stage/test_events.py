"""The stage's events over HTTP, through the guard, compared with the library."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client

from inception import load, open_photo, predict
from inception.explain.ablation import single_ablation_logits
from inception.explain.attribution import evidence, grad_cams
from inception.explain.bottleneck import strongest_reduced
from inception.explain.branch_removal import ablated_prediction
from inception.explain.channel_worth import channel_worth
from inception.explain.convolution import trace_convolution
from inception.explain.readout import channel_readout
from inception.explain.receptive_field import effective_field
from inception.explain.shapley import BRANCH_NAMES, BRANCH_SUBSETS, branch_votes, subset_logits
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.cost import network_size
from inception.prediction import Prediction, predict_crop
from inception.pretrained.names import MODEL_NAMES
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.query import Query
from inception.service.service import InferenceService
from inception.units.middle_cell import middle_cell
from inception.units.size_tuning import size_tuning
from inception.units.stimuli import plain_grey
from inception.vision.photo import MAX_BYTES
from inception.web.stage import network, scene
from support.paths import EXAMPLES
from support.stage import event_result, subject, unpack, upload

NET, BISON = "tiny-imagenet", subject("example:bison")
OFF: dict[str, list[str | int]] = {"4b": ["1x1", "pool"], "3b": ["5x5"]}
CHANNELS: dict[str, list[str | int]] = {"4b": ["pool", 3, 117], "5a": [9]}


@pytest.fixture(scope="module")
def prediction(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(EXAMPLES / "bison.jpg"))


@pytest.fixture(scope="module")
def ablated(embedded: PretrainedModel, prediction: Prediction) -> Prediction:
    return ablated_prediction(embedded, prediction, OFF)


def dequantised(scaled: dict[str, Any], low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the values, and half a quantisation step of each map."""
    span = np.asarray(high - low)[..., None, None]
    return np.asarray(low)[..., None, None] + unpack(scaled["values"]) / 255 * span, span / 510


class RecordingService(InferenceService):
    """Service that records the precision of every requested prediction."""

    precisions: tuple[str, ...] = ()

    def prediction(self, query: Query) -> Prediction:
        self.precisions = (*self.precisions, query.precision)
        return super().prediction(query)


def test_a_fast_service_predicts_fast_and_explains_exactly() -> None:
    service = RecordingService((NET,), choose_device("cpu"), precision="fast")
    query = service.query(NET, EXAMPLES / "bison.jpg")
    scene.scene(service, query, {})
    scene.block_channels(service, query, {}, "4c")
    assert set(service.precisions) == {"fast"}
    service.precisions = ()
    scene.scene(service, query, {"4c": ["1x1"]})
    scene.votes(service, query, "4c")
    assert set(service.precisions) == {"exact"}


# ---------------------------------------------------------------- results of the events


def test_start_lists_networks_and_examples(page_address: str) -> None:
    start = event_result(page_address, "start")
    assert [row["name"] for row in start["models"]] == ["tiny-imagenet", "googlenet", "torchvision"]
    assert start["models"][0]["available"] is True
    assert [row["stem"] for row in start["examples"]] == sorted(path.stem for path in EXAMPLES.glob("*.jpg"))
    photo = open_photo(EXAMPLES / "bison.jpg")
    (bison,) = [row for row in start["examples"] if row["stem"] == "bison"]
    assert (bison["width"], bison["height"]) == photo.size
    assert start["device"]
    assert start["max_bytes"] == MAX_BYTES


def test_network_describes_every_layer(page_address: str, embedded: PretrainedModel) -> None:
    network = event_result(page_address, "network", NET)
    assert network["labels"] == list(embedded.labels)
    assert network["chinese"]["goldfish"] == "金鱼"
    assert (network["size"], network["temperature"]) == (embedded.input_size, embedded.temperature)
    assert embedded.rejection is not None
    assert network["threshold"] == embedded.rejection.threshold
    size = network_size(embedded.model, embedded.model.input_shape)
    assert (network["parameters"], network["macs"]) == (size.parameters, size.multiplications)
    assert network["parameters"] - network["linear"] == size.parameters_without_classifier
    batchnorm = [tensor for name, tensor in embedded.model.named_parameters() if ".bn." in name]
    assert network["batchnorm"] == sum(tensor.numel() for tensor in batchnorm) > 0
    assert network["rejection"] == vars(embedded.rejection)
    assert network["has_means"] is True
    assert network["about"]["licence"] == embedded.provenance.licence
    assert list(network["blocks"]) == list(BLOCKS)
    for name, block in network["blocks"].items():
        module = embedded.model.block(name)
        assert block["in_channels"] == BLOCKS[name].in_channels
        assert block["channels"] == sum(branch["channels"] for branch in block["branches"].values())
        assert block["pool_before"] == (name in ("4a", "5a"))
        assert block["middle"] == vars(middle_cell(embedded, name))
        readout = channel_readout(embedded.model, name)
        assert block["reader"] == readout.reader
        assert unpack(block["reading"]) == pytest.approx(readout.strengths)
        assert list(block["branches"]) == list(BRANCHES)
        layers = [layer for branch in block["branches"].values() for layer in branch["layers"]]
        assert sum(layer["parameters"] for layer in layers) == block["parameters"]
        assert sum(layer["macs"] for layer in layers) == block["macs"]
        weights = {
            layer["name"]: module.convolution(layer["name"]).weight.shape for layer in layers if layer["name"] != "pool"
        }
        assert weights == {
            layer["name"]: (layer["out"], layer["in"], layer["kernel"], layer["kernel"])
            for layer in layers
            if layer["name"] != "pool"
        }
    assert network["blocks"]["3a"]["branches"]["1x1"]["field"]["stride"] == 8
    assert network["blocks"]["4a"]["side"] == embedded.input_size // 16


def test_a_scene_has_the_logits_and_the_mean_maps(page_address: str, prediction: Prediction) -> None:
    result = event_result(page_address, "scene", BISON, {})
    assert (result["model"], result["off"]) == (NET, {})
    assert unpack(result["logits"]) == pytest.approx(prediction.logits, abs=1e-4)
    width, height = open_photo(EXAMPLES / "bison.jpg").size
    assert result["photo"] == {"width": width, "height": height}
    side = min(width, height)
    assert result["crop"] == pytest.approx([(width - side) / 2 / width, (height - side) / 2 / height, 1])
    compare_maps(result, prediction)


def compare_maps(result: dict[str, Any], expected: Prediction) -> None:
    assert list(result["maps"]) == list(BLOCKS)
    for block, branches in result["maps"].items():
        assert list(branches) == list(BRANCHES)
        for branch, scaled in branches.items():
            values, half_step = dequantised(scaled, scaled["low"], scaled["high"])
            mean = expected.branch(block, branch).mean(axis=0)
            assert np.all(np.abs(values - mean) <= half_step + 1e-4), (block, branch)


def test_a_scene_with_branches_off_matches_the_ablation(page_address: str, ablated: Prediction) -> None:
    result = event_result(page_address, "scene", BISON, {**OFF, "5a": []})
    assert result["off"] == OFF
    assert list(result["off"]) == ["3b", "4b"], "expected the network's order"
    assert unpack(result["logits"]) == pytest.approx(ablated.logits, abs=1e-4)
    compare_maps(result, ablated)
    assert result["maps"]["4b"]["1x1"]["low"] == result["maps"]["4b"]["1x1"]["high"] == 0


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_channels_off_are_replaced_by_zero_or_their_mean(
    page_address: str, embedded: PretrainedModel, prediction: Prediction, fill: str
) -> None:
    expected = ablated_prediction(embedded, prediction, CHANNELS, fill)
    filled_subject = {**BISON, "fill": fill}
    result = event_result(page_address, "scene", filled_subject, {"5a": [9, 9], "4b": [117, "pool", 3]})
    assert (result["off"], result["fill"]) == (CHANNELS, fill)
    assert unpack(result["logits"]) == pytest.approx(expected.logits, abs=1e-4)
    compare_maps(result, expected)
    block = event_result(page_address, "block", filled_subject, CHANNELS, "5a")["branches"]["1x1"]
    assert unpack(block["mean"])[9] == pytest.approx(0 if fill == "zero" else float(embedded.means["5a"][9]), abs=1e-4)
    subsets = event_result(page_address, "votes", filled_subject, "4c")
    assert subsets["fill"] == fill
    assert unpack(subsets["subsets"]) == pytest.approx(subset_logits(embedded, prediction, "4c", fill), abs=1e-4)
    single_ablations = single_ablation_logits(embedded, prediction, fill)
    for name, packed in event_result(page_address, "table", filled_subject)["logits"].items():
        assert unpack(packed) == pytest.approx(single_ablations[name], abs=1e-4)


@pytest.mark.parametrize("with_off", [False, True])
def test_a_block_has_every_channel(
    page_address: str, prediction: Prediction, ablated: Prediction, with_off: bool
) -> None:
    result = event_result(page_address, "block", BISON, OFF if with_off else {}, "4c")
    assert result["block"] == "4c"
    for branch, scaled in result["branches"].items():
        maps = (ablated if with_off else prediction).branch("4c", branch)
        low, high = unpack(scaled["low"]), unpack(scaled["high"])
        values, half_step = dequantised(scaled, low, high)
        assert values.shape == maps.shape
        assert np.all(np.abs(values - maps) <= half_step + 1e-4), branch
        assert unpack(scaled["mean"]) == pytest.approx(maps.mean(axis=(1, 2)), abs=1e-4)


def test_votes_are_the_logits_of_all_subsets(
    page_address: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    result = event_result(page_address, "votes", BISON, "4c")
    subsets = unpack(result["subsets"])
    assert subsets == pytest.approx(subset_logits(embedded, prediction, "4c"), abs=1e-4)
    assert subsets[15] == pytest.approx(prediction.logits, abs=1e-3)
    expected = branch_votes(embedded, prediction, "4c", 3).subsets
    for number, on in enumerate(BRANCH_SUBSETS):
        assert {name for bit, name in enumerate(BRANCH_NAMES) if number >> bit & 1} == on
        assert float(subsets[number, 3]) == pytest.approx(expected[on], abs=1e-4)


def test_worth_covers_every_channel_for_each_class(
    page_address: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    expected = channel_worth(embedded, prediction, [7, 100])
    for first in ("3a", "4c"):
        worth = event_result(page_address, "worth", BISON, [7, 100, 7], first)["worth"]
        assert list(worth) == ["7", "100"]
        for index, blocks in expected.items():
            assert list(worth[str(index)]) == [block for block in BLOCKS if block >= first]
            for block in worth[str(index)]:
                assert unpack(worth[str(index)][block]) == pytest.approx(blocks[block], abs=1e-4)


def test_field_is_the_core_of_the_middle_cells_effective_field(
    page_address: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    fields = event_result(page_address, "field", BISON, "3b")
    assert list(fields) == list(BRANCHES)
    middle = middle_cell(embedded, "3b")
    for branch, square in fields.items():
        core = effective_field(embedded, prediction, "3b", branch, middle.row, middle.column).core(0.9)
        assert square == {"row": middle.row, "column": middle.column, "share": 0.9, **vars(core)}
    assert fields["1x1"]["right"] - fields["1x1"]["left"] < fields["5x5"]["right"] - fields["5x5"]["left"]


def test_cell_matches_the_api(page_address: str) -> None:
    cell = event_result(page_address, "cell", BISON, "4c", "5x5", 3, 2, 4)
    photo = {"path": upload(page_address, EXAMPLES / "bison.jpg"), "meta": {"_type": "gradio.FileData"}}
    expected = Client(page_address, verbose=False).predict(photo, NET, "4c", "5x5", 3, 2, 4, api_name="/cell")
    assert {"model": NET, **cell} == expected


def test_the_sums_of_a_kernel_add_up(page_address: str, embedded: PretrainedModel, prediction: Prediction) -> None:
    kernel = event_result(page_address, "kernel", BISON, "3b", "3x3", 11, 0, 5)
    trace = trace_convolution(embedded, prediction, "3b", "3x3", 11, 0, 5)
    assert (kernel["layer"], kernel["kernel"]) == ("3x3", 3)
    sums = (trace.patch * trace.kernel).sum(axis=(1, 2))
    assert len(kernel["inputs"]) == 3
    for row in kernel["inputs"]:
        by_hand = (np.array(row["patch"]) * np.array(row["weights"])).sum()
        assert row["sum"] == pytest.approx(by_hand)
        assert row["sum"] == pytest.approx(sums[row["channel"]], abs=1e-4)
    assert min(abs(row["sum"]) for row in kernel["inputs"]) >= np.sort(np.abs(sums))[-3] - 1e-6
    total = sum(row["sum"] for row in kernel["inputs"]) + kernel["others"] + kernel["bias"]
    assert kernel["sum"] == pytest.approx(total)
    assert kernel["result"] == pytest.approx(max(0, kernel["scale"] * total + kernel["shift"]))
    assert kernel["result"] == pytest.approx(float(prediction.branch("3b", "3x3")[11, 0, 5]), abs=1e-4)


def test_evidence_adds_up_to_the_logit(page_address: str, embedded: PretrainedModel, prediction: Prediction) -> None:
    result = event_result(page_address, "evidence", BISON, None)
    expected = evidence(embedded, prediction)
    assert result["class"] == expected.index == int(prediction.logits.argmax())
    assert result["bias"] + sum(result["branches"].values()) == pytest.approx(result["logit"], abs=1e-4)
    assert unpack(result["map"]) == pytest.approx(expected.map, abs=1e-4)
    assert float(unpack(result["map"]).sum()) == pytest.approx(sum(result["branches"].values()), abs=1e-3)
    assert result["linear"] is expected.linear
    assert list(result["maps"]) == list(BRANCHES)
    for branch, packed in result["maps"].items():
        assert float(unpack(packed).sum()) == pytest.approx(result["branches"][branch], abs=1e-3)
        assert unpack(packed) == pytest.approx(expected.maps[branch], abs=1e-4)


def test_cam_matches_grad_cam_of_the_block_and_its_branches(
    page_address: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    cam = event_result(page_address, "cam", BISON, "4e", 9)
    assert cam["class"] == 9
    expected = grad_cams(embedded, prediction, "4e", 9)
    assert unpack(cam["map"]) == pytest.approx(expected[None].signed, abs=1e-4)
    assert list(cam["maps"]) == list(BRANCHES)
    for branch, packed in cam["maps"].items():
        assert unpack(packed) == pytest.approx(expected[branch].signed, abs=1e-4)


def test_effective_field_matches_the_downsampled_field_of_the_library(
    page_address: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    effective = event_result(page_address, "effective", BISON, "4a", "3x3", 2, 7)
    expected = effective_field(embedded, prediction, "4a", "3x3", 2, 7)
    core = {key: effective[key] for key in ("left", "top", "right", "bottom")}
    assert (core, effective["share"]) == (vars(expected.core(0.9)), 0.9)
    field, step = unpack(effective["map"]), effective["step"]
    side = -(-embedded.input_size // step)
    assert field.shape == (side, side)
    assert side <= 112
    assert field.max() == 1
    padded = np.zeros((side * step, side * step))
    padded[: embedded.input_size, : embedded.input_size] = expected.energy
    sums = padded.reshape(side, step, side, step).sum(axis=(1, 3))
    assert field == pytest.approx(sums / sums.max(), abs=1e-5)


def test_a_bottleneck_shows_the_strongest_channels(
    page_address: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    bottleneck = event_result(page_address, "bottleneck", BISON, "4c")
    expected = strongest_reduced(embedded, prediction, "4c", 24)
    assert list(bottleneck) == list(expected) == ["before", "3x3", "5x5"]
    assert [bottleneck[part]["count"] for part in bottleneck] == [512, 128, 24]
    for part, strongest in expected.items():
        assert bottleneck[part]["numbers"] == list(strongest.numbers)
        low, high = unpack(bottleneck[part]["low"]), unpack(bottleneck[part]["high"])
        values, half_step = dequantised(bottleneck[part], low, high)
        assert np.all(np.abs(values - strongest.maps) <= half_step + 1e-4)


def test_the_table_has_the_logits_without_each_branch(
    page_address: str, embedded: PretrainedModel, prediction: Prediction
) -> None:
    logits = event_result(page_address, "table", BISON)["logits"]
    for block, rows in single_ablation_logits(embedded, prediction).items():
        assert unpack(logits[block]) == pytest.approx(rows, abs=1e-4)


@pytest.mark.parametrize("shape", ["disc", "ring", "grating"])
def test_tuning_matches_the_library(page_address: str, embedded: PretrainedModel, shape: str) -> None:
    tuning = event_result(page_address, "tuning", NET, "4a", shape)
    expected = size_tuning(embedded, predict_crop(embedded, plain_grey(embedded.input_size)), "4a", shape)
    assert tuning["sizes"] == list(expected.sizes)
    for branch, row in tuning["branches"].items():
        assert row["response"] == pytest.approx(expected.branches[branch].response, rel=1e-3)
        assert row["preferred"] == pytest.approx(expected.branches[branch].preferred, rel=0.05)


def test_the_events_are_not_part_of_the_api(page_address: str) -> None:
    for route in ("info", "openapi.json"):
        assert "stage_" not in httpx.get(f"{page_address}gradio_api/{route}", timeout=60).text
    labels = load(NET).labels
    assert event_result(page_address, "network", NET)["labels"][0] == labels[0]


def test_the_page_begins_with_the_network_that_the_operator_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "describe", lambda name: {"at_hand": True})
    cpu, examples = choose_device("cpu"), sorted(EXAMPLES.glob("*.jpg"))
    begun = [
        network.start(InferenceService(MODEL_NAMES, cpu, begins_with_first=is_named), examples)["first"]
        for is_named in (True, False)
    ]
    assert begun == ["tiny-imagenet", "googlenet"]
