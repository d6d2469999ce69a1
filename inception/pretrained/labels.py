"""Class labels: their first names, and Chinese names of ImageNet's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("labels_zh.json")  # with its source and licence


@cache
def chinese_names() -> Mapping[str, str | None]:
    """Return Chinese names of ImageNet's 1000 classes by English label; None where no reliable name is known."""
    names: dict[str, str | None] = json.loads(FILE.read_text(encoding="utf-8"))["names"]
    return names


def first_name(label: str) -> str:
    """Return the first name of a label in lower case, "goldfish" for "Goldfish, Carassius auratus"."""
    return label.split(",")[0].strip().lower()
