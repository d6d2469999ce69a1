"""Whether decoding and augmenting photos slows training down: `python -m benchmarks.training`.

The same network runs the same training steps on photos that are decoded and augmented, and on random tensors in memory.
The photos either have 64x64 pixels, as in Tiny ImageNet, and are decoded only in the first epoch, which is part of the
warm-up; or they have a short side of 200 pixels, for training at 128 and 160, and are decoded in every epoch, as no
memory is allowed for decoded photos (`loader.DECODED_BYTES`).
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
from inception.training.initial_model import initial_model
from inception.training.photos import LabelledPhotos
from inception.training.recipe import SCRATCH, Recipe
from inception.training.trainer import Trainer

from .measure import Row, compare, machine

EXAMPLES = Path(__file__).parents[1] / "examples"
CLASSES = 200


@dataclass(frozen=True)
class Case:
    """Configuration of a row: photos of `short_side` pixels, cropped to squares of `size` pixels."""

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
    # Fewer and smaller steps, as they take longer; a few photos suffice, as they are never cached.
    Case("train-data-path-128", 128, 200, photos=1000, batch=32, steps=8, rounds=5, decoded_bytes=0),
    Case("train-data-path-160", 160, 200, photos=1000, batch=32, steps=8, rounds=5, decoded_bytes=0),
)


def small_photos(count: int) -> LabelledPhotos:
    """Crop WebP files of 64x64 pixels, as in Tiny ImageNet, out of the example photos."""
    rng = random.Random(0)
    examples = _examples()
    sources = []
    for _ in range(count):
        photo = rng.choice(examples)
        side = rng.randint(64, min(photo.size))
        left, top = rng.randint(0, photo.width - side), rng.randint(0, photo.height - side)
        square = photo.resize((64, 64), box=(left, top, left + side, top + side))
        sources.append(_encoded(square, "WEBP"))
    return _labelled(sources)


def middle_photos(count: int, short_side: int) -> LabelledPhotos:
    """Crop JPEG files of 4:3 with a short side of `short_side` pixels out of the example photos."""
    rng = random.Random(0)
    examples = _examples()
    sources = []
    for _ in range(count):
        photo = rng.choice(examples)
        height = rng.randint(short_side, min(photo.height, photo.width * 3 // 4))
        width = height * 4 // 3
        left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
        crop = photo.resize((short_side * 4 // 3, short_side), box=(left, top, left + width, top + height))
        sources.append(_encoded(crop, "JPEG"))
    return _labelled(sources)


def _examples() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.jpg"))]


def _encoded(photo: Image.Image, file_format: str) -> bytes:
    file = io.BytesIO()
    photo.save(file, file_format, quality=90)
    return file.getvalue()


def _labelled(sources: list[bytes]) -> LabelledPhotos:
    names = tuple(f"class {number}" for number in range(CLASSES))
    return LabelledPhotos(names, sources, [index % CLASSES for index in range(len(sources))])


def throughput(case: Case) -> Row:
    """Measure a training step on photos in units of a step on tensors in memory."""
    keep_freed()
    loader.DECODED_BYTES = case.decoded_bytes
    side = case.short_side
    photos = small_photos(case.photos) if case.size == side else middle_photos(case.photos, side)
    # As before a training: photos larger than the network needs are reduced.
    photos = loader.readable_photos(photos, case.size).photos
    recipe = Recipe(start=SCRATCH, sizes=((case.size, 1.0),), minutes=1e6, batch=case.batch)
    model, preprocessing = initial_model(recipe, photos.classes, case.size)
    trainer = Trainer(recipe, model, preprocessing, photos, workers=1)
    steps = trainer.steps()
    samples = torch.randint(0, 256, (recipe.batch, 3, case.size, case.size), dtype=torch.uint8)
    targets = torch.randint(0, CLASSES, (recipe.batch,))
    peer = Trainer(recipe, initial_model(recipe, photos.classes, case.size)[0], preprocessing, photos)

    def from_files(count: int = case.steps) -> None:
        list(islice(steps, count))

    def from_memory(count: int = case.steps) -> None:
        for _ in range(count):
            peer.train_step(samples, targets)

    # Batches prepared while the peer runs would flatter ours, and preparing them would slow the peer down.
    return compare(
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
