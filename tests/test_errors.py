"""Values quoted in error sentences: short, on one line, and made without reading all of a large value."""

from __future__ import annotations

from typing import Any

import pytest

from inception.errors import QUOTED_CHARACTERS, ChoiceError, quoted


@pytest.mark.parametrize(
    "value", ["3a", "照片", "it's", "", 7, -0.5, None, True, ["3x3", "pool"], {"a": [1, 2]}, float("nan")]
)
def test_short_value_is_quoted_as_its_repr(value: object) -> None:
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
def test_long_value_is_cut(value: object) -> None:
    text = quoted(value)
    assert len(text) <= QUOTED_CHARACTERS
    assert text.isprintable()
    assert len(text) == QUOTED_CHARACTERS or text[-1] in "]})>'"
    assert text.encode()  # raises if a lone surrogate is left


def test_cut_string_ends_in_an_ellipsis() -> None:
    assert quoted("x" * 100) == "'" + "x" * 78 + "…"
    assert quoted("x" * 78) == repr("x" * 78), "80 characters with the quotes"


def test_large_value_is_not_read_completely() -> None:
    class Counted(list[Any]):
        read = 0

        def __iter__(self) -> Any:
            for item in super().__iter__():
                self.read += 1
                yield item

    Counted.__name__ = "list"  # `reprlib` dispatches on the name of the type
    value = Counted(range(100_000))
    quoted(value)
    assert value.read < 100


def test_object_with_a_failing_repr_is_named_by_its_type() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("/srv/secret")

    assert "Broken" in quoted(Broken())
    assert "secret" not in quoted(Broken())
    assert quoted(10**5000) == "<int>"


def test_choice_error_shortens_the_rejected_value() -> None:
    message = str(ChoiceError("block", "9" * 10_000_000, ("3a", "3b")))
    assert len(message) < 200
    assert message.endswith("it must be one of: 3a, 3b.")
