"""The page's "why?" without a browser: what each event brings, and what is kept for the next one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES

from inception import load
from inception.device import choose_device
from inception.explain.votes import votes
from inception.model import InceptionV1
from inception.page.runner import Look
from inception.page.studio import Studio
from inception.page.why import Cell, Question, Why
from inception.pictures import Picture
from inception.render import SMALL_TILE, mosaic_cell
from inception.weights import Description, save


@pytest.fixture(scope="module")
def why() -> Why:
    return Why(Studio(("tiny-imagenet",), choose_device("cpu")))


@pytest.fixture(scope="module")
def look(why: Why) -> Look:
    return why.studio.look("tiny-imagenet", str(EXAMPLES / "bison.jpg"))


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
def test_every_explanation_is_there_in_both_languages(why: Why, look: Look, language: str) -> None:
    for block in ("3a", "5b"):
        question = Question(Picture(block), cell=why.brightest(look, block, "3x3"))
        shown = {name: why.tab(name, look, question, language) for name in why.tabs}
        assert list(shown) == ["votes", "network", "evidence", "cam", "cell", "bottleneck"]
        assert all(len(html) > 500 and "il-alarm" not in html for html in shown.values()), shown.keys()
        assert len(set(shown.values())) == len(shown)


def test_without_a_photo_there_is_nothing_to_explain(why: Why) -> None:
    assert "Choose a photo" in why.tab("votes", None, Question(Picture()), "en")
    assert why.switched(None, Question(Picture()), "en") == ""
    assert why.brightest(None, "3a", "1x1") is None
    assert why.picked(None, Picture(), "1x1", 0.5, 0.5) is None


def test_the_votes_shown_are_those_of_python(why: Why, look: Look) -> None:
    shown = why.tab("votes", look, Question(Picture("4c"), wanted=7), "en")
    told = votes(why.studio.pretrained(look.model), why.studio.observation(look), "4c", 7)
    assert told.label.split(",")[0] in shown
    assert f"{told.logit:.2f}".lstrip("-") in shown
    for vote in told.votes.values():
        assert f"{abs(vote):.2f}" in shown


def test_what_has_been_run_is_not_run_again(look: Look, runs: list[str]) -> None:
    why = Why(Studio(("tiny-imagenet",), choose_device("cpu")))
    question = Question(Picture("4c"), cell=Cell("3x3", 5, 2, 2))
    for name in why.tabs:
        why.tab(name, look, question, "en")
    why.switched(look, question, "en")
    assert runs.count("stem") == 1, "the photo itself, once"
    before = len(runs)
    for name in why.tabs:
        assert why.tab(name, look, question, "zh")
    for wanted in (3, 4, 5):
        # The sixteen and the 36 runs have the logits of all classes.
        why.tab("votes", look, replace(question, wanted=wanted), "en")
        why.tab("network", look, replace(question, wanted=wanted), "en")
    why.switched(look, question, "zh")
    assert len(runs) == before


def test_a_click_finds_the_cell_in_every_view(why: Why, look: Look) -> None:
    maps = why.studio.observation(look).branch("4c", "3x3")
    _, height, width = maps.shape
    across, down = 0.3, 0.8
    channels = why.picked(look, Picture("4c", "channels"), "3x3", across, down)
    assert channels == Cell("3x3", *(mosaic_cell(maps.shape, across, down, tile=SMALL_TILE) or ()))
    for view in ("mean", "photo"):
        cell = why.picked(look, Picture("4c", view), "3x3", across, down)
        assert cell is not None
        assert (cell.row, cell.column) == (int(down * height), int(across * width))
        assert maps[cell.channel, cell.row, cell.column] == maps[:, cell.row, cell.column].max()
    edge = why.picked(look, Picture("4c", "mean"), "3x3", 1.0, 1.0)
    assert edge is not None
    assert (edge.row, edge.column) == (height - 1, width - 1)


def test_the_first_cell_shown_is_the_brightest(why: Why, look: Look) -> None:
    maps = why.studio.observation(look).branch("3b", "pool")
    cell = why.brightest(look, "3b", "pool")
    assert cell is not None
    assert maps[cell.channel, cell.row, cell.column] == maps.max()


def test_a_channel_is_counted_through_the_whole_block(why: Why, look: Look) -> None:
    observation = why.studio.observation(look)
    number = why.channel_in_block(look, "4c", Cell("5x5", 3, 0, 0))
    assert np.array_equal(observation.block("4c")[number], observation.branch("4c", "5x5")[3])


def test_a_switched_off_branch_changes_the_answer(why: Why, look: Look) -> None:
    on = why.switched(look, Question(Picture("4c")), "en")
    off = why.switched(look, Question(Picture("4c"), branches_off=("1x1", "3x3")), "en")
    one = why.switched(look, Question(Picture("4c"), channels_off=(130,)), "en")
    assert len({on, off, one}) == 3
    assert "2" in one
    assert "3×3" in one, "channel 130 of the block is channel 2 of the 3x3 branch"


def test_what_cannot_be_explained_is_said_in_a_sentence(why: Why, look: Look) -> None:
    outside = Question(Picture("5b"), cell=Cell("1x1", 0, 99, 0))
    assert "There is no cell at row 99" in why.tab("cell", look, outside, "en")
    assert "99" in why.tab("cell", look, outside, "zh")
    assert "There is no cell" not in why.tab("cell", look, outside, "zh")
    assert "whole numbers" in why.tab("cell", look, Question(Picture("5b")), "en")
    assert "There is no class number 5000" in why.tab("votes", look, Question(Picture("5b"), wanted=5000), "en")


def test_weights_without_means_say_that_off_can_only_be_zero(tmp_path: Path) -> None:
    tiny = load()
    description = Description("batchnorm", tiny.labels, tiny.preprocessing, tiny.provenance)
    save(tmp_path / "bare.safetensors", tiny.model.state_dict(), description)
    why = Why(Studio((str(tmp_path / "bare.safetensors"),), choose_device("cpu")))
    look = why.studio.look("bare.safetensors", str(EXAMPLES / "bison.jpg"))
    for told in (
        why.tab("votes", look, Question(Picture("4c"), off="mean"), "en"),
        why.switched(look, Question(Picture("4c"), off="mean", branches_off=("1x1",)), "en"),
    ):
        assert "please choose zero" in told
