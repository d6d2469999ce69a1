"""Argument checks: return the value, or raise a `UserError` that says what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TypeGuard

from .errors import ChoiceError, UserError, quoted


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return `value` if it is one of the strings in `allowed`; `name` is the argument's name.

    Raises:
        ChoiceError: if it is not, whatever its type.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ChoiceError(name, value, allowed)
    return value


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether `value` is an integer (Python's or NumPy's) and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_integral(value: object) -> TypeGuard[int | float]:
    """Return whether `value` is an integer, or a float without a fraction such as 3.0."""
    return is_whole(value) or (isinstance(value, float) and value.is_integer())


def spelled(value: object) -> str:
    """Return `quoted(value)`, with NumPy's integers written as Python's."""
    return quoted(int(value) if is_whole(value) else value)


def whole(name: str, value: object, minimum: int, maximum: int) -> int:
    """Return `value` as an int if it is a whole number from `minimum` to `maximum`; 3.0 counts as one.

    Raises:
        UserError: if it is not, whatever its type.
    """
    if not is_integral(value) or not minimum <= value <= maximum:
        raise UserError(
            "number",
            "{what} is {value}; it must be a whole number from {least} to {most}.",
            what=name,
            value=spelled(value),
            least=minimum,
            most=maximum,
        )
    return int(value)
