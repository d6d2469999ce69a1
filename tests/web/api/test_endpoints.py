"""The page's endpoints as `gradio_client` calls them: which there are, how they are told, and what they answer."""

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
from support.endpoints import EVERY
from support.paths import EXAMPLES

ESPRESSO, BISON, NET = EXAMPLES / "espresso.jpg", EXAMPLES / "bison.jpg", "tiny-imagenet"


@pytest.fixture(scope="module")
def client(page_address: str) -> Client:
    return Client(page_address, verbose=False)


@pytest.fixture(scope="module")
def api(client: Client) -> dict[str, Any]:
    return client.view_api(return_format="dict", print_info=False)


@pytest.fixture(scope="module")
def seen() -> Prediction:
    return predict(load(), open_photo(ESPRESSO))


def ask(client: Client, name: str, *arguments: Any) -> Any:
    sent = [handle_file(str(value)) if isinstance(value, Path) else value for value in arguments]
    return client.predict(*sent, api_name=name)


def pixels(image: Any) -> np.ndarray:
    return np.asarray((image if isinstance(image, Image.Image) else Image.open(image)).convert("RGB"))


def test_the_endpoints_are_these_and_no_others(api: dict[str, Any]) -> None:
    told = {
        name: " ".join(row["parameter_name"] for row in endpoint["parameters"])
        for name, endpoint in api["named_endpoints"].items()
    }
    assert told == EVERY
    assert not api["unnamed_endpoints"]


@pytest.mark.parametrize("name", EVERY)
def test_an_endpoint_says_what_it_does_takes_and_returns(api: dict[str, Any], name: str) -> None:
    endpoint = api["named_endpoints"][name]
    what, returned = endpoint["description"].split(" Returns: ")
    assert re.fullmatch(r"[A-Z].{20,}[.]", what)
    assert re.fullmatch(r"[a-z].{5,}[.]", returned)
    assert "  " not in endpoint["description"]
    for row in [*endpoint["parameters"], *endpoint["returns"]]:
        assert row["type"]
        assert row["python_type"]["type"] not in ("", "Any")
        assert not re.match(r"(parameter|value)_\d+", row["label"]), "without a label Gradio calls it by a number"
    needed = {row["parameter_name"] for row in endpoint["parameters"] if not row["parameter_has_default"]}
    assert needed == {"photo"} & set(EVERY[name].split())


def test_classes_are_the_networks_and_may_be_told_in_chinese(client: Client) -> None:
    assert ask(client, "/classes", NET, "en") == {"model": NET, "classes": list(load().labels)}
    assert ask(client, "/classes", NET, "zh")["classes"][0] == "金鱼 (goldfish)"


def test_reading_is_that_of_python(client: Client) -> None:
    told, expected = ask(client, "/reading", NET, "4c"), channel_readout(load().model, "4c")
    assert told["reader"] == "4d"
    assert told["shares"] == pytest.approx(dict(expected.shares))
    flat = [value for branch in BRANCHES for value in told["strengths"][branch]]
    assert flat == pytest.approx(expected.strengths.tolist(), rel=1e-5)


def test_a_bottleneck_is_worked_out_as_by_hand(client: Client) -> None:
    told = ask(client, "/bottleneck_cost", 128, 32, 256, 5, 100)
    assert told["direct"]["weights"] == 5 * 5 * 128 * 256
    assert told["reduction"]["weights"] + told["convolution"]["weights"] == 128 * 32 + 5 * 5 * 32 * 256
    assert told["direct"]["multiplications"] == 100 * conv_cost(128, 256, 5).weights
    assert told["saving"] == pytest.approx((5 * 5 * 128 * 256) / (128 * 32 + 5 * 5 * 32 * 256))
    most = told["break_even"]
    worth = [ask(client, "/bottleneck_cost", 128, width, 256, 5, 100)["saving"] > 1 for width in (most, most + 1)]
    assert worth == [True, False]


def test_a_networks_size_counts_its_parameters(client: Client) -> None:
    told = ask(client, "/network_size", NET)
    assert told["own"]["parameters"] == told["parameter_counts"][0]["parameters"] == parameter_count(load().model)
    assert told["vgg16"]["parameters"] == 138_357_544  # as everybody knows it
    assert [row["block"] for row in told["blocks"]] == list(BLOCKS)
    assert all(row["saving"] > 1 for row in told["blocks"])


def test_a_channel_is_shown_with_its_numbers(client: Client, seen: Prediction) -> None:
    file, told = ask(client, "/channel", ESPRESSO, NET, "4c", "5x5", 3, "viridis")
    values = seen.branch("4c", "5x5")[3]
    assert np.array_equal(pixels(file), pixels(overlay(seen.image, values, limits(values), "viridis")))
    assert told["number"] == 128 + 256 + 3
    assert told["cell"]["value"] == pytest.approx(float(values.max()), rel=1e-4)
    assert values[told["cell"]["row"], told["cell"]["column"]] == values.max()
    assert told["zero_share"] == pytest.approx(float((values == 0).mean()))
    by_strength = np.argsort(-channel_readout(load().model, "4c").strengths, kind="stable")
    assert by_strength[told["rank"] - 1] == told["number"]


def test_a_bottleneck_shows_the_maps_before_and_after(client: Client, seen: Prediction) -> None:
    *files, told = ask(client, "/bottleneck", ESPRESSO, NET, "4c", "branch", "magma")
    before = seen.stages["inception_4b"]
    bounds = scale_limits({"before": before}, "branch")["before"]
    assert np.array_equal(pixels(files[0]), pixels(mosaic(before, bounds)))
    widths = BLOCKS["4c"]
    assert {name: row["channels"] for name, row in told["maps"].items()} == {
        "before": widths.in_channels,
        "3x3": load().model.block("4c")["3x3_reduce"].conv.out_channels,
        "5x5": load().model.block("4c")["5x5_reduce"].conv.out_channels,
    }


def test_two_photos_stand_side_by_side_on_one_scale(client: Client, seen: Prediction) -> None:
    first, second, told = ask(client, "/compare", ESPRESSO, NET, NET, "4c", BISON)
    other = predict(load(), open_photo(BISON))
    assert [side["top"][0]["label"] for side in told["sides"]] == ["espresso", "bison"]
    highest = max(float(maps.mean(axis=0).max()) for one in (seen, other) for maps in one.branches("4c").values())
    assert told["scale"] == pytest.approx([0, highest], rel=1e-4)
    assert pixels(first).shape == pixels(second).shape == (448, 4 * 448, 3)
    alone, again, _ = ask(client, "/compare", ESPRESSO, NET, NET, "4c", None)
    assert np.array_equal(pixels(alone), pixels(again)), "without another photo, the first again"


def test_evidence_and_grad_cam_lie_over_the_photo(client: Client, seen: Prediction) -> None:
    first, second, told = ask(client, "/overlays", ESPRESSO, NET, "3b", "goldfish")
    split = evidence(load(), seen, "goldfish")
    assert told["label"] == "goldfish"
    assert told["evidence"] == pytest.approx(float(abs(split.map).max()), rel=1e-3)
    assert pixels(first).shape == pixels(second).shape == (448, 448, 3)
    assert not np.array_equal(pixels(first), pixels(second))


@pytest.mark.parametrize("kind", ["sheet", "maps", "csv", "json"])
def test_what_is_kept_is_a_file_of_its_kind(client: Client, seen: Prediction, kind: str) -> None:
    file = Path(ask(client, "/keep", ESPRESSO, kind, NET, "4c", "mean", "shared", "magma", "en"))
    assert file.name.startswith("tiny-imagenet-photo")
    if kind == "sheet":
        assert Image.open(file).width > Image.open(ESPRESSO).width
    elif kind == "maps":
        with zipfile.ZipFile(file) as archive:
            arrays = [np.load(io.BytesIO(archive.read(name))) for name in archive.namelist() if name.endswith(".npy")]
        assert any(array.shape == seen.branch("4c", "5x5").shape for array in arrays)
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
def test_what_cannot_be_done_is_told_in_a_sentence(client: Client, arguments: tuple[Any, ...], sentence: str) -> None:
    name, *rest = arguments
    with pytest.raises(AppError, match=sentence):
        ask(client, name, *rest)


def test_pictures_of_the_api_are_those_of_python(client: Client, seen: Prediction) -> None:
    *files, _ = ask(client, "/maps", ESPRESSO, NET, "5b", "mean", "branch", "cividis")
    panels = render_branches(seen, ViewOptions("5b", "mean", "branch", "cividis"))
    assert all(
        np.array_equal(pixels(file), pixels(panel.image)) for file, panel in zip(files, panels.values(), strict=True)
    )
