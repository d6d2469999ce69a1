"""The event about what each branch is tuned to, over HTTP, against the library."""

from __future__ import annotations

import numpy as np
import pytest

from inception.network.blocks import BLOCKS, BRANCHES
from inception.pretrained.pretrained import PretrainedModel
from inception.units.permutation import holm, permutation_p
from inception.units.tuning import layer_tuning, stimulus_grid
from support.stage import ask, sentence, told, unpack

NET = "tiny-imagenet"


def test_a_census_is_that_of_the_library(page_address: str, embedded: PretrainedModel) -> None:
    answer = told(page_address, "census", NET)
    assert answer["model"] == NET
    assert set(answer["measures"]) == {"orientation", "wavelength", "size", "colour"}
    tuned = layer_tuning(embedded, "3b", stimulus_grid(embedded.input_size, orientations=8, wavelengths=5))
    for branch, part in embedded.model.block("3b").slices.items():
        silent = tuned.silent[part]
        assert answer["channels"]["3b"][branch] == [len(silent), int(silent.sum())]
        seen = {measure: answer["measures"][measure]["3b"]["branches"][branch] for measure in answer["measures"]}
        for measure, values in {
            "orientation": np.nanmedian(tuned.curves["orientation"].selectivity[part]),
            "colour": np.nanmedian(tuned.curves["colour"].selectivity[part]),
            "size": np.nanmean(tuned.curves["size"].preferred[part]),
            "wavelength": np.nanmean(tuned.curves["wavelength"].preferred[part]),
        }.items():
            assert seen[measure] == pytest.approx(values, rel=0.02)


def test_the_p_values_are_those_of_the_channels_that_the_page_sorts(
    page_address: str, embedded: PretrainedModel
) -> None:
    tests = told(page_address, "census", NET)["measures"]["colour"]
    p_values = []
    for number, block in enumerate(BLOCKS):
        colour = unpack(told(page_address, "block_tuning", NET, block)["colour"])
        labels = np.repeat(np.arange(4), [len(colour[part]) for part in embedded.model.block(block).slices.values()])
        known = colour > 0  # silent channels are sent as 0
        p_values.append(permutation_p(colour[known], labels[known], seed=number))
    for block, p in zip(BLOCKS, holm(p_values), strict=True):
        # Values are sent in single precision, where some become equal.
        assert tests[block]["p"] == pytest.approx(p, abs=0.1)
        assert tests[block]["clear"] is (tests[block]["p"] <= 0.05)
        typical = {branch: tests[block]["branches"][branch] for branch in BRANCHES}
        assert typical[tests[block]["highest"]] == max(typical.values())
        assert typical[tests[block]["lowest"]] == min(typical.values())


def test_an_unknown_network_is_refused_in_a_sentence(page_address: str) -> None:
    assert "tiny-imagenet" in sentence(ask(page_address, "census", "vgg"))
