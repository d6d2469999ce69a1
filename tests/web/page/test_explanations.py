"""The page's "why?" without a browser: what each event brings, and what is kept for the next one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inception import load
from inception.explain.shapley import branch_votes
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import Description
from inception.render.branches import ViewOptions
from inception.render.maps import SMALL_TILE, mosaic_cell
from inception.runtime.device import choose_device
from inception.service.query import Query
from inception.service.service import InferenceService
from inception.web.explanations import Cell, Question, Why
from support.paths import EXAMPLES


@pytest.fixture(scope="module")
def why() -> Why:
    return Why(InferenceService(("tiny-imagenet",), choose_device("cpu")))


@pytest.fixture(scope="module")
def query(why: Why) -> Query:
    return why.service.query("tiny-imagenet", str(EXAMPLES / "bison.jpg"))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages at which the network is started while the test runs."""
    started: list[str] = []
    trace = InceptionV1.trace

    def noted(self: InceptionV1, x: torch.Tensor, start: str = "stem") -> object:
        if not x.is_meta:  # a plan that is only counted is no run
            started.append(start)
        return trace(self, x, start=start)

    monkeypatch.setattr(InceptionV1, "trace", noted)
    return started


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_explanation_is_there_in_both_languages(why: Why, query: Query, language: str) -> None:
    for block in ("3a", "5b"):
        question = Question(ViewOptions(block), cell=why.brightest(query, block, "3x3"))
        shown = {name: why.tab(name, query, question, language) for name in why.tabs}
        assert list(shown) == ["votes", "network", "evidence", "cam", "cell", "bottleneck"]
        assert all(len(html) > 500 and "il-alarm" not in html for html in shown.values()), shown.keys()
        assert len(set(shown.values())) == len(shown)


def test_without_a_photo_there_is_nothing_to_explain(why: Why) -> None:
    assert "Choose a photo" in why.tab("votes", None, Question(ViewOptions()), "en")
    assert why.switched(None, Question(ViewOptions()), "en") == ""
    assert why.brightest(None, "3a", "1x1") is None
    assert why.picked(None, ViewOptions(), "1x1", 0.5, 0.5) is None


def test_the_votes_shown_are_those_of_python(why: Why, query: Query) -> None:
    shown = why.tab("votes", query, Question(ViewOptions("4c"), wanted=7), "en")
    told = branch_votes(why.service.pretrained(query.model), why.service.prediction(query), "4c", 7)
    assert told.label.split(",")[0] in shown
    assert f"{told.logit:.2f}".lstrip("-") in shown
    for vote in told.votes.values():
        assert f"{abs(vote):.2f}" in shown


def test_what_has_been_run_is_not_run_again(query: Query, runs: list[str]) -> None:
    why = Why(InferenceService(("tiny-imagenet",), choose_device("cpu")))
    question = Question(ViewOptions("4c"), cell=Cell("3x3", 5, 2, 2))
    for name in why.tabs:
        why.tab(name, query, question, "en")
    why.switched(query, question, "en")
    assert runs.count("stem") == 1, "the photo itself, once"
    before = len(runs)
    for name in why.tabs:
        assert why.tab(name, query, question, "zh")
    for wanted in (3, 4, 5):
        # The sixteen and the 36 runs have the logits of all classes.
        why.tab("votes", query, replace(question, wanted=wanted), "en")
        why.tab("network", query, replace(question, wanted=wanted), "en")
    why.switched(query, question, "zh")
    assert len(runs) == before


def test_a_click_finds_the_cell_in_every_view(why: Why, query: Query) -> None:
    maps = why.service.prediction(query).branch("4c", "3x3")
    _, height, width = maps.shape
    across, down = 0.3, 0.8
    channels = why.picked(query, ViewOptions("4c", "channels"), "3x3", across, down)
    assert channels == Cell("3x3", *(mosaic_cell(maps.shape, across, down, tile=SMALL_TILE) or ()))
    for view in ("mean", "photo"):
        cell = why.picked(query, ViewOptions("4c", view), "3x3", across, down)
        assert cell is not None
        assert (cell.row, cell.column) == (int(down * height), int(across * width))
        assert maps[cell.channel, cell.row, cell.column] == maps[:, cell.row, cell.column].max()
    edge = why.picked(query, ViewOptions("4c", "mean"), "3x3", 1.0, 1.0)
    assert edge is not None
    assert (edge.row, edge.column) == (height - 1, width - 1)


def test_the_first_cell_shown_is_the_brightest(why: Why, query: Query) -> None:
    maps = why.service.prediction(query).branch("3b", "pool")
    cell = why.brightest(query, "3b", "pool")
    assert cell is not None
    assert maps[cell.channel, cell.row, cell.column] == maps.max()


def test_a_channel_is_counted_through_the_whole_block(why: Why, query: Query) -> None:
    prediction = why.service.prediction(query)
    number = why.channel_in_block(query, "4c", Cell("5x5", 3, 0, 0))
    assert np.array_equal(prediction.block("4c")[number], prediction.branch("4c", "5x5")[3])


def test_a_switched_off_branch_changes_the_answer(why: Why, query: Query) -> None:
    on = why.switched(query, Question(ViewOptions("4c")), "en")
    off = why.switched(query, Question(ViewOptions("4c"), branches_off=("1x1", "3x3")), "en")
    one = why.switched(query, Question(ViewOptions("4c"), channels_off=(130,)), "en")
    assert len({on, off, one}) == 3
    assert "2" in one
    assert "3×3" in one, "channel 130 of the block is channel 2 of the 3x3 branch"


def test_what_cannot_be_explained_is_said_in_a_sentence(why: Why, query: Query) -> None:
    outside = Question(ViewOptions("5b"), cell=Cell("1x1", 0, 99, 0))
    assert "There is no cell at row 99" in why.tab("cell", query, outside, "en")
    assert "99" in why.tab("cell", query, outside, "zh")
    assert "There is no cell" not in why.tab("cell", query, outside, "zh")
    assert "whole numbers" in why.tab("cell", query, Question(ViewOptions("5b")), "en")
    assert "There is no class number 5000" in why.tab("votes", query, Question(ViewOptions("5b"), wanted=5000), "en")


def test_weights_without_means_say_that_off_can_only_be_zero(tmp_path: Path) -> None:
    tiny = load()
    description = Description("batchnorm", tiny.labels, tiny.preprocessing, tiny.provenance)
    save_checkpoint(tmp_path / "bare.safetensors", tiny.model.state_dict(), description)
    why = Why(InferenceService((str(tmp_path / "bare.safetensors"),), choose_device("cpu")))
    query = why.service.query("bare.safetensors", str(EXAMPLES / "bison.jpg"))
    for told in (
        why.tab("votes", query, Question(ViewOptions("4c"), off="mean"), "en"),
        why.switched(query, Question(ViewOptions("4c"), off="mean", branches_off=("1x1",)), "en"),
    ):
        assert "please choose zero" in told
