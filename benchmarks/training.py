"""Whether decoding and augmenting photos holds training up: `python -m benchmarks.training`.

The same network takes the same steps once on photos that are cut and turned on the way, and once on
random tensors that lie in memory. The warm-up is longer than an epoch: from the second one on photos
as small as these are decoded already (`photos.DECODED_BYTES`).
"""

from __future__ import annotations

import io
import random
from itertools import islice
from pathlib import Path

import torch
from PIL import Image

from inception.runtime.memory import keep_freed
from inception.training.datasets import LabelledPhotos
from inception.training.initial_model import initial_model
from inception.training.loader import PREFETCH
from inception.training.recipe import SCRATCH, Recipe
from inception.training.trainer import Trainer

from .measure import Row, compared, machine

EXAMPLES = Path(__file__).parents[1] / "examples"
SIDE, PHOTOS, CLASSES, STEPS = 64, 5000, 200, 12


def small_photos() -> LabelledPhotos:
    """WebP files of 64x64 pixels, as Tiny ImageNet has them, cut out of the example photos."""
    chance = random.Random(0)
    examples = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.jpg"))]
    sources = []
    for _ in range(PHOTOS):
        photo = chance.choice(examples)
        side = chance.randint(SIDE, min(photo.size))
        left, top = chance.randint(0, photo.width - side), chance.randint(0, photo.height - side)
        encoded = io.BytesIO()
        photo.resize((SIDE, SIDE), box=(left, top, left + side, top + side)).save(encoded, "WEBP", quality=90)
        sources.append(encoded.getvalue())
    names = tuple(f"class {number}" for number in range(CLASSES))
    return LabelledPhotos(names, sources, [index % CLASSES for index in range(PHOTOS)])


def throughput() -> Row:
    """Seconds a step takes with the data path, in units of a step on tensors in memory."""
    keep_freed()
    photos = small_photos()
    recipe = Recipe(start=SCRATCH, sizes=((SIDE, 1.0),), minutes=1e6)
    model, how = initial_model(recipe, photos.classes, SIDE)
    steps = Trainer(recipe, model, how, photos, workers=1)
    running = steps.steps()
    samples = torch.randint(0, 256, (recipe.batch, 3, SIDE, SIDE), dtype=torch.uint8)
    targets = torch.randint(0, CLASSES, (recipe.batch,))
    rest = Trainer(recipe, initial_model(recipe, photos.classes, SIDE)[0], how, photos)

    def from_files(count: int = STEPS) -> None:
        list(islice(running, count))

    def from_memory(count: int = STEPS) -> None:
        for _ in range(count):
            rest.train_step(samples, targets)

    # Batches made while the peer ran would flatter us, and batches still being made then would slow it down.
    return compared(
        "train-data-path",
        from_files,
        from_memory,
        bound=1 / 0.9,
        before_ours=lambda: from_files(PREFETCH + 2),
        before_peer=lambda: from_memory(3),
    )


def rows() -> list[Row]:
    return [throughput()]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
