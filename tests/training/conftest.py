"""Photos that several test files train with."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.training import COLOURS, colour_folders


@pytest.fixture(scope="module")
def meadow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folders(tmp_path_factory.mktemp("data") / "meadow", COLOURS, 20)
