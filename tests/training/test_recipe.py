"""Recipes: conversion to options, and the changes that a resumed training allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inception.training.recipe import Recipe, RecipeError


def test_options_preserve_every_number_exactly() -> None:
    recipe = Recipe(average=0.9999999, rate=0.1, minutes=20.0, sizes=((64, 1.0), (96, 1.23456789)))
    options = recipe.as_options()
    values = dict(zip(options[::2], options[1::2], strict=True))
    assert values == {"--average": "0.9999999", "--rate": "0.1", "--minutes": "20", "--sizes": "64:1,96:1.23456789"}


def test_options_give_the_minutes_of_a_training_that_was_begun_with_epochs() -> None:
    assert Recipe(epochs=3, minutes=20.0).as_options() == ["--minutes", "20"]


def test_resuming_allows_another_accumulation_but_not_another_batch_size() -> None:
    Recipe().check_continued_by(replace(Recipe(), accumulate=4, epochs=40))
    with pytest.raises(RecipeError, match="has --batch 128, not --batch 64"):
        Recipe().check_continued_by(replace(Recipe(), batch=64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "scratch"}, "has --from tiny-imagenet, not --from scratch;"),
        ({"flip": False}, "has --flip, not --no-flip;"),
        ({"aux": True}, "has no --aux, not --aux;"),
        ({"teacher": "googlenet"}, "has no --teacher, not --teacher googlenet;"),
        ({"sizes": ((96, 1.0),)}, "has --sizes 128:1, not --sizes 96:1;"),
    ],
)
def test_changes_that_resuming_forbids_are_reported_as_options(changes: dict, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe().check_continued_by(replace(Recipe(), **changes))
    assert message in str(error.value)
