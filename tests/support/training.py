"""A data set that any network can learn, and a recipe that trains for seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from inception.training.recipe import Recipe

SHORT_RECIPE = Recipe(start="scratch", sizes=((32, 1.0),), batch=8, epochs=2, rate=0.02, smoothing=0.0)
COLOURS = {"grass": (40, 160, 60), "sky": (90, 140, 230)}


def colour_folders(root: Path, classes: dict[str, tuple[int, int, int]], count: int, side: int = 40) -> Path:
    """Save `count` noisy photos of one colour into a folder for each class; return `root`."""
    rng = np.random.default_rng(0)
    for name, colour in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            noisy = np.clip(np.array(colour) + rng.normal(0, 20, (side, side, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(root / name / f"{number:03}.png")
    return root
