"""One file of the corpus, with what must become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support.corpus.files import QUARTERS, SIZE, Colour


@dataclass(frozen=True)
class Case:
    """One file. It is shown, with this size and these colours in its quarters, or refused with this kind of error."""

    name: str  # of the file
    about: str
    make: Callable[[], bytes]
    refused: str = ""  # kind of `PhotoError`, empty where the picture is shown
    size: tuple[int, int] | None = SIZE
    quarters: tuple[Colour, ...] = QUARTERS
    sent_as: str = ""  # what a client calls it, where no file can be called so
