"""Recipes: the options that give them, and what a resumed training may change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inception.training.recipe import Recipe, RecipeError


def test_the_options_give_every_number_exactly() -> None:
    recipe = Recipe(average=0.9999999, rate=0.1, minutes=20.0, sizes=((64, 1.0), (96, 1.23456789)))
    options = recipe.as_options()
    told = dict(zip(options[::2], options[1::2], strict=True))
    assert told == {"--average": "0.9999999", "--rate": "0.1", "--minutes": "20", "--sizes": "64:1,96:1.23456789"}


def test_a_training_may_go_on_in_more_parts_but_not_with_another_batch() -> None:
    Recipe().check_continued_by(replace(Recipe(), accumulate=4, epochs=40))
    with pytest.raises(RecipeError, match="has --batch 128, not --batch 64"):
        Recipe().check_continued_by(replace(Recipe(), batch=64))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "scratch"}, "has --from tiny-imagenet, not --from scratch;"),
        ({"flip": False}, "has --flip, not --no-flip;"),
        ({"aux": True}, "has no --aux, not --aux;"),
        ({"teacher": "googlenet"}, "has no --teacher, not --teacher googlenet;"),
        ({"sizes": ((96, 1.0),)}, "has --sizes 128:1, not --sizes 96:1;"),
    ],
)
def test_what_a_resumed_training_cannot_change_is_told_as_options(changes: dict, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        Recipe().check_continued_by(replace(Recipe(), **changes))
    assert said in str(refused.value)
