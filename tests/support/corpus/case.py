"""A file of the corpus and its expected outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support.corpus.files import QUARTERS, SIZE, Colour


@dataclass(frozen=True)
class Case:
    """A file that must be shown with this size and these colours in its quarters, or rejected with this error."""

    name: str  # of the file
    about: str
    make: Callable[[], bytes]
    error_kind: str = ""  # kind of `PhotoError`; empty if the picture is shown
    size: tuple[int, int] | None = SIZE
    quarters: tuple[Colour, ...] = QUARTERS
    sent_as: str = ""  # name that a client sends, if it is not possible for a file
