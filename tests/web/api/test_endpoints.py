"""The API's endpoints through `gradio_client`: their list, their descriptions and their results."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from inception import load, open_photo, predict
from inception.explain.attribution import evidence
from inception.explain.readout import channel_readout
from inception.network.anatomy import conv_cost, parameter_count
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import Prediction
from inception.render.branches import ViewOptions, render_branches
from inception.render.maps import limits, mosaic, overlay, scale_limits
from support.endpoints import ENDPOINTS
from support.paths import EXAMPLES

ESPRESSO, BISON, NET = EXAMPLES / "espresso.jpg", EXAMPLES / "bison.jpg", "tiny-imagenet"


@pytest.fixture(scope="module")
def client(page_address: str) -> Client:
    return Client(page_address, verbose=False)


@pytest.fixture(scope="module")
def api(client: Client) -> dict[str, Any]:
    return client.view_api(return_format="dict", print_info=False)


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict(load(), open_photo(ESPRESSO))


def call(client: Client, name: str, *arguments: Any) -> Any:
    values = [handle_file(str(value)) if isinstance(value, Path) else value for value in arguments]
    return client.predict(*values, api_name=name)


def pixels(image: Any) -> np.ndarray:
    return np.asarray((image if isinstance(image, Image.Image) else Image.open(image)).convert("RGB"))


def test_the_api_has_exactly_the_expected_endpoints(api: dict[str, Any]) -> None:
    arguments = {
        name: " ".join(row["parameter_name"] for row in endpoint["parameters"])
        for name, endpoint in api["named_endpoints"].items()
    }
    assert arguments == ENDPOINTS
    assert not api["unnamed_endpoints"]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_describes_its_purpose_arguments_and_results(api: dict[str, Any], name: str) -> None:
    endpoint = api["named_endpoints"][name]
    purpose, returns = endpoint["description"].split(" Returns: ")
    assert re.fullmatch(r"[A-Z].{20,}[.]", purpose)
    assert re.fullmatch(r"[a-z].{5,}[.]", returns)
    assert "  " not in endpoint["description"]
    for row in [*endpoint["parameters"], *endpoint["returns"]]:
        assert row["type"]
        assert row["python_type"]["type"] not in ("", "Any")
        assert not re.match(r"(parameter|value)_\d+", row["label"]), "a value without a label is named by a number"
    required = {row["parameter_name"] for row in endpoint["parameters"] if not row["parameter_has_default"]}
    assert required == {"photo"} & set(ENDPOINTS[name].split())


def test_classes_are_the_networks_labels_in_english_or_chinese(client: Client) -> None:
    assert call(client, "/classes", NET, "en") == {"model": NET, "classes": list(load().labels)}
    assert call(client, "/classes", NET, "zh")["classes"][0] == "金鱼 (goldfish)"


def test_reading_matches_the_package(client: Client) -> None:
    reading, expected = call(client, "/reading", NET, "4c"), channel_readout(load().model, "4c")
    assert reading["reader"] == "4d"
    assert reading["shares"] == pytest.approx(dict(expected.shares))
    flat = [value for branch in BRANCHES for value in reading["strengths"][branch]]
    assert flat == pytest.approx(expected.strengths.tolist(), rel=1e-5)


def test_bottleneck_cost_matches_the_formulas(client: Client) -> None:
    cost = call(client, "/bottleneck_cost", 128, 32, 256, 5, 100)
    assert cost["direct"]["weights"] == 5 * 5 * 128 * 256
    assert cost["reduction"]["weights"] + cost["convolution"]["weights"] == 128 * 32 + 5 * 5 * 32 * 256
    assert cost["direct"]["multiplications"] == 100 * conv_cost(128, 256, 5).weights
    assert cost["saving"] == pytest.approx((5 * 5 * 128 * 256) / (128 * 32 + 5 * 5 * 32 * 256))
    break_even = cost["break_even"]
    is_cheaper = [
        call(client, "/bottleneck_cost", 128, width, 256, 5, 100)["saving"] > 1
        for width in (break_even, break_even + 1)
    ]
    assert is_cheaper == [True, False]


def test_network_size_counts_the_parameters(client: Client) -> None:
    size = call(client, "/network_size", NET)
    assert size["own"]["parameters"] == size["parameter_counts"][0]["parameters"] == parameter_count(load().model)
    assert size["vgg16"]["parameters"] == 138_357_544  # the published number
    assert [row["block"] for row in size["blocks"]] == list(BLOCKS)
    assert all(row["saving"] > 1 for row in size["blocks"])


def test_channel_returns_its_picture_and_numbers(client: Client, prediction: Prediction) -> None:
    file, numbers = call(client, "/channel", ESPRESSO, NET, "4c", "5x5", 3, "viridis")
    values = prediction.branch("4c", "5x5")[3]
    assert np.array_equal(pixels(file), pixels(overlay(prediction.image, values, limits(values), "viridis")))
    assert numbers["number"] == 128 + 256 + 3
    assert numbers["cell"]["value"] == pytest.approx(float(values.max()), rel=1e-4)
    assert values[numbers["cell"]["row"], numbers["cell"]["column"]] == values.max()
    assert numbers["zero_share"] == pytest.approx(float((values == 0).mean()))
    by_strength = np.argsort(-channel_readout(load().model, "4c").strengths, kind="stable")
    assert by_strength[numbers["rank"] - 1] == numbers["number"]


def test_bottleneck_shows_the_maps_before_and_after_the_reductions(client: Client, prediction: Prediction) -> None:
    *files, numbers = call(client, "/bottleneck", ESPRESSO, NET, "4c", "branch", "magma")
    before = prediction.stages["inception_4b"]
    bounds = scale_limits({"before": before}, "branch")["before"]
    assert np.array_equal(pixels(files[0]), pixels(mosaic(before, bounds)))
    widths = BLOCKS["4c"]
    assert {name: row["channels"] for name, row in numbers["maps"].items()} == {
        "before": widths.in_channels,
        "3x3": load().model.block("4c")["3x3_reduce"].conv.out_channels,
        "5x5": load().model.block("4c")["5x5_reduce"].conv.out_channels,
    }


def test_compare_shows_two_photos_on_one_scale(client: Client, prediction: Prediction) -> None:
    first, second, numbers = call(client, "/compare", ESPRESSO, NET, NET, "4c", BISON)
    other = predict(load(), open_photo(BISON))
    assert [side["top"][0]["label"] for side in numbers["sides"]] == ["espresso", "bison"]
    highest = max(
        float(maps.mean(axis=0).max()) for shown in (prediction, other) for maps in shown.branches("4c").values()
    )
    assert numbers["scale"] == pytest.approx([0, highest], rel=1e-4)
    assert pixels(first).shape == pixels(second).shape == (448, 4 * 448, 3)
    left, right, _ = call(client, "/compare", ESPRESSO, NET, NET, "4c", None)
    assert np.array_equal(pixels(left), pixels(right)), "without another photo, the first must be shown twice"


def test_overlays_show_evidence_and_grad_cam_over_the_photo(client: Client, prediction: Prediction) -> None:
    first, second, numbers = call(client, "/overlays", ESPRESSO, NET, "3b", "goldfish")
    expected = evidence(load(), prediction, "goldfish")
    assert numbers["label"] == "goldfish"
    assert numbers["evidence"] == pytest.approx(float(abs(expected.map).max()), rel=1e-3)
    assert pixels(first).shape == pixels(second).shape == (448, 448, 3)
    assert not np.array_equal(pixels(first), pixels(second))


@pytest.mark.parametrize("kind", ["sheet", "maps", "csv", "json"])
def test_keep_returns_a_file_of_the_requested_kind(client: Client, prediction: Prediction, kind: str) -> None:
    file = Path(call(client, "/keep", ESPRESSO, kind, NET, "4c", "mean", "shared", "magma", "en"))
    assert file.name.startswith("tiny-imagenet-photo")
    if kind == "sheet":
        assert Image.open(file).width > Image.open(ESPRESSO).width
    elif kind == "maps":
        with zipfile.ZipFile(file) as archive:
            arrays = [np.load(io.BytesIO(archive.read(name))) for name in archive.namelist() if name.endswith(".npy")]
        assert any(array.shape == prediction.branch("4c", "5x5").shape for array in arrays)
    elif kind == "csv":
        kinds = [row["kind"] for row in csv.DictReader(file.open(encoding="utf-8-sig"))]
        assert kinds == ["class"] * 200 + ["branch"] * len(BLOCKS) * len(BRANCHES)
    else:
        assert json.loads(file.read_text(encoding="utf-8"))["model"] == NET


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("/channel", ESPRESSO, NET, "4c", "5x5", 64, "magma"), "whole number from 0 to 63"),
        (("/channel", ESPRESSO, NET, "4c", "5x5", -1, "magma"), "whole number from 0 to 63"),
        (("/bottleneck_cost", 0, 32, 256, 5, 784), "in_channels is 0; it must be a whole number from 1"),
        (("/bottleneck_cost", 128, 32, 256, 99, 784), "kernel is 99"),
        (("/overlays", ESPRESSO, NET, "3a", "no such thing"), "has no class"),
        (("/predict", ESPRESSO, NET, 0), "top_k is 0; it must be a whole number from 1 to 1000"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_invalid_arguments_are_refused_with_a_sentence(
    client: Client, arguments: tuple[Any, ...], sentence: str
) -> None:
    name, *values = arguments
    with pytest.raises(AppError, match=sentence):
        call(client, name, *values)


def test_maps_match_the_package(client: Client, prediction: Prediction) -> None:
    *files, _ = call(client, "/maps", ESPRESSO, NET, "5b", "mean", "branch", "cividis")
    panels = render_branches(prediction, ViewOptions("5b", "mean", "branch", "cividis"))
    assert all(
        np.array_equal(pixels(file), pixels(panel.image)) for file, panel in zip(files, panels.values(), strict=True)
    )
