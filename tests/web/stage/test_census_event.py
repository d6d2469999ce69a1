"""The event `census` over HTTP, compared with the library."""

from __future__ import annotations

import numpy as np
import pytest

from inception.network.blocks import BLOCKS, BRANCHES
from inception.pretrained.pretrained import PretrainedModel
from inception.units.permutation import holm, permutation_p
from inception.units.tuning import layer_tuning
from support.stage import error_message, event_result, post_event, unpack

NET = "tiny-imagenet"


def test_census_matches_the_library(page_address: str, embedded: PretrainedModel) -> None:
    census = event_result(page_address, "census", NET)
    assert census["model"] == NET
    assert set(census["measures"]) == {"orientation", "wavelength", "size", "colour"}
    tuned = layer_tuning(embedded, "3b")
    for branch, channels in embedded.model.block("3b").slices.items():
        silent = tuned.silent[channels]
        assert census["channels"]["3b"][branch] == [len(silent), int(silent.sum())]
        actual = {measure: census["measures"][measure]["3b"]["branches"][branch] for measure in census["measures"]}
        for measure, expected in {
            "orientation": np.nanmedian(tuned.curves["orientation"].selectivity[channels]),
            "colour": np.nanmedian(tuned.curves["colour"].selectivity[channels]),
            "size": np.nanmean(tuned.curves["size"].preferred[channels]),
            "wavelength": np.nanmean(tuned.curves["wavelength"].preferred[channels]),
        }.items():
            assert actual[measure] == pytest.approx(expected, rel=0.02)


def test_p_values_match_a_test_of_the_block_tuning(page_address: str, embedded: PretrainedModel) -> None:
    tests = event_result(page_address, "census", NET)["measures"]["colour"]
    p_values = []
    for number, block in enumerate(BLOCKS):
        colour = unpack(event_result(page_address, "block_tuning", NET, block)["colour"])
        labels = np.repeat(
            np.arange(4), [len(colour[channels]) for channels in embedded.model.block(block).slices.values()]
        )
        is_tuned = colour > 0  # silent channels are sent as 0
        p_values.append(permutation_p(colour[is_tuned], labels[is_tuned], seed=number))
    for block, p in zip(BLOCKS, holm(p_values), strict=True):
        # Values are sent in single precision, where some become equal.
        assert tests[block]["p"] == pytest.approx(p, abs=0.1)
        assert tests[block]["clear"] is (tests[block]["p"] <= 0.05)
        typical = {branch: tests[block]["branches"][branch] for branch in BRANCHES}
        assert typical[tests[block]["highest"]] == max(typical.values())
        assert typical[tests[block]["lowest"]] == min(typical.values())


def test_an_unknown_network_is_refused_with_a_sentence(page_address: str) -> None:
    assert "tiny-imagenet" in error_message(post_event(page_address, "census", "vgg"))
