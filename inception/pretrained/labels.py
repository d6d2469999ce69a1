"""Class labels: first names, sort order, and Chinese names of ImageNet's classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("labels_zh.json")  # with its source and licence


@cache
def chinese_names() -> Mapping[str, str | None]:
    """ImageNet's English labels, in the order of its 1000 classes, to Chinese names; None where none is sure."""
    names: dict[str, str | None] = json.loads(FILE.read_text(encoding="utf-8"))["names"]
    return names


def sort_key(name: str) -> bytes:
    """Sorts names by their letters, and Chinese ones by their pronunciation."""
    # GB 18030 numbers the common characters in the order of pinyin; letters come before them.
    return name.lower().encode("gb18030", errors="replace")


def first_name(label: str) -> str:
    """By what a class is recognised: of "Goldfish, Carassius auratus" it is "goldfish"."""
    return label.split(",")[0].strip().lower()
