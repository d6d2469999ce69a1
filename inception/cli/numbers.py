"""Parsers and options of bounded numbers; an error says what was given and what is allowed.

Typer's own `min` and `max` quote nothing, know no open bounds and let NaN pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from ..errors import quoted

# As in the modules that check the same for every caller; those need torch, which `--help` must not import.
MIN_SIDE = 32  # network.inception_v1.MIN_SIDE
MAX_SIDE = 2048  # vision.preprocessing.MAX_SIDE
MAX_CLASSES = 100_000  # pretrained.description.MAX_CLASSES
MAX_CHANNELS = 1024  # of a block's whole output
MAX_STEPS = 4096  # units.feature_visualization, as the next three
MAX_IMAGE_SIDE = 512
MAX_IMAGES = 16
MAX_SEED = 2**32 - 1


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `minimum` to `maximum`.

    Raises (the parser):
        typer.BadParameter: if the text is anything else.
    """

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise refused(text, f"a whole number from {minimum} to {maximum}")
        return value

    return parse


def real(minimum: float, maximum: float, *, above: bool = False, below: bool = False) -> Callable[[str], float]:
    """Return a parser of finite numbers from `minimum` to `maximum`.

    Args:
        above: exclude `minimum`.
        below: exclude `maximum`.

    Raises (the parser):
        typer.BadParameter: if the text is anything else.
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        # NaN fails every comparison.
        if not ((minimum < value if above else minimum <= value) and (value < maximum if below else value <= maximum)):
            raise refused(text, f"a number {_bounds(minimum, maximum, above, below)}")
        return value

    return parse


def whole_option(name: str, minimum: int, maximum: int, help: str, **more: Any) -> Any:
    """Return a Typer option for a whole number, whose help ends with its bounds."""
    return _option(name, whole(minimum, maximum), help, f"from {minimum} to {maximum}", **more)


def real_option(
    name: str, minimum: float, maximum: float, help: str, *, above: bool = False, below: bool = False, **more: Any
) -> Any:
    """Return a Typer option for a finite number, whose help ends with its bounds."""
    bounds = _bounds(minimum, maximum, above, below)
    return _option(name, real(minimum, maximum, above=above, below=below), help, bounds, **more)


def _option(name: str, parser: Callable[[str], Any], help: str, bounds: str, *, default: str = "", **more: Any) -> Any:
    return typer.Option(
        name, parser=parser, help=with_default(f"{help}: {bounds}.", default), **{"metavar": "N", **more}
    )


def with_default(help: str, default: str) -> str:
    """Return the help of an option that is None unless given, with what None means."""
    return f"{help}  [default: {default}]" if default else help


def _bounds(minimum: float, maximum: float, above: bool, below: bool) -> str:
    return f"{'above' if above else 'at least'} {minimum:.10g} and {'below' if below else 'at most'} {maximum:.10g}"


def refused(text: str, allowed: str) -> typer.BadParameter:
    """Return the error of a parameter's value; Typer puts the parameter's name before it."""
    return typer.BadParameter(f"{quoted(text)} is not allowed; it must be {allowed}.")
