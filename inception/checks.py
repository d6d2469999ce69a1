"""Checks of single arguments: of the right type and within bounds, or a `UserError` that says what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TypeGuard

from .errors import ChoiceError, UserError, quoted


def choice(what: str, value: object, allowed: Sequence[str]) -> str:
    """One of the texts in `allowed`; `what` is the argument's name.

    Raises:
        ChoiceError: if it is anything else, whatever its type.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ChoiceError(what, value, allowed)
    return value


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer (Python's or NumPy's) and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_integral(value: object) -> TypeGuard[int | float]:
    """Whether a value is a whole number, be it an integer or a float like 3.0."""
    return is_whole(value) or (isinstance(value, float) and value.is_integer())


def spelled(value: object) -> str:
    """`quoted`, with NumPy's integers spelled like Python's."""
    return quoted(int(value) if is_whole(value) else value)


def whole(what: str, value: object, least: int, most: int) -> int:
    """A whole number from `least` to `most`; 3.0 is one too. `what` is the argument's name.

    Raises:
        UserError: if it is anything else, whatever its type.
    """
    if not is_integral(value) or not least <= value <= most:
        raise UserError(
            "number",
            "{what} is {value}; it must be a whole number from {least} to {most}.",
            what=what,
            value=spelled(value),
            least=least,
            most=most,
        )
    return int(value)
