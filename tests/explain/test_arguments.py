"""Each argument of an explanation is checked before any work is done, and what it was is quoted in short."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inception import open_photo, predict
from inception.errors import ChoiceError, UserError, quoted
from inception.explain.ablation import ablate
from inception.explain.attribution import grad_cams
from inception.explain.convolution import trace_convolution
from inception.explain.masking import class_index
from inception.explain.receptive_field import cell_square, effective_field
from inception.explain.registry import CLASS_LETTERS
from inception.explain.shapley import branch_votes
from inception.network.blocks import BLOCKS
from inception.prediction import Prediction
from inception.pretrained.pretrained import PretrainedModel
from support.long_names import HUGE
from support.paths import EXAMPLES


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(EXAMPLES / "espresso.jpg"))


# ---------------------------------------------------------------- quotes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("3a", "'3a'"),
        (None, "None"),
        (float("nan"), "nan"),
        ("x" * 78, f"'{'x' * 78}'"),
        ("x" * 79, f"'{'x' * 78}…"),
        ("\x1b[2J\n\ud800", r"'\x1b[2J\n\ud800'"),
        (10**5000, "<int>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_quote_is_repr_and_at_most_80_characters(value: object, text: str) -> None:
    assert quoted(value) == text


def test_to_quote_much_costs_little() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep, deep]
    wide = {str(number): [number] * 10 for number in range(10_000)}
    for value in (HUGE, [HUGE] * 1000, deep, wide, {"a": HUGE}):
        tracemalloc.start()
        try:
            told = quoted(value)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(told) <= 80
        assert peak < 2**20
    assert len(str(ChoiceError("block", HUGE, tuple(BLOCKS)))) < 150


# ---------------------------------------------------------------- explanations


def test_a_class_name_of_15_megabytes_is_refused_without_being_compared(
    embedded: PretrainedModel, seen: Prediction
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"has no class 'goldfish.*…; it has 200 classes, among them") as refused:
            class_index(embedded, seen, HUGE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(refused.value)) < 300
    assert peak < 2**20


def test_a_long_name_that_is_a_whole_label_is_still_found(embedded: PretrainedModel, seen: Prediction) -> None:
    longest = "x" * (CLASS_LETTERS + 1)
    named = type("Named", (), {"labels": (*embedded.labels, longest)})()
    assert class_index(named, seen, longest) == len(embedded.labels)


NO_NUMBERS = ["3", None, True, 1.5, float("nan"), float("inf"), -1, 10**30, [1], {}, 10**5000]


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=lambda value: str(type(value).__name__))
@pytest.mark.parametrize(
    "ask",
    [
        lambda net, seen, number: trace_convolution(net, seen, "4c", "3x3", number, 0, 0),
        lambda net, seen, number: trace_convolution(net, seen, "4c", "3x3", 0, number, 0),
        lambda net, seen, number: cell_square(net.model, "4c", "3x3", 0, number),
        lambda net, seen, number: effective_field(net, seen, "4c", "3x3", number, 0),
        lambda net, seen, number: ablate(net, seen, "4c", [], [0, number]),
    ],
    ids=["channel", "row", "column", "field", "channels"],
)
def test_what_is_no_number_of_a_cell_or_channel_is_refused_in_a_sentence(
    embedded: PretrainedModel, seen: Prediction, ask: Callable[..., Any], wrong: Any
) -> None:
    with pytest.raises(UserError, match=r"^There is no (channel|cell at row) .*(channels 0 to|rows and) ") as refused:
        ask(embedded, seen, wrong)
    assert len(str(refused.value)) < 400


def test_numpys_integers_are_numbers_too(embedded: PretrainedModel, seen: Prediction) -> None:
    one = np.int64(1)
    assert (
        trace_convolution(embedded, seen, "4c", "3x3", one, one, one).sum
        == trace_convolution(embedded, seen, "4c", "3x3", 1, 1, 1).sum
    )
    assert class_index(embedded, seen, one) == 1
    with pytest.raises(UserError, match=r"no class number 500; "):
        class_index(embedded, seen, np.int64(500))


@pytest.mark.parametrize("wrong", [["3a"], {}, 3, None, float("nan"), "9z", HUGE], ids=lambda value: str(value)[:6])
@pytest.mark.parametrize(
    "ask",
    [
        lambda net, seen, value: branch_votes(net, seen, value),
        lambda net, seen, value: branch_votes(net, seen, "4c", ablation=value),
        lambda net, seen, value: grad_cams(net, seen, value),
        lambda net, seen, value: ablate(net, seen, "4c", [value]),
        lambda net, seen, value: trace_convolution(net, seen, "4c", value, 0, 0, 0),
        lambda net, seen, value: cell_square(net.model, "4c", value, 0, 0),
        lambda net, seen, value: seen.branch("4c", value),
        lambda net, seen, value: seen.block(value),
    ],
    ids=["block", "off", "cam", "branches", "layers", "square", "branch", "map"],
)
def test_what_is_no_choice_is_refused_in_a_sentence(
    embedded: PretrainedModel, seen: Prediction, ask: Callable[..., Any], wrong: Any
) -> None:
    with pytest.raises(ChoiceError, match="it must be one of: ") as refused:
        ask(embedded, seen, wrong)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("wrong", [True, 1.5, float("nan"), ["goldfish"], {}], ids=str)
def test_a_class_is_a_name_or_a_number(embedded: PretrainedModel, seen: Prediction, wrong: Any) -> None:
    with pytest.raises(UserError, match=r"This network has no class .*; it has 200 classes, among them"):
        class_index(embedded, seen, wrong)
