"""Similarity of channels, by tuning that is made alike."""

from __future__ import annotations

import pytest

from inception.units.similarity import most_similar
from inception.units.tuning import LayerTuning, layer_tuning, stimulus_grid
from support.narrow import narrow_model


@pytest.fixture(scope="module")
def tuning() -> LayerTuning:
    """Tuning of block 3a where the channels 1 and 6 are equal."""
    network = narrow_model()
    unit = network.model.block("3a")["1x1"]
    for tensor in unit.state_dict().values():
        if tensor.dim():
            tensor[6] = tensor[1]
    return layer_tuning(network, "3a", stimulus_grid(64, 3, 2, 2, 2, 2))


def test_an_equal_channel_is_the_most_similar(tuning: LayerTuning) -> None:
    found = most_similar(tuning, 1, 3)
    assert found[0][0] == 6
    assert [similarity for _, similarity in found] == sorted((one for _, one in found), reverse=True)
    assert 1 not in [channel for channel, _ in found]


def test_a_negative_count_gives_no_channels(tuning: LayerTuning) -> None:
    assert most_similar(tuning, 1, -1) == []


def test_a_channel_may_be_given_as_a_float_without_fraction(tuning: LayerTuning) -> None:
    assert most_similar(tuning, 1.0) == most_similar(tuning, 1)  # type: ignore[arg-type]
