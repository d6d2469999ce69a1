"""Limits on the JSON body of a request, checked before it is parsed and again before anything else reads it.

The page itself sends at most 45 structural characters, 600 bytes, 4 levels, strings of 132 characters and one file.
No library serves: schema validators such as pydantic see a body only after it has been parsed as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from math import isfinite
from typing import Any

from .errors import RequestRefusedError, malformed
from .upload_paths import is_uploaded

# Every value but the first follows one of these bytes, so their count bounds the number of values, and counting takes
# a thousandth of the time of parsing. Those inside strings count too. In UTF-16 and UTF-32, which `json` also reads,
# they are the same bytes with zeros between.
STRUCTURAL = b"[{,:"
MAX_VALUES = 5000  # the longest list that any function takes has 1024 channels
MAX_DEPTH = 16
MAX_TEXT = 2000  # characters of one string; the address of an upload with a long Chinese name has about 1000
MAX_TOTAL_TEXT = 20_000  # characters of all strings and keys
MAX_FILES = 4  # no function takes more than two photos
MAX_OTHER_BYTES = 200_000  # of the body without its photos: whitespace, digits, escapes
MAX_INTEGER = 2**63

# Position of a value: `id()` of the list or dictionary that holds it, and its index or key there.
Position = tuple[int, int | str]


def count_structural(chunk: bytes) -> int:
    """Count the bytes of `STRUCTURAL` in a part of a body."""
    return sum(chunk.count(byte) for byte in STRUCTURAL)


def parse(body: bytes) -> Any:
    """Parse a body whose `count_structural` is known to be within `MAX_VALUES`.

    Raises:
        RequestRefusedError: if it is not JSON.
    """
    try:
        return json.loads(body, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise malformed() from None


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check(document: Any, size: int, photos: Collection[Position] = frozenset()) -> None:
    """Check depth, lengths, numbers and file paths of a parsed body.

    Args:
        document: the parsed body.
        size: of the body, in bytes.
        photos: positions at which a `data:` address of any length is allowed.

    Raises:
        RequestRefusedError: if a limit is exceeded, or a file is named that was not uploaded. The file system is
            consulted last, when everything else is within its limits.
    """
    text_length, files, other_bytes = 0, [], size
    for position, value in _walk(document):
        if isinstance(value, str):
            if position in photos and value.startswith("data:") and value.isascii():
                other_bytes -= len(value)
                continue
            text_length += _checked_length(value)
        elif isinstance(value, int):
            if abs(value) >= MAX_INTEGER:
                raise RequestRefusedError(422, "guard_number")
        elif isinstance(value, float):
            if not isfinite(value):
                raise RequestRefusedError(422, "guard_number")
        elif isinstance(value, dict):
            text_length += sum(map(_checked_length, value))
            if value.get("path") is not None:
                files.append(value["path"])
    if text_length > MAX_TOTAL_TEXT:
        raise RequestRefusedError(413, "guard_text_length", limit=MAX_TOTAL_TEXT)
    if len(files) > MAX_FILES:
        raise RequestRefusedError(422, "guard_file_count", limit=MAX_FILES)
    if other_bytes > MAX_OTHER_BYTES:
        raise malformed()
    if not all(isinstance(file, str) and is_uploaded(file) for file in files):
        raise RequestRefusedError(422, "guard_foreign_file")


def _checked_length(text: str) -> int:
    """Return the length of a string that is short enough, encodable as UTF-8 and not a `data:` address."""
    if len(text) > MAX_TEXT:
        if text.startswith("data:"):
            raise RequestRefusedError(422, "guard_photo_position")
        raise RequestRefusedError(413, "guard_text_length", limit=MAX_TEXT)
    if text.startswith("data:"):
        raise RequestRefusedError(422, "guard_photo_position")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise malformed() from None  # a lone surrogate
    return len(text)


def _walk(document: Any) -> Iterator[tuple[Position, Any]]:
    """Yield every value with its position, without recursion.

    Raises:
        RequestRefusedError: if values are nested deeper than `MAX_DEPTH`.
    """
    stack: list[tuple[Position, Any, int]] = [((0, 0), document, 0)]
    while stack:
        position, value, depth = stack.pop()
        yield position, value
        if isinstance(value, dict | list):
            if depth >= MAX_DEPTH:
                raise RequestRefusedError(413, "guard_depth", limit=MAX_DEPTH)
            children = value.items() if isinstance(value, dict) else enumerate(value)
            stack.extend(((id(value), key), child, depth + 1) for key, child in children)
