"""Folders of photos, and the table that `predict FOLDER` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from pyarrow import parquet

from support.paths import EXAMPLES

PHOTO_NAMES = ("b/2.jpg", "a.png", "b/1.JPG", "b-c/x.jpeg", "b/deep/er/3.webp", "ü ñ.jpg")


def class_folders(root: Path, photos: dict[str, list[str]]) -> Path:
    """Copy these examples into a folder for each class; return `root`."""
    for name, files in photos.items():
        (root / name).mkdir(parents=True)
        for file in files:
            (root / name / file).write_bytes((EXAMPLES / file).read_bytes())
    return root


def make_photo(path: Path, number: int) -> None:
    """Save a small part of an example, a different one for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    examples = sorted(EXAMPLES.glob("*.jpg"))
    with Image.open(examples[number % len(examples)]) as photo:
        left, top = 37 * number % 300, 53 * number % 200
        photo.crop((left, top, left + 240, top + 180)).resize((80, 60)).save(path)


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of the table, without the modification times."""
    return parquet.read_table(file).drop_columns(["modified"]).to_pylist()
