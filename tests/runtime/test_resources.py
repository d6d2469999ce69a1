"""Data files, and what an error advises to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from inception.runtime import resources


def test_extras_are_installed_by_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resources.install_command("ray") == "pip install -r requirements-ray.txt"
    monkeypatch.setattr(resources, "CHECKOUT", tmp_path)  # as in an environment's site-packages
    assert resources.install_command("ray") == "pip install 'inception-lens[ray]'"
