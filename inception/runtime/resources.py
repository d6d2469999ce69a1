"""Paths of the project's data files: the embedded weights and the example photos."""

from __future__ import annotations

from pathlib import Path

# Wheels contain them in the package (pyproject.toml, `force-include`); a checkout has them beside it.
PACKED = Path(__file__).parents[1] / "resources"
CHECKOUT = Path(__file__).parents[2]


def resource(name: str) -> Path:
    """Return the path of a data file or folder, for instance `resource("weights/tiny-imagenet.safetensors")`."""
    return (PACKED if PACKED.is_dir() else CHECKOUT) / name
