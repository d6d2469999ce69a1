"""Texts from files as they may be shown anywhere: in one line, of bounded length, and in the order they are written."""

from __future__ import annotations

import unicodedata
from typing import Any

# Invisible, but Persian, the scripts of India and many emoji are not written without them.
JOINERS = "\u200c\u200d"
# Controls, marks of direction and other formats, halves of characters, and line ends that are no controls.
DROPPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
MAX_DEPTH = 8  # of lists and objects in each other


def plain(text: str, longest: int) -> str:
    """`text` in one line without control characters and direction marks; "…" stands for what is cut off its end."""
    # What lies far beyond the end is not looked at.
    begin = text[: 2 * longest]
    kept = "".join(map(_shown, begin)).strip()
    return kept if len(kept) <= longest and begin == text else f"{kept[: longest - 1]}…"


def _shown(letter: str) -> str:
    if letter in JOINERS or unicodedata.category(letter) not in DROPPED:
        return letter
    return " " if letter.isspace() else ""


def plain_value(value: Any, longest: int, depth: int = MAX_DEPTH) -> Any:
    """The same for all texts in a value from a JSON file.

    Raises:
        ValueError: if lists and objects are nested too deeply in it.
    """
    if isinstance(value, str):
        return plain(value, longest)
    if isinstance(value, dict | list) and not depth:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        return {plain(key, longest): plain_value(one, longest, depth - 1) for key, one in value.items()}
    if isinstance(value, list):
        return [plain_value(one, longest, depth - 1) for one in value]
    return value
