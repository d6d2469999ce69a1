"""The files that belong to the project and are no code: the embedded weights and the example photos."""

from __future__ import annotations

from pathlib import Path

# An installed package has them inside (pyproject.toml puts them there); in the project's folder they lie beside it.
PACKED = Path(__file__).parents[1] / "resources"
BESIDE = Path(__file__).parents[2]


def resource(name: str) -> Path:
    """Where such a file or folder lies, for instance `resource("weights/tiny-imagenet.safetensors")`."""
    return (PACKED if PACKED.is_dir() else BESIDE) / name
