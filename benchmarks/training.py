"""Whether decoding and augmenting photos holds training up: `python -m benchmarks.training`.

The same network takes the same steps once on photos that are cut and turned on the way, and once on random tensors that
lie in memory. There are two kinds of photos: of 64x64 pixels, as Tiny ImageNet has them, which from the second epoch on
are decoded already, as the warm-up is longer than an epoch; and of 200 pixels, for training at 128 and 160, where there
is no room for decoded photos (`loader.DECODED_BYTES`), so that every one is decoded in every epoch.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from PIL import Image

from inception.runtime.memory import keep_freed
from inception.training import loader
from inception.training.datasets import LabelledPhotos
from inception.training.initial_model import initial_model
from inception.training.recipe import SCRATCH, Recipe
from inception.training.trainer import Trainer

from .measure import Row, compared, machine

EXAMPLES = Path(__file__).parents[1] / "examples"
CLASSES = 200


@dataclass(frozen=True)
class Case:
    """A row: photos of `short_side` pixels, from which the network gets squares of `size`."""

    name: str
    size: int
    short_side: int
    photos: int
    batch: int
    steps: int  # in each of `rounds`
    rounds: int
    decoded_bytes: int


CASES = (
    Case("train-data-path", 64, 64, photos=5000, batch=128, steps=12, rounds=9, decoded_bytes=loader.DECODED_BYTES),
    # Fewer and smaller steps, which take longer; photos that are never kept need not be many.
    Case("train-data-path-128", 128, 200, photos=1000, batch=32, steps=8, rounds=5, decoded_bytes=0),
    Case("train-data-path-160", 160, 200, photos=1000, batch=32, steps=8, rounds=5, decoded_bytes=0),
)


def small_photos(count: int) -> LabelledPhotos:
    """WebP files of 64x64 pixels, as Tiny ImageNet has them, cut out of the example photos."""
    chance = random.Random(0)
    examples = _examples()
    sources = []
    for _ in range(count):
        photo = chance.choice(examples)
        side = chance.randint(64, min(photo.size))
        left, top = chance.randint(0, photo.width - side), chance.randint(0, photo.height - side)
        square = photo.resize((64, 64), box=(left, top, left + side, top + side))
        sources.append(_encoded(square, "WEBP"))
    return _labelled(sources)


def middle_photos(count: int, short_side: int) -> LabelledPhotos:
    """JPEG files of 4:3 with a short side of `short_side` pixels, cut out of the example photos."""
    chance = random.Random(0)
    examples = _examples()
    sources = []
    for _ in range(count):
        photo = chance.choice(examples)
        height = chance.randint(short_side, min(photo.height, photo.width * 3 // 4))
        width = height * 4 // 3
        left, top = chance.randint(0, photo.width - width), chance.randint(0, photo.height - height)
        part = photo.resize((short_side * 4 // 3, short_side), box=(left, top, left + width, top + height))
        sources.append(_encoded(part, "JPEG"))
    return _labelled(sources)


def _examples() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.jpg"))]


def _encoded(photo: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    photo.save(file, kind, quality=90)
    return file.getvalue()


def _labelled(sources: list[bytes]) -> LabelledPhotos:
    names = tuple(f"class {number}" for number in range(CLASSES))
    return LabelledPhotos(names, sources, [index % CLASSES for index in range(len(sources))])


def throughput(case: Case) -> Row:
    """Seconds a step takes with the data path, in units of a step on tensors in memory."""
    keep_freed()
    loader.DECODED_BYTES = case.decoded_bytes
    side = case.short_side
    photos = small_photos(case.photos) if case.size == side else middle_photos(case.photos, side)
    # As training does before it starts: photos larger than the network needs are reduced.
    photos = loader.readable_photos(photos, case.size).photos
    recipe = Recipe(start=SCRATCH, sizes=((case.size, 1.0),), minutes=1e6, batch=case.batch)
    model, how = initial_model(recipe, photos.classes, case.size)
    steps = Trainer(recipe, model, how, photos, workers=1)
    running = steps.steps()
    samples = torch.randint(0, 256, (recipe.batch, 3, case.size, case.size), dtype=torch.uint8)
    targets = torch.randint(0, CLASSES, (recipe.batch,))
    rest = Trainer(recipe, initial_model(recipe, photos.classes, case.size)[0], how, photos)

    def from_files(count: int = case.steps) -> None:
        list(islice(running, count))

    def from_memory(count: int = case.steps) -> None:
        for _ in range(count):
            rest.train_step(samples, targets)

    # Batches made while the peer ran would flatter us, and batches still being made then would slow it down.
    return compared(
        case.name,
        from_files,
        from_memory,
        bound=1 / 0.9,
        rounds=case.rounds,
        before_ours=lambda: from_files(loader.PREFETCH + 2),
        before_peer=lambda: from_memory(3),
    )


def rows() -> list[Row]:
    return [throughput(case) for case in CASES]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
