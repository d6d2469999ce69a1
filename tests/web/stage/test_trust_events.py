"""The events `attribution` and `trust` over HTTP, compared with the library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inception import open_photo, predict
from inception.explain.attribution_maps import attribution_map
from inception.explain.faithfulness import pixel_curves
from inception.explain.registry import ATTRIBUTIONS
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.vision.preprocessing import IMAGENET
from inception.web.stage.trust import SIDE, trust
from support.networks import randomise
from support.paths import EXAMPLES
from support.stage import error_message, event_result, post_event, subject, unpack

BISON = subject("example:bison")


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_an_attribution_map_has_the_means_of_the_librarys_pixels(
    page_address: str, embedded: PretrainedModel, method: str
) -> None:
    values = unpack(event_result(page_address, "attribution", BISON, method, "4c", None)["map"])
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    side = prediction.image.width
    quick = method == "integrated_gradients"
    attribution = attribution_map(embedded, prediction, method, int(prediction.logits.argmax()), "4c", quick=quick)
    expected = attribution.pixels(side, side)
    step = -(-side // SIDE)
    for row in range(0, values.shape[0], 7):
        for column in range(0, values.shape[1], 7):
            square = expected[row * step : (row + 1) * step, column * step : (column + 1) * step]
            assert values[row, column] == pytest.approx(square.mean(), abs=1e-3 * np.abs(expected).max())


def test_trust_matches_the_library(page_address: str, embedded: PretrainedModel) -> None:
    trust = event_result(page_address, "trust", BISON, "evidence", "4c", None)
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    expected = pixel_curves(embedded, prediction, "evidence", "4c")
    assert trust["insertion"] == pytest.approx(expected.ordered.insertion, abs=1e-3)
    assert trust["deletion"] == pytest.approx(expected.ordered.deletion, abs=1e-3)
    assert [curves["insertion_auc"] for curves in trust["random"]] == pytest.approx(
        [curves.insertion_auc for curves in expected.random], abs=1e-3
    )
    assert trust["randomised"][0]["stage"] == "head"


@pytest.mark.parametrize("event", ["attribution", "trust"])
def test_an_unknown_method_is_refused(page_address: str, event: str) -> None:
    message = error_message(post_event(page_address, event, BISON, "saliency", "4c", None))
    assert message.startswith("method is 'saliency'; it must be one of")


def test_maps_and_tests_explain_the_class_of_a_number_where_names_are_numbers(tmp_path: Path) -> None:
    labels = ("1", "2", "3")
    preprocessing = replace(IMAGENET, resize=64, crop=64, size=64)
    described = Description("batchnorm", labels, preprocessing, UNKNOWN_PROVENANCE)
    save_checkpoint(tmp_path / "digits.safetensors", randomise(InceptionV1(classes=3)).state_dict(), described)
    service = InferenceService((str(tmp_path / "digits.safetensors"),), choose_device("cpu"))
    query = service.query("digits.safetensors", EXAMPLES / "bison.jpg")
    tested = trust(service, query, "evidence", "5b", 1)
    assert (tested["class"], tested["label"]) == (1, "2")
