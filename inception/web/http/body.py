"""What the JSON of a request may hold: bounded before it is parsed, and again before anything else reads it.

What the page sends itself has at most 45 marks, 600 bytes, 4 levels, texts of 132 characters and one file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from math import isfinite
from typing import Any

from .upload_paths import is_uploaded

# Each value but the first follows one of these, so that their number bounds that of the values, and counting
# them takes a thousandth of the time that parsing does. Inside texts they count too. In UTF-16 and UTF-32,
# which `json` reads as well, their bytes are the same with zeros between.
MARKS = b"[{,:"
MAX_MARKS = 5000  # the longest list that anything takes is of 1024 channels
MAX_DEPTH = 16
MAX_TEXT = 2000  # characters; an address of an uploaded photo with a long name in Chinese has about 1000
MAX_TEXTS = 20_000  # characters of all of them, with the keys
MAX_FILES = 4  # nothing takes more than two photos
MAX_REST = 200_000  # bytes of a body that are no photo: blanks, digits, escapes
MAX_INTEGER = 2**63

# Where a value lies: the identity of the list or object that holds it, and its index or key there.
Place = tuple[int, int | str]


class Refused(Exception):  # noqa: N818 - an answer, not a fault of this program
    """A request that is refused: the status, the name of the sentence in `text_door`, and its values."""

    def __init__(self, status: int, key: str, **details: object) -> None:
        super().__init__(status, key)
        self.status, self.key, self.details = status, key, details


def count_marks(part: bytes) -> int:
    """How many of `MARKS` a part of a body has."""
    return sum(map(part.count, (MARKS[position : position + 1] for position in range(len(MARKS)))))


def parse(body: bytes) -> Any:
    """The value that a body's JSON stands for; `count_marks` of it must have been bounded before.

    Raises:
        Refused: if it is not JSON.
    """
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise malformed() from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def malformed() -> Refused:
    """The refusal of what nothing can be made of."""
    return Refused(400, "guard_malformed")


def check(told: Any, size: int, photos: Collection[Place] = frozenset()) -> None:
    """Refuse what is deeper, longer or more than anything here takes, and every file but those that were uploaded.

    Args:
        told: the parsed body.
        size: of the body, in bytes.
        photos: where a `data:` address, of any length, may stand.

    Raises:
        Refused: if something is out of bounds. No file is touched before all else is within them.
    """
    texts, files, rest = 0, [], size
    for place, value in _walk(told):
        if isinstance(value, str):
            if place in photos and value.startswith("data:") and value.isascii():
                rest -= len(value)
                continue
            texts += _checked(value)
        elif isinstance(value, int):
            if abs(value) >= MAX_INTEGER:
                raise Refused(422, "guard_number")
        elif isinstance(value, float):
            if not isfinite(value):
                raise Refused(422, "guard_number")
        elif isinstance(value, dict):
            texts += sum(map(_checked, value))
            if value.get("path") is not None:
                files.append(value["path"])
    if texts > MAX_TEXTS:
        raise Refused(413, "guard_text_length", limit=MAX_TEXTS)
    if len(files) > MAX_FILES:
        raise Refused(422, "guard_file_count", limit=MAX_FILES)
    if rest > MAX_REST:
        raise malformed()
    if not all(isinstance(file, str) and is_uploaded(file) for file in files):
        raise Refused(422, "guard_foreign_file")


def _checked(text: str) -> int:
    """The length of a text that is not too long, can be written as UTF-8 and is no photo."""
    if len(text) > MAX_TEXT:
        photo = text.startswith("data:")
        raise Refused(422, "guard_photo_position") if photo else Refused(413, "guard_text_length", limit=MAX_TEXT)
    if text.startswith("data:"):
        raise Refused(422, "guard_photo_position")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise malformed() from None  # half of a pair that stands for one character
    return len(text)


def _walk(told: Any) -> Iterator[tuple[Place, Any]]:
    """Every value with its place, however deep, up to the depth that is allowed."""
    left: list[tuple[Place, Any, int]] = [((0, 0), told, 0)]
    while left:
        place, value, depth = left.pop()
        yield place, value
        if isinstance(value, dict | list):
            if depth >= MAX_DEPTH:
                raise Refused(413, "guard_depth", limit=MAX_DEPTH)
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            left.extend(((id(value), key), part, depth + 1) for key, part in inner)
