"""The events about one channel over HTTP, compared with the library."""

from __future__ import annotations

import io
import json
import shutil
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inception import open_photo, predict
from inception.cli.main import main
from inception.explain.circuit import cell_circuit, logit_circuit
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import EMBEDDED_WEIGHTS
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.service.visualizations import Visualizations
from inception.units.atlas import read_atlas
from inception.units.feature_visualization import VisualizationSettings, visualize
from inception.units.naturalness import example_photos, naturalness
from inception.units.tuning import layer_tuning
from inception.units.unit import Unit
from inception.units.wiring import wiring
from inception.web.stage.unit import unit_atlas, unit_image
from support.paths import EXAMPLES
from support.stage import error_message, event_result, post_event, subject, unpack

NET, BISON = "tiny-imagenet", subject("example:bison")


def test_unit_tuning_matches_the_channel_of_the_branch(page_address: str, embedded: PretrainedModel) -> None:
    result = event_result(page_address, "unit_tuning", NET, "3a", "5x5", 7)
    tuned = layer_tuning(embedded, "3a")
    number = embedded.model.block("3a").slices["5x5"].start + 7
    expected = tuned.channel(number)
    assert result["silent"] is expected.silent
    for feature, curve in expected.curves.items():
        assert result["curves"][feature]["values"] == list(curve.values)
        assert result["curves"][feature]["responses"] == pytest.approx(curve.responses, abs=1e-3)
    responses = [
        tuned.gratings.reshape(len(tuned.silent), -1),
        *(tuned.curves[feature].responses for feature in ("size", "colour")),
    ]
    cosines = {}
    for other in range(len(tuned.silent)):
        if other != number and not tuned.silent[other]:
            similarities = [
                a[number] @ a[other] / max(np.linalg.norm(a[number]) * np.linalg.norm(a[other]), 1e-12)
                for a in responses
            ]
            cosines[other] = sum(similarities) / 3
    best = sorted(cosines, key=lambda channel: -cosines[channel])[: len(result["alike"])]
    slices = embedded.model.block("3a").slices
    assert [slices[unit["branch"]].start + unit["channel"] for unit in result["alike"]] == best
    assert [unit["similarity"] for unit in result["alike"]] == pytest.approx(
        [cosines[channel] for channel in best], abs=1e-3
    )


def test_block_tuning_matches_the_channels_of_the_block(page_address: str, embedded: PretrainedModel) -> None:
    result = event_result(page_address, "block_tuning", NET, "3a")
    curves = layer_tuning(embedded, "3a").curves
    for name, expected in (
        ("orientation", curves["orientation"].selectivity),
        ("colour", curves["colour"].selectivity),
    ):
        assert unpack(result[name]) == pytest.approx(np.nan_to_num(expected), abs=1e-3)
    assert unpack(result["size"]) == pytest.approx(np.nan_to_num(curves["size"].preferred), rel=0.3)


def test_wiring_matches_the_library(page_address: str, embedded: PretrainedModel) -> None:
    result = event_result(page_address, "unit_wiring", NET, "4b", "3x3", 17)
    expected = wiring(embedded.model, "4b", "3x3", 17).to_dict()
    for side in ("feeds", "readers"):
        assert [(unit["layer"], unit["branch"], unit["channel"]) for unit in result[side]] == [
            (unit["layer"], unit["branch"], unit["channel"]) for unit in expected[side]
        ]
        for unit, expected_unit in zip(result[side], expected[side], strict=True):
            assert np.asarray(unit["kernel"]) == pytest.approx(np.asarray(expected_unit["kernel"]), abs=1e-6)


def test_circuits_match_the_library(page_address: str, embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    cell = event_result(page_address, "circuit", BISON, "4b", "3x3", 17, 2, 3)
    expected = cell_circuit(embedded, prediction, "4b", "3x3", 17, 2, 3)
    assert cell["value"] == pytest.approx(expected.value, abs=1e-4)
    total = cell["constant"] + sum(source["contribution"] for source in cell["sources"]) + cell["rest"]
    assert total == pytest.approx(cell["value"], abs=1e-4)
    logit = event_result(page_address, "logit_circuit", BISON, None)
    assert logit["value"] == pytest.approx(float(prediction.logits.max()), abs=1e-3)
    assert [source["channel"] for source in logit["sources"]] == [
        source.channel for source in logit_circuit(embedded, prediction).sources
    ]


@pytest.mark.parametrize("event", ["unit_tuning", "unit_wiring"])
@pytest.mark.parametrize(
    ("arguments", "excerpt"),
    [
        ((NET, "3a", "1x1", 64), "There is no channel 64 in 3a/1x1; its channels are numbered 0 to 63."),
        ((NET, "3a", "7x7", 0), "branch is '7x7'"),
        ((NET, "6a", "1x1", 0), "block is '6a'"),
        (("resnet", "3a", "1x1", 0), "model is 'resnet'"),
        ((NET, "3a", "1x1", 1.5), "channel is 1.5"),
    ],
)
def test_an_unknown_unit_is_refused_with_a_sentence(
    page_address: str, event: str, arguments: tuple[object, ...], excerpt: str
) -> None:
    response = post_event(page_address, event, *arguments)
    assert 400 <= response.status_code < 500
    assert excerpt in error_message(response)


def test_an_image_is_computed_in_steps_and_cached(page_address: str, embedded: PretrainedModel) -> None:
    unit = (NET, "3a", "1x1", 5, "inhibits")  # the atlas has no such images
    initial = event_result(page_address, "unit_image", *unit, -1)
    assert (initial["url"], initial["path"]) == (None, None)
    state, values = {"step": 0, "steps": 1}, []
    while state["step"] < state["steps"]:
        before = state["step"]
        state = event_result(page_address, "unit_image", *unit, before)
        assert state["step"] > before
        assert (state["path"] is None) is (state["step"] < state["steps"]), "only a finished image has a path"
        values.append(state["activations"][0])
    *_, expected = visualize(embedded, Unit("3a", "1x1", 5), VisualizationSettings(sign=-1))
    assert state["activations"][0] == pytest.approx(expected.activation[0], rel=0.05)
    assert values[-1] < values[0]
    picture = Image.fromarray(expected.image[0])
    expected_path = naturalness(embedded, Unit("3a", "1x1", 5), picture, example_photos(), -1).to_dict()
    assert [row["block"] for row in state["path"]["blocks"]] == ["3a"]
    assert state["path"]["blocks"][0]["share"] == pytest.approx(expected_path["blocks"][0]["share"], abs=0.05)
    assert (state["path"]["photos"], state["path"]["silent"]) == (8, expected_path["silent"])
    picture = np.asarray(Image.open(io.BytesIO(b64decode(state["url"].split(",")[1]))).convert("RGB"), float)
    webp = io.BytesIO()
    Image.fromarray(expected.image[0]).save(webp, "WEBP", quality=90)
    assert np.abs(picture - np.asarray(Image.open(webp).convert("RGB"), float)).mean() < 3, "pictures differ"
    assert event_result(page_address, "unit_image", *unit, -1) == state
    in_atlas = read_atlas(EMBEDDED_WEIGHTS.with_suffix(".atlas")).branch("3a", "1x1").channels
    other = next(channel for channel in range(64) if channel not in in_atlas)
    assert event_result(page_address, "unit_image", NET, "3a", "1x1", other, "excites", -1)["url"] is None
    atlas_image = event_result(page_address, "unit_image", NET, "3a", "1x1", min(in_atlas), "excites", -1)
    assert atlas_image["activations"] == [in_atlas[min(in_atlas)].activation]


@pytest.mark.parametrize(
    ("arguments", "excerpt"),
    [
        ((NET, "3a", "1x1", 64, "excites", 0), "no channel 64"),
        ((NET, "3a", "1x1", 6, "pleases", 0), "goal is 'pleases'; it must be one of: excites, inhibits, varied"),
        ((NET, "3a", "1x1", 6, "excites", None), "step is None"),
    ],
)
def test_an_invalid_image_request_is_refused(page_address: str, arguments: tuple[object, ...], excerpt: str) -> None:
    assert excerpt in error_message(post_event(page_address, "unit_image", *arguments))


def test_an_atlas_beside_the_weights_is_used(tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, weights)
    service = InferenceService((str(weights),), choose_device("cpu"))
    assert unit_atlas(service, weights.name, "3a", "5x5", 3)["photos"] is None, "there is no atlas yet"
    options = ["--blocks", "3a", "--channels", "2", "--steps", "4", "--size", "32", "--limit", "6"]
    assert main(["atlas", str(weights), "--data", str(EXAMPLES), "--out", str(tmp_path / "mine.atlas"), *options]) == 0
    service = InferenceService((str(weights),), choose_device("cpu"))
    atlas = read_atlas(tmp_path / "mine.atlas").branch("3a", "5x5")
    channel, record = next(iter(atlas.channels.items()))
    entry = unit_atlas(service, weights.name, "3a", "5x5", channel)
    assert entry["photos"] == 6
    assert entry["values"] == [place.value for place in record.strongest]
    assert entry["silent"] == record.silent
    places = atlas.places(channel)
    assert places is not None
    assert entry["places"] == f"data:image/webp;base64,{b64encode(places).decode()}"
    unit = Unit("3a", "5x5", channel)
    image = unit_image(service, Visualizations(service), weights.name, unit, "excites", -1)
    assert image["activations"] == [record.activation]
    assert image["path"] is None
    assert image["url"].startswith("data:image/webp;base64,")
    other = next(number for number in range(32) if number not in atlas.channels)
    assert unit_atlas(service, weights.name, "3a", "5x5", other)["photos"] is None


def test_an_atlas_of_other_weights_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, weights)
    folder = tmp_path / "mine.atlas"
    options = ["--blocks", "3a", "--channels", "1", "--no-images", "--limit", "2"]
    assert main(["atlas", str(weights), "--data", str(EXAMPLES), "--out", str(folder), *options]) == 0
    index = json.loads((folder / "atlas.json").read_text())
    index["network"]["digest"] = "0" * 64
    (folder / "atlas.json").write_text(json.dumps(index))
    service = InferenceService((str(weights),), choose_device("cpu"))
    assert unit_atlas(service, weights.name, "3a", "1x1", 0)["photos"] is None
    assert "other weights" in caplog.text
