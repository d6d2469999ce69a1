"""Paths of the project's data files: the embedded weights and the example photos."""

from __future__ import annotations

from pathlib import Path

# Wheels contain them in the package (pyproject.toml, `force-include`); a checkout has them beside it.
PACKED = Path(__file__).parents[1] / "resources"
CHECKOUT = Path(__file__).parents[2]


def resource(name: str) -> Path:
    """Return the path of a data file or folder, for instance `resource("weights/tiny-imagenet.safetensors")`."""
    return (PACKED if PACKED.is_dir() else CHECKOUT) / name


def install_command(extra: str) -> str:
    """Return the command that installs what an extra needs ("mcp" or "ray"), here: in a checkout or where installed."""
    file = f"requirements-{extra}.txt"
    return f"pip install -r {file}" if (CHECKOUT / file).is_file() else f"pip install 'inception-lens[{extra}]'"
