"""Numeric options: values out of bounds are rejected with a sentence that states the bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from inception.cli import numbers
from inception.cli.main import main
from inception.cli.numbers import real, whole
from inception.network import blocks, inception_v1
from inception.pretrained import description
from inception.runtime.wording import counted
from inception.training.recipe import Recipe, RecipeError
from inception.vision import preprocessing
from support.entry_points import run_and_measure

TRAIN = ["train", "--data", "d", "--out", "o"]
EXPLAIN = ["explain", "x.jpg", "--block", "4c"]
RAY = ["serve", "--backend", "ray"]
HUGE = "1" + 5000 * "0"  # more digits than Python reads
WHOLE = ["x", "", "1.5", "nan", "-1", "1e3", "0x10", HUGE, str(10**12)]
REAL = ["x", "", "nan", "inf", "-inf", "-1", "1e400", HUGE]


def error_line(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line of stderr of a command that fails with status 2."""
    status = main(arguments)
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    return line


OPTIONS = pytest.mark.parametrize(
    ("command", "option", "invalid", "allowed"),
    [
        (["predict", "x.jpg"], "--top", [*WHOLE, "0"], "a whole number from 1 to 100000"),
        (["predict", "x.jpg"], "--batch", [*WHOLE, "0"], "a whole number from 1 to 1024"),
        (["predict", "x.jpg"], "--workers", [*WHOLE, "0"], "a whole number from 1 to 256"),
        (["evaluate", "tiny-imagenet", "--data", "d"], "--limit", [*WHOLE, "0"], "a whole number from 1 to 1000000000"),
        (["evaluate", "tiny-imagenet", "--data", "d"], "--outside", ["x" * 201], "words of at most 200 characters"),
        (["census", "tiny-imagenet"], "--limit", [*WHOLE, "0", "1"], "a whole number from 2 to 10000"),
        (["summary"], "--classes", [*WHOLE, "0"], "a whole number from 1 to 100000"),
        (["summary"], "--size", [*WHOLE, "0", "31"], "a whole number from 32 to 2048"),
        (EXPLAIN, "--channels", [*WHOLE, "3,", "3,x", ",".join(["1"] * 1025)], "of the form 3,17,42"),
        (EXPLAIN, "--cell", [*WHOLE, "3x3:1:2", "3x3:1:2:3:4", f"3x3:{HUGE}:0:0", "3x3:1:2:-1"], "3x3:17:4:5"),
        (EXPLAIN, "--class", ["x" * 201, HUGE], "a class's name, of at most 200 characters, or its number"),
        (TRAIN, "--epochs", [*WHOLE, "0"], "a whole number from 1 to 1000000"),
        (TRAIN, "--image-size", [*WHOLE, "0", "31"], "a whole number from 32 to 2048"),
        (TRAIN, "--batch", [*WHOLE, "0"], "a whole number from 1 to 100000"),
        (TRAIN, "--accumulate", [*WHOLE, "0"], "a whole number from 1 to 100000"),
        (TRAIN, "--workers", WHOLE, "a whole number from 0 to 256"),
        (TRAIN, "--seed", ["x", "", "1.5", "-1", HUGE, str(2**63)], "a whole number from 0 to 9223372036854775807"),
        (TRAIN, "--val-split", [*REAL, "0", "1"], "a number above 0 and below 1"),
        (TRAIN, "--save-every", REAL, "a number at least 0 and at most 31536000"),
        (TRAIN, "--minutes", [*REAL, "0"], "a number above 0 and at most 525600"),
        (TRAIN, "--rate", [*REAL, "0"], "a number above 0 and at most 100"),
        (TRAIN, "--warm-up", [*REAL, "1"], "a number at least 0 and below 1"),
        (TRAIN, "--weight-decay", REAL, "a number at least 0 and at most 1"),
        (TRAIN, "--dropout", [*REAL, "1"], "a number at least 0 and below 1"),
        (TRAIN, "--smoothing", [*REAL, "1"], "a number at least 0 and below 1"),
        (TRAIN, "--smallest-crop", [*REAL, "0", "1.1"], "a number above 0 and at most 1"),
        (TRAIN, "--colour", REAL, "a number at least 0 and at most 1"),
        (TRAIN, "--average", [*REAL, "1"], "a number at least 0 and below 1"),
        (TRAIN, "--held-out", [*REAL, "0", "1"], "a number above 0 and below 1"),
        (
            TRAIN,
            "--sizes",
            ["", "x", "64:", "64:x", "64:nan", "64:inf", "64:0", "64:-1", "64:1:2", "31", "4096", "64,,64", "64," * 99],
            "of the form 64:2,96:1,128:1",
        ),
        (["serve"], "--keep-minutes", [*REAL, "0", "1e9"], "a number above 0 and at most 525600"),
        (RAY, "--replica-cpus", [*REAL, "0"], "a number above 0 and at most 1024"),
        (RAY, "--replica-gpus", REAL, "a number at least 0 and at most 64"),
        (RAY, "--replicas", ["0", "x", "0-0", "0-2", "4-2", "1-", HUGE], "a number of replicas from 1 to 9999"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("--") else "",
)


@OPTIONS
def test_errors_quote_the_value_and_state_the_allowed_ones(
    command: list[str], option: str, invalid: list[str], allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in invalid:
        if (option, value) == ("--sizes", "64:"):
            continue  # valid: a missing share is 1
        message = error_line([*command, f"{option}={value}"], capsys)
        assert allowed in message, value
        quoted = repr(value) if len(value) < 70 else repr(value)[:70]
        assert quoted in message
        assert len(message) < 400
        assert "_" not in message, "no identifier of the code"


@OPTIONS
def test_help_states_the_bounds(
    command: list[str], option: str, invalid: list[str], allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command[0], "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    (about,) = re.findall(rf"{option} [A-Z].*?(?= --[a-z-]+ [A-Z]|$)", text)
    kind = re.match("a (?:whole )?number (?=from|at|above)(.*)", allowed)
    bounds = kind[1] if kind else {"--replicas": "1-8", "--sizes": "At most 16 sides: from 32 to 2048"}.get(option)
    assert (bounds or "at most") in about or (option == "--cell" and "Numbers from 0 to 9999" in about)


def test_allowed_values_are_accepted() -> None:
    assert [whole(1, 10)(text) for text in ("1", "10", " 7 ")] == [1, 10, 7]
    assert [real(0, 1)(text) for text in ("0", "1", "0.5", "1e-9")] == [0, 1, 0.5, 1e-9]
    assert real(0, 1, above=True)("1") == 1
    assert real(0, 1, below=True)("0") == 0


def test_bounds_match_those_of_the_library() -> None:
    assert numbers.MIN_SIDE == inception_v1.MIN_SIDE
    assert numbers.MAX_SIDE == preprocessing.MAX_SIDE
    assert numbers.MAX_CLASSES == description.MAX_CLASSES
    assert max(sum((w.n1x1, w.n3x3[1], w.n5x5[1], w.pool_proj)) for w in blocks.BLOCKS.values()) == numbers.MAX_CHANNELS


@pytest.mark.parametrize("name", ["rate", "minutes", "weight_decay", "colour", "held_out", "smallest_crop"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_recipe_has_finite_numbers(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"{name} is {value}; it must be a finite number"):
        Recipe(**{name: value})
    with pytest.raises(RecipeError, match="must be a finite number"):
        Recipe(sizes=((64, value),))


def test_a_summary_allocates_no_weights() -> None:
    """The weights of the largest network would take 418 MB."""
    _, small = run_and_measure("summary", "--classes", "2")
    run, large = run_and_measure("summary", "--classes", "100000", "--size", "2048")
    assert large - small < 100
    assert "109,537,072 parameters" in run.stdout


def test_counts_are_singular_or_plural() -> None:
    assert [counted(count, "photo") for count in (0, 1, 2, 10_000)] == [
        "0 photos",
        "1 photo",
        "2 photos",
        "10000 photos",
    ]
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]
    assert [counted(count, "GPU") for count in (0.0, 0.25, 1.0, 2.0)] == ["0 GPUs", "0.25 GPUs", "1 GPU", "2 GPUs"]
