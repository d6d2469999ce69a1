"""Names and WordNet ids of a data set's classes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ..pretrained.description import MAX_CLASSES
from ..runtime.files import is_file, one_line
from .photos import DataError

NAMES_FILE = "classes.json"
MAX_NAMES_FILE_BYTES = 32 * 2**20
MAX_NAME = 1000  # characters of a class name
WNID = re.compile(r"n\d{8}")  # WordNet id of a noun, ImageNet's class identifier


def names_and_wnids(names: Sequence[str], names_file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the readable names and the WordNet ids of classes that the data calls `names`."""
    readable = _readable_names(names_file) if is_file(names_file) else {}
    classes = tuple(one_line(readable.get(name, name)) for name in names)
    if len(classes) > MAX_CLASSES or max(map(len, classes), default=0) > MAX_NAME:
        raise DataError(
            "data_names",
            "The data has too many classes, or a class name that is too long; at most {most} classes and {longest} "
            "characters are allowed.",
            most=MAX_CLASSES,
            longest=MAX_NAME,
        )
    wnids = tuple(name if WNID.fullmatch(name) else "" for name in names)
    return classes, wnids if any(wnids) else ()


def _readable_names(file: Path) -> dict[str, str]:
    """Read a mapping from WordNet ids to names."""
    try:
        if file.stat().st_size > MAX_NAMES_FILE_BYTES:
            raise ValueError("it is too large")
        readable = {row["wnid"]: row["name"] for row in json.loads(file.read_text(encoding="utf-8"))}
        if not all(isinstance(text, str) for pair in readable.items() for text in pair):
            raise TypeError("both are strings")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            "data_class_names",
            "{file} cannot be read; it is a list of objects with wnid and name, of at most {limit} MB. Please correct "
            "or remove it.",
            file=file.name,
            limit=MAX_NAMES_FILE_BYTES // 2**20,
        ) from error
    return readable
