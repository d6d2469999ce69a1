"""Numbers on the command line: each has bounds, and an error says what was given and what is allowed."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

from ..errors import quoted

# As in the modules that check the same for everybody; those need torch, and `--help` must not wait for it.
MIN_SIDE = 32  # model.MIN_SIDE
MAX_SIDE = 2048  # preprocessing.MAX_SIDE
MAX_CLASSES = 100_000  # weights.MAX_CLASSES
MAX_CHANNELS = 1024  # of a block's whole output


def whole(least: int, most: int) -> Callable[[str], int]:
    """The `type` of an option that takes a whole number from `least` to `most`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise refused(text, f"a whole number from {least} to {most}")
        return value

    return number


def real(least: float, most: float, *, above: bool = False, below: bool = False) -> Callable[[str], float]:
    """The `type` of an option that takes a finite number from `least` to `most`.

    With `above`, `least` itself is not allowed; with `below`, `most` is not.
    """

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        # Not a number fails every comparison.
        if not ((least < value if above else least <= value) and (value < most if below else value <= most)):
            low, high = "above" if above else "at least", "below" if below else "at most"
            raise refused(text, f"a number {low} {least:.10g} and {high} {most:.10g}")
        return value

    return number


def refused(text: str, allowed: str) -> ArgumentTypeError:
    """The error of an option's value; argparse puts the option's name before it."""
    return ArgumentTypeError(f"{quoted(text)} is not allowed; it must be {allowed}.")
