"""Whether this runs on Hugging Face Spaces, and on what hardware there."""

from __future__ import annotations

import os
from importlib.util import find_spec


def on_spaces() -> bool:
    """Whether this is a Space."""
    return os.environ.get("SYSTEM") == "spaces"


def on_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, where a GPU is lent for single calls."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true") and find_spec("spaces") is not None
