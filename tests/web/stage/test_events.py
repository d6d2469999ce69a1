"""Each event over HTTP, through the guarded server, against the library."""

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
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.query import Query
from inception.service.service import InferenceService
from inception.units.size_tuning import size_tuning
from inception.units.stimuli import plain_grey
from inception.vision.photo import MAX_BYTES
from inception.web.stage import scene
from support.paths import EXAMPLES
from support.stage import subject, told, unpack, upload

NET, BISON = "tiny-imagenet", subject("example:bison")
OFF: dict[str, list[str | int]] = {"4b": ["1x1", "pool"], "3b": ["5x5"]}
CHANNELS: dict[str, list[str | int]] = {"4b": ["pool", 3, 117], "5a": [9]}


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(EXAMPLES / "bison.jpg"))


@pytest.fixture(scope="module")
def off(embedded: PretrainedModel, seen: Prediction) -> Prediction:
    return ablated_prediction(embedded, seen, OFF)


def dequantised(scaled: dict[str, Any], low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """The values, and half a level of each map."""
    span = np.asarray(high - low)[..., None, None]
    return np.asarray(low)[..., None, None] + unpack(scaled["values"]) / 255 * span, span / 510


class Noting(InferenceService):
    """A service that notes the precision of every prediction that it is asked for."""

    asked: tuple[str, ...] = ()

    def prediction(self, query: Query) -> Prediction:
        self.asked = (*self.asked, query.precision)
        return super().prediction(query)


def test_a_fast_server_answers_fast_and_explains_exactly() -> None:
    service = Noting((NET,), choose_device("cpu"), precision="fast")
    query = service.query(NET, EXAMPLES / "bison.jpg")
    scene.scene(service, query, {})
    scene.block_channels(service, query, {}, "4c")
    assert set(service.asked) == {"fast"}
    service.asked = ()
    scene.scene(service, query, {"4c": ["1x1"]})
    scene.votes(service, query, "4c")
    assert set(service.asked) == {"exact"}


# ---------------------------------------------------------------- what an event answers


def test_start_names_networks_and_examples(page_address: str) -> None:
    answer = told(page_address, "start")
    assert [row["name"] for row in answer["models"]] == ["tiny-imagenet", "googlenet", "torchvision"]
    assert answer["models"][0]["available"] is True
    assert [row["stem"] for row in answer["examples"]] == sorted(path.stem for path in EXAMPLES.glob("*.jpg"))
    photo = open_photo(EXAMPLES / "bison.jpg")
    (bison,) = [row for row in answer["examples"] if row["stem"] == "bison"]
    assert (bison["width"], bison["height"]) == photo.size
    assert answer["device"]
    assert answer["max_bytes"] == MAX_BYTES


def test_a_network_is_told_with_every_layer(page_address: str, embedded: PretrainedModel) -> None:
    answer = told(page_address, "network", NET)
    assert answer["labels"] == list(embedded.labels)
    assert answer["chinese"]["goldfish"] == "金鱼"
    assert (answer["size"], answer["temperature"]) == (embedded.input_size, embedded.temperature)
    assert embedded.rejection is not None
    assert answer["threshold"] == embedded.rejection.threshold
    size = network_size(embedded.model, embedded.model.input_shape)
    assert (answer["parameters"], answer["macs"]) == (size.parameters, size.multiplications)
    assert answer["parameters"] - answer["linear"] == size.parameters_without_classifier
    assert answer["rejection"] == vars(embedded.rejection)
    assert answer["has_means"] is True
    assert answer["about"]["licence"] == embedded.provenance.licence
    assert list(answer["blocks"]) == list(BLOCKS)
    for name, block in answer["blocks"].items():
        module = embedded.model.block(name)
        assert block["in_channels"] == BLOCKS[name].in_channels
        assert block["channels"] == sum(branch["channels"] for branch in block["branches"].values())
        assert block["pool_before"] == (name in ("4a", "5a"))
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
    assert answer["blocks"]["3a"]["branches"]["1x1"]["field"]["stride"] == 8
    assert answer["blocks"]["4a"]["side"] == embedded.input_size // 16


def test_a_scene_has_the_logits_and_the_mean_maps(page_address: str, seen: Prediction) -> None:
    answer = told(page_address, "scene", BISON, {})
    assert (answer["model"], answer["off"]) == (NET, {})
    assert unpack(answer["logits"]) == pytest.approx(seen.logits, abs=1e-4)
    width, height = open_photo(EXAMPLES / "bison.jpg").size
    assert answer["photo"] == {"width": width, "height": height}
    side = min(width, height)
    assert answer["crop"] == pytest.approx([(width - side) / 2 / width, (height - side) / 2 / height, 1])
    compare_maps(answer, seen)


def compare_maps(answer: dict[str, Any], expected: Prediction) -> None:
    assert list(answer["maps"]) == list(BLOCKS)
    for block, branches in answer["maps"].items():
        assert list(branches) == list(BRANCHES)
        for branch, scaled in branches.items():
            values, half = dequantised(scaled, scaled["low"], scaled["high"])
            mean = expected.branch(block, branch).mean(axis=0)
            assert np.all(np.abs(values - mean) <= half + 1e-4), (block, branch)


def test_a_scene_with_branches_off_runs_on_without_them(page_address: str, off: Prediction) -> None:
    answer = told(page_address, "scene", BISON, {**OFF, "5a": []})
    assert answer["off"] == OFF
    assert list(answer["off"]) == ["3b", "4b"], "in the network's order"
    assert unpack(answer["logits"]) == pytest.approx(off.logits, abs=1e-4)
    compare_maps(answer, off)
    assert answer["maps"]["4b"]["1x1"]["low"] == answer["maps"]["4b"]["1x1"]["high"] == 0


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_channels_off_and_what_replaces_them(
    page_address: str, embedded: PretrainedModel, seen: Prediction, fill: str
) -> None:
    known = ablated_prediction(embedded, seen, CHANNELS, fill)
    filled = {**BISON, "fill": fill}
    answer = told(page_address, "scene", filled, {"5a": [9, 9], "4b": [117, "pool", 3]})
    assert (answer["off"], answer["fill"]) == (CHANNELS, fill)
    assert unpack(answer["logits"]) == pytest.approx(known.logits, abs=1e-4)
    compare_maps(answer, known)
    block = told(page_address, "block", filled, CHANNELS, "5a")["branches"]["1x1"]
    assert unpack(block["mean"])[9] == pytest.approx(0 if fill == "zero" else float(embedded.means["5a"][9]), abs=1e-4)
    subsets = told(page_address, "votes", filled, "4c")
    assert subsets["fill"] == fill
    assert unpack(subsets["subsets"]) == pytest.approx(subset_logits(embedded, seen, "4c", fill), abs=1e-4)
    alone = single_ablation_logits(embedded, seen, fill)
    for name, packed in told(page_address, "table", filled)["logits"].items():
        assert unpack(packed) == pytest.approx(alone[name], abs=1e-4)


@pytest.mark.parametrize("with_off", [False, True])
def test_a_block_has_every_channel(page_address: str, seen: Prediction, off: Prediction, with_off: bool) -> None:
    answer = told(page_address, "block", BISON, OFF if with_off else {}, "4c")
    assert answer["block"] == "4c"
    for branch, scaled in answer["branches"].items():
        maps = (off if with_off else seen).branch("4c", branch)
        low, high = unpack(scaled["low"]), unpack(scaled["high"])
        values, half = dequantised(scaled, low, high)
        assert values.shape == maps.shape
        assert np.all(np.abs(values - maps) <= half + 1e-4), branch
        assert unpack(scaled["mean"]) == pytest.approx(maps.mean(axis=(1, 2)), abs=1e-4)


def test_votes_are_the_logits_of_all_subsets(page_address: str, embedded: PretrainedModel, seen: Prediction) -> None:
    answer = told(page_address, "votes", BISON, "4c")
    subsets = unpack(answer["subsets"])
    assert subsets == pytest.approx(subset_logits(embedded, seen, "4c"), abs=1e-4)
    assert subsets[15] == pytest.approx(seen.logits, abs=1e-3)
    known = branch_votes(embedded, seen, "4c", 3).subsets
    for number, on in enumerate(BRANCH_SUBSETS):
        assert {name for bit, name in enumerate(BRANCH_NAMES) if number >> bit & 1} == on
        assert float(subsets[number, 3]) == pytest.approx(known[on], abs=1e-4)


def test_worth_is_of_every_channel_for_each_class(
    page_address: str, embedded: PretrainedModel, seen: Prediction
) -> None:
    everything = channel_worth(embedded, seen, [7, 100])
    for first in ("3a", "4c"):
        answer = told(page_address, "worth", BISON, [7, 100, 7], first)["worth"]
        assert list(answer) == ["7", "100"]
        for index, blocks in everything.items():
            assert list(answer[str(index)]) == [block for block in BLOCKS if block >= first]
            for block in answer[str(index)]:
                assert unpack(answer[str(index)][block]) == pytest.approx(blocks[block], abs=1e-4)


def test_fields_are_the_core_of_the_middle_cells(
    page_address: str, embedded: PretrainedModel, seen: Prediction
) -> None:
    answer = told(page_address, "field", BISON, "3b")
    assert list(answer) == list(BRANCHES)
    middle = seen.block("3b").shape[1] // 2
    for branch, square in answer.items():
        core = effective_field(embedded, seen, "3b", branch, middle, middle).core(0.9)
        assert square == {"row": middle, "column": middle, "share": 0.9, **vars(core)}
    assert answer["1x1"]["right"] - answer["1x1"]["left"] < answer["5x5"]["right"] - answer["5x5"]["left"]


def test_a_cell_is_explained_as_by_the_api(page_address: str) -> None:
    answer = told(page_address, "cell", BISON, "4c", "5x5", 3, 2, 4)
    photo = {"path": upload(page_address, EXAMPLES / "bison.jpg"), "meta": {"_type": "gradio.FileData"}}
    known = Client(page_address, verbose=False).predict(photo, NET, "4c", "5x5", 3, 2, 4, api_name="/cell")
    assert {"model": NET, **answer} == known


def test_a_kernels_sums_add_up(page_address: str, embedded: PretrainedModel, seen: Prediction) -> None:
    answer = told(page_address, "kernel", BISON, "3b", "3x3", 11, 0, 5)
    trace = trace_convolution(embedded, seen, "3b", "3x3", 11, 0, 5)
    assert (answer["layer"], answer["kernel"]) == ("3x3", 3)
    sums = (trace.patch * trace.kernel).sum(axis=(1, 2))
    assert len(answer["inputs"]) == 3
    for row in answer["inputs"]:
        by_hand = (np.array(row["patch"]) * np.array(row["weights"])).sum()
        assert row["sum"] == pytest.approx(by_hand)
        assert row["sum"] == pytest.approx(sums[row["channel"]], abs=1e-4)
    assert min(abs(row["sum"]) for row in answer["inputs"]) >= np.sort(np.abs(sums))[-3] - 1e-6
    total = sum(row["sum"] for row in answer["inputs"]) + answer["others"] + answer["bias"]
    assert answer["sum"] == pytest.approx(total)
    assert answer["result"] == pytest.approx(max(0, answer["scale"] * total + answer["shift"]))
    assert answer["result"] == pytest.approx(float(seen.branch("3b", "3x3")[11, 0, 5]), abs=1e-4)


def test_evidence_adds_up_to_the_logit(page_address: str, embedded: PretrainedModel, seen: Prediction) -> None:
    answer = told(page_address, "evidence", BISON, None)
    known = evidence(embedded, seen)
    assert answer["class"] == known.index == int(seen.logits.argmax())
    assert answer["bias"] + sum(answer["branches"].values()) == pytest.approx(answer["logit"], abs=1e-4)
    assert unpack(answer["map"]) == pytest.approx(known.map, abs=1e-4)
    assert float(unpack(answer["map"]).sum()) == pytest.approx(sum(answer["branches"].values()), abs=1e-3)
    assert answer["linear"] is known.linear
    assert list(answer["maps"]) == list(BRANCHES)
    for branch, packed in answer["maps"].items():
        assert float(unpack(packed).sum()) == pytest.approx(answer["branches"][branch], abs=1e-3)
        assert unpack(packed) == pytest.approx(known.maps[branch], abs=1e-4)


def test_a_cam_is_grad_cam_of_the_whole_block(page_address: str, embedded: PretrainedModel, seen: Prediction) -> None:
    answer = told(page_address, "cam", BISON, "4e", 9)
    assert answer["class"] == 9
    known = grad_cams(embedded, seen, "4e", 9)
    assert unpack(answer["map"]) == pytest.approx(known[None].signed, abs=1e-4)
    assert list(answer["maps"]) == list(BRANCHES)
    for branch, packed in answer["maps"].items():
        assert unpack(packed) == pytest.approx(known[branch].signed, abs=1e-4)


def test_an_effective_field_is_that_of_the_library_made_coarse(
    page_address: str, embedded: PretrainedModel, seen: Prediction
) -> None:
    answer = told(page_address, "effective", BISON, "4a", "3x3", 2, 7)
    known = effective_field(embedded, seen, "4a", "3x3", 2, 7)
    core = {key: answer[key] for key in ("left", "top", "right", "bottom")}
    assert (core, answer["share"]) == (vars(known.core(0.9)), 0.9)
    found, step = unpack(answer["map"]), answer["step"]
    side = -(-embedded.input_size // step)
    assert found.shape == (side, side)
    assert side <= 112
    assert found.max() == 1
    padded = np.zeros((side * step, side * step))
    padded[: embedded.input_size, : embedded.input_size] = known.energy
    sums = padded.reshape(side, step, side, step).sum(axis=(1, 3))
    assert found == pytest.approx(sums / sums.max(), abs=1e-5)


def test_a_bottleneck_shows_the_strongest_channels(
    page_address: str, embedded: PretrainedModel, seen: Prediction
) -> None:
    answer = told(page_address, "bottleneck", BISON, "4c")
    known = strongest_reduced(embedded, seen, "4c", 24)
    assert list(answer) == list(known) == ["before", "3x3", "5x5"]
    assert [answer[part]["count"] for part in answer] == [512, 128, 24]
    for part, strongest in known.items():
        assert answer[part]["numbers"] == list(strongest.numbers)
        low, high = unpack(answer[part]["low"]), unpack(answer[part]["high"])
        values, half = dequantised(answer[part], low, high)
        assert np.all(np.abs(values - strongest.maps) <= half + 1e-4)


def test_the_table_has_each_branch_off_alone(page_address: str, embedded: PretrainedModel, seen: Prediction) -> None:
    answer = told(page_address, "table", BISON)["logits"]
    for block, rows in single_ablation_logits(embedded, seen).items():
        assert unpack(answer[block]) == pytest.approx(rows, abs=1e-4)


@pytest.mark.parametrize("shape", ["disc", "ring", "grating"])
def test_tuning_is_that_of_the_library(page_address: str, embedded: PretrainedModel, shape: str) -> None:
    answer = told(page_address, "tuning", NET, "4a", shape)
    known = size_tuning(embedded, predict_crop(embedded, plain_grey(embedded.input_size)), "4a", shape)
    assert answer["sizes"] == list(known.sizes)
    for branch, row in answer["branches"].items():
        assert row["response"] == pytest.approx(known.branches[branch].response, rel=1e-3)
        assert row["preferred"] == pytest.approx(known.branches[branch].preferred, rel=0.05)


def test_the_events_are_no_part_of_the_api(page_address: str) -> None:
    for route in ("info", "openapi.json"):
        assert "stage_" not in httpx.get(f"{page_address}gradio_api/{route}", timeout=60).text
    known = load(NET).labels
    assert told(page_address, "network", NET)["labels"][0] == known[0]
