"""Names of the networks that `load` knows. A module of its own, as `--help` must not wait for torch."""

from __future__ import annotations

MODEL_NAMES = ("tiny-imagenet", "googlenet", "torchvision")
