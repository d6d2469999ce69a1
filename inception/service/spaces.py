"""Detection of Hugging Face Spaces and of its ZeroGPU hardware."""

from __future__ import annotations

import os
from importlib.util import find_spec


def on_spaces() -> bool:
    """Return whether this process runs in a Space."""
    return os.environ.get("SYSTEM") == "spaces"


def on_zero_gpu() -> bool:
    """Return whether this is a Space on ZeroGPU, which lends a GPU for single calls."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true") and find_spec("spaces") is not None
