"""Pictures of a block's branches, compared with the prediction's feature maps."""

from __future__ import annotations

import numpy as np
import pytest

from inception import load, open_photo, predict
from inception.errors import ChoiceError
from inception.network.blocks import BRANCHES
from inception.prediction import Prediction, statistics
from inception.render.branches import VIEWS, ViewOptions, render_branches
from inception.render.maps import LEVELS, SCALES
from support.paths import EXAMPLES


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict(load(), open_photo(EXAMPLES / "espresso.jpg"))


def test_a_block_name_selects_its_default_view(prediction: Prediction) -> None:
    by_name, by_options = render_branches(prediction, "4c"), render_branches(prediction, ViewOptions("4c"))
    assert list(by_name) == list(BRANCHES)
    for branch, panel in by_name.items():
        assert np.array_equal(np.asarray(panel.image), np.asarray(by_options[branch].image))
        assert panel.numbers == statistics(np.ascontiguousarray(prediction.branch("4c", branch)))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_decides_which_panels_share_bounds(prediction: Prediction, view: str, scale: str) -> None:
    panels = render_branches(prediction, ViewOptions("4c", view, scale))
    bounds = [panel.bounds for panel in panels.values()]
    if scale == "shared":
        assert len(set(bounds)) == 1
        assert bounds[0].high == max(panel.shown_high for panel in panels.values())  # type: ignore[union-attr]
    elif scale == "channel" and view == "channels":
        assert bounds == [None] * 4
    else:
        assert [bound.high for bound in bounds] == [panel.shown_high for panel in panels.values()]  # type: ignore[union-attr]


def test_a_mean_map_shows_the_mean_of_all_channels(prediction: Prediction) -> None:
    for branch, panel in render_branches(prediction, ViewOptions("5b", "mean", "branch")).items():
        mean = prediction.branch("5b", branch).mean(axis=0)
        cells = np.asarray(panel.image)[:: panel.image.height // len(mean), :: panel.image.width // len(mean[0])]
        assert np.array_equal(cells, np.rint(mean * ((LEVELS - 1) / mean.max())).astype(np.uint8))


def test_an_unknown_block_is_rejected(prediction: Prediction) -> None:
    with pytest.raises(ChoiceError, match="block is '9z'"):
        render_branches(prediction, "9z")
