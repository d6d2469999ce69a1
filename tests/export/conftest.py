"""Fixtures for predicting a folder of photos."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from inception import open_photo
from inception.export import folder
from support.photo_folders import PHOTO_NAMES, make_photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for number, name in enumerate(PHOTO_NAMES):
        make_photo(root / name, number)
    return root


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that are opened, in order."""
    names: list[str] = []

    def record(file: Path) -> Image.Image:
        names.append(file.name)
        return open_photo(file)

    monkeypatch.setattr(folder, "open_photo", record)
    return names
