"""The events about one channel, over HTTP, against the library."""

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
from inception.units.tuning import layer_tuning, stimulus_grid
from inception.units.unit import Unit
from inception.units.wiring import wiring
from inception.web.stage.unit import unit_atlas, unit_image
from support.paths import EXAMPLES
from support.stage import ask, sentence, subject, told, unpack

NET, BISON = "tiny-imagenet", subject("example:bison")


def test_tuning_is_that_of_the_channel_of_the_branch(page_address: str, embedded: PretrainedModel) -> None:
    answer = told(page_address, "unit_tuning", NET, "3a", "5x5", 7)
    tuned = layer_tuning(embedded, "3a", stimulus_grid(embedded.input_size, orientations=8, wavelengths=5))
    number = embedded.model.block("3a").slices["5x5"].start + 7
    known = tuned.channel(number)
    assert answer["silent"] is known.silent
    for feature, curve in known.curves.items():
        assert answer["curves"][feature]["values"] == list(curve.values)
        assert answer["curves"][feature]["responses"] == pytest.approx(curve.responses, abs=1e-3)
    responses = [
        tuned.gratings.reshape(len(tuned.silent), -1),
        *(tuned.curves[one].responses for one in ("size", "colour")),
    ]
    cosines = {}
    for other in range(len(tuned.silent)):
        if other != number and not tuned.silent[other]:
            each = [
                a[number] @ a[other] / max(np.linalg.norm(a[number]) * np.linalg.norm(a[other]), 1e-12)
                for a in responses
            ]
            cosines[other] = sum(each) / 3
    best = sorted(cosines, key=lambda one: -cosines[one])[: len(answer["alike"])]
    slices = embedded.model.block("3a").slices
    assert [slices[one["branch"]].start + one["channel"] for one in answer["alike"]] == best
    assert [one["similarity"] for one in answer["alike"]] == pytest.approx([cosines[one] for one in best], abs=1e-3)


def test_the_tuning_of_a_block_is_that_of_its_channels(page_address: str, embedded: PretrainedModel) -> None:
    answer = told(page_address, "block_tuning", NET, "3a")
    curves = layer_tuning(embedded, "3a", stimulus_grid(embedded.input_size, orientations=8, wavelengths=5)).curves
    for name, known in (("orientation", curves["orientation"].selectivity), ("colour", curves["colour"].selectivity)):
        assert unpack(answer[name]) == pytest.approx(np.nan_to_num(known), abs=1e-3)
    assert unpack(answer["size"]) == pytest.approx(np.nan_to_num(curves["size"].preferred), rel=0.3)


def test_wiring_is_that_of_the_library(page_address: str, embedded: PretrainedModel) -> None:
    answer = told(page_address, "unit_wiring", NET, "4b", "3x3", 17)
    known = wiring(embedded.model, "4b", "3x3", 17).to_dict()
    for side in ("feeds", "readers"):
        assert [(one["layer"], one["branch"], one["channel"]) for one in answer[side]] == [
            (one["layer"], one["branch"], one["channel"]) for one in known[side]
        ]
        for one, other in zip(answer[side], known[side], strict=True):
            assert np.asarray(one["kernel"]) == pytest.approx(np.asarray(other["kernel"]), abs=1e-6)


def test_circuits_are_those_of_the_library(page_address: str, embedded: PretrainedModel) -> None:
    seen = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    cell = told(page_address, "circuit", BISON, "4b", "3x3", 17, 2, 3)
    known = cell_circuit(embedded, seen, "4b", "3x3", 17, 2, 3)
    assert cell["value"] == pytest.approx(known.value, abs=1e-4)
    added = cell["constant"] + sum(one["contribution"] for one in cell["sources"]) + cell["rest"]
    assert added == pytest.approx(cell["value"], abs=1e-4)
    logit = told(page_address, "logit_circuit", BISON, None)
    assert logit["value"] == pytest.approx(float(seen.logits.max()), abs=1e-3)
    assert [one["channel"] for one in logit["sources"]] == [
        one.channel for one in logit_circuit(embedded, seen).sources
    ]


@pytest.mark.parametrize("event", ["unit_tuning", "unit_wiring"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((NET, "3a", "1x1", 64), "There is no channel 64; block 3a/1x1 has the channels 0 to 63."),
        ((NET, "3a", "7x7", 0), "branch is '7x7'"),
        ((NET, "6a", "1x1", 0), "block is '6a'"),
        (("resnet", "3a", "1x1", 0), "model is 'resnet'"),
        ((NET, "3a", "1x1", 1.5), "channel is 1.5"),
    ],
)
def test_an_unknown_unit_is_refused_in_a_sentence(
    page_address: str, event: str, arguments: tuple[object, ...], words: str
) -> None:
    response = ask(page_address, event, *arguments)
    assert 400 <= response.status_code < 500
    assert words in sentence(response)


def test_an_image_grows_and_is_kept_for_all(page_address: str, embedded: PretrainedModel) -> None:
    place = (NET, "3a", "1x1", 5, "inhibits")  # an atlas has only images that excite
    nothing = told(page_address, "unit_image", *place, -1)
    assert (nothing["url"], nothing["path"]) == (None, None)
    growth, values = {"step": 0, "steps": 1}, []
    while growth["step"] < growth["steps"]:
        before = growth["step"]
        growth = told(page_address, "unit_image", *place, before)
        assert growth["step"] > before
        assert (growth["path"] is None) is (growth["step"] < growth["steps"]), "only of a finished image"
        values.append(growth["activations"][0])
    *_, known = visualize(embedded, Unit("3a", "1x1", 5), VisualizationSettings(sign=-1))
    assert growth["activations"][0] == pytest.approx(known.activation[0], rel=0.05)
    assert values[-1] < values[0]
    picture = Image.fromarray(known.image[0])
    path = naturalness(embedded, Unit("3a", "1x1", 5), picture, example_photos(), -1).to_dict()
    assert [one["block"] for one in growth["path"]["blocks"]] == ["3a"]
    assert growth["path"]["blocks"][0]["share"] == pytest.approx(path["blocks"][0]["share"], abs=0.05)
    assert (growth["path"]["photos"], growth["path"]["silent"]) == (8, path["silent"])
    picture = np.asarray(Image.open(io.BytesIO(b64decode(growth["url"].split(",")[1]))).convert("RGB"), float)
    packed = io.BytesIO()
    Image.fromarray(known.image[0]).save(packed, "WEBP", quality=90)
    assert np.abs(picture - np.asarray(Image.open(packed).convert("RGB"), float)).mean() < 3, "up to rounding"
    assert told(page_address, "unit_image", *place, -1) == growth
    in_atlas = read_atlas(EMBEDDED_WEIGHTS.with_suffix(".atlas")).branch("3a", "1x1").channels
    other = next(one for one in range(64) if one not in in_atlas)
    assert told(page_address, "unit_image", NET, "3a", "1x1", other, "excites", -1)["url"] is None
    small = told(page_address, "unit_image", NET, "3a", "1x1", min(in_atlas), "excites", -1)
    assert small["activations"] == [in_atlas[min(in_atlas)].activation]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((NET, "3a", "1x1", 64, "excites", 0), "no channel 64"),
        ((NET, "3a", "1x1", 6, "pleases", 0), "goal is 'pleases'; it must be one of: excites, inhibits, varied"),
        ((NET, "3a", "1x1", 6, "excites", None), "step is None"),
    ],
)
def test_an_image_of_something_else_is_refused(page_address: str, arguments: tuple[object, ...], words: str) -> None:
    assert words in sentence(ask(page_address, "unit_image", *arguments))


def test_an_atlas_beside_the_weights_is_shown(tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, weights)
    service = InferenceService((str(weights),), choose_device("cpu"))
    assert unit_atlas(service, weights.name, "3a", "5x5", 3)["photos"] is None, "there is none yet"
    options = ["--blocks", "3a", "--channels", "2", "--steps", "4", "--size", "32", "--limit", "6"]
    assert main(["atlas", str(weights), "--data", str(EXAMPLES), "--out", str(tmp_path / "mine.atlas"), *options]) == 0
    service = InferenceService((str(weights),), choose_device("cpu"))
    atlas = read_atlas(tmp_path / "mine.atlas").branch("3a", "5x5")
    channel, record = next(iter(atlas.channels.items()))
    entry = unit_atlas(service, weights.name, "3a", "5x5", channel)
    assert entry["photos"] == 6
    assert entry["values"] == [place.value for place in record.strongest]
    assert entry["silent"] == record.silent
    read = atlas.places(channel)
    assert read is not None
    assert entry["places"] == f"data:image/webp;base64,{b64encode(read).decode()}"
    place = Unit("3a", "5x5", channel)
    known = unit_image(service, Visualizations(service), weights.name, place, "excites", -1)
    assert known["activations"] == [record.activation]
    assert known["path"] is None
    assert known["url"].startswith("data:image/webp;base64,")
    other = next(number for number in range(32) if number not in atlas.channels)
    assert unit_atlas(service, weights.name, "3a", "5x5", other)["photos"] is None


def test_an_atlas_of_other_weights_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
