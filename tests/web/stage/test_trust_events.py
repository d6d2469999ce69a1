"""The events that test an attribution map, over HTTP, against the library."""

from __future__ import annotations

import numpy as np
import pytest

from inception import open_photo, predict
from inception.explain.attribution_maps import attribution_map
from inception.explain.faithfulness import pixel_curves
from inception.explain.registry import ATTRIBUTIONS
from inception.pretrained.pretrained import PretrainedModel
from inception.web.stage.trust import SIDE
from support.paths import EXAMPLES
from support.stage import ask, sentence, subject, told, unpack

BISON = subject("example:bison")


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_a_map_is_the_mean_of_the_librarys(page_address: str, embedded: PretrainedModel, method: str) -> None:
    values = unpack(told(page_address, "attribution", BISON, method, "4c", None)["map"])
    seen = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    side = seen.image.width
    quick = method == "integrated_gradients"
    found = attribution_map(embedded, seen, method, int(seen.logits.argmax()), "4c", quick=quick)
    known = found.pixels(side, side)
    step = -(-side // SIDE)
    for row in range(0, values.shape[0], 7):
        for column in range(0, values.shape[1], 7):
            square = known[row * step : (row + 1) * step, column * step : (column + 1) * step]
            assert values[row, column] == pytest.approx(square.mean(), abs=1e-3 * np.abs(known).max())


def test_the_tests_of_a_map_are_the_librarys(page_address: str, embedded: PretrainedModel) -> None:
    answer = told(page_address, "trust", BISON, "evidence", "4c", None)
    seen = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    known = pixel_curves(embedded, seen, "evidence", "4c")
    assert answer["insertion"] == pytest.approx(known.ordered.insertion, abs=1e-3)
    assert answer["deletion"] == pytest.approx(known.ordered.deletion, abs=1e-3)
    assert [one["insertion_auc"] for one in answer["random"]] == pytest.approx(
        [one.insertion_auc for one in known.random], abs=1e-3
    )
    assert answer["randomised"][0]["stage"] == "head"


@pytest.mark.parametrize("event", ["attribution", "trust"])
def test_another_method_is_refused(page_address: str, event: str) -> None:
    words = sentence(ask(page_address, event, BISON, "saliency", "4c", None))
    assert words.startswith("method is 'saliency'; it must be one of")
