"""What an error sentence quotes of a value is short, one line, and made without reading all of the value."""

from __future__ import annotations

from typing import Any

import pytest

from inception.errors import QUOTED_CHARACTERS, ChoiceError, quoted


@pytest.mark.parametrize(
    "value", ["3a", "照片", "it's", "", 7, -0.5, None, True, ["3x3", "pool"], {"a": [1, 2]}, float("nan")]
)
def test_a_short_value_is_quoted_as_python_writes_it(value: object) -> None:
    assert quoted(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        "\x1b[2J" * 50,
        "\ud800" * 50,
        "'\"" * 100,
        ["x" * 1000] * 1000,
        [[[[[[["deep"]]]]]]] * 20,
        {str(key): key for key in range(1000)},
        10**4000,
        10**5000,
        b"\x00" * 1000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_long_value_is_cut(value: object) -> None:
    told = quoted(value)
    assert len(told) <= QUOTED_CHARACTERS
    assert told.isprintable()
    assert len(told) == QUOTED_CHARACTERS or told[-1] in "]})>'"
    assert told.encode()  # also what cannot be written as UTF-8


def test_where_a_string_was_cut_can_be_seen() -> None:
    assert quoted("x" * 100) == "'" + "x" * 78 + "…"
    assert quoted("x" * 78) == repr("x" * 78), "80 characters with its quotes"


def test_a_value_is_not_read_to_its_end() -> None:
    class Counted(list[Any]):
        read = 0

        def __iter__(self) -> Any:
            for item in super().__iter__():
                self.read += 1
                yield item

    Counted.__name__ = "list"  # `reprlib` goes by the name of the type
    value = Counted(range(100_000))
    quoted(value)
    assert value.read < 100


def test_an_object_that_cannot_be_written_is_named_by_its_type() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("/srv/secret")

    assert "Broken" in quoted(Broken())
    assert "secret" not in quoted(Broken())
    assert quoted(10**5000) == "<int>"


def test_a_choice_quotes_little_of_what_was_chosen() -> None:
    said = str(ChoiceError("block", "9" * 10_000_000, ("3a", "3b")))
    assert len(said) < 200
    assert said.endswith("it must be one of: 3a, 3b.")
