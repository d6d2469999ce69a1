"""Fixtures of the tests that predict a folder of photos."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from inception import open_photo
from inception.export import folder
from support.photo_folders import NAMES, make_photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    where = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        make_photo(where / name, number)
    return where


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are opened, as they are."""
    names: list[str] = []

    def noted(file: Path) -> Image.Image:
        names.append(file.name)
        return open_photo(file)

    monkeypatch.setattr(folder, "open_photo", noted)
    return names
