"""Sanitised text from files: one line, bounded length, no control characters or direction marks."""

from __future__ import annotations

import unicodedata
from typing import Any

# Invisible, but required by Persian, the scripts of India and many emoji.
JOINERS = "\u200c\u200d"
# Unicode categories: control, format (direction marks), surrogate, line and paragraph separators.
DROPPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
MAX_DEPTH = 8  # of nested lists and objects


def plain(text: str, max_length: int) -> str:
    """Return `text` in one line without control characters and direction marks, cut to `max_length` with "…"."""
    # The rest of a long text is not even scanned.
    begin = text[: 2 * max_length]
    kept = "".join(map(_shown, begin)).strip()
    return kept if len(kept) <= max_length and begin == text else f"{kept[: max_length - 1]}…"


def _shown(letter: str) -> str:
    if letter in JOINERS or unicodedata.category(letter) not in DROPPED:
        return letter
    return " " if letter.isspace() else ""


def plain_value(value: Any, max_length: int, depth: int = MAX_DEPTH) -> Any:
    """Return a value from a JSON file with `plain` applied to all its texts.

    Raises:
        ValueError: if lists and objects are nested deeper than `depth`.
    """
    if isinstance(value, str):
        return plain(value, max_length)
    if isinstance(value, dict | list) and not depth:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        return {plain(key, max_length): plain_value(one, max_length, depth - 1) for key, one in value.items()}
    if isinstance(value, list):
        return [plain_value(one, max_length, depth - 1) for one in value]
    return value
