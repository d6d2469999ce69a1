"""Labelled photos on their way to the network: checked, held out, drawn, cut and turned."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from ..errors import PhotoError, quoted
from ..vision.photo import open_photo
from .augment import degraded, happens, zoomed_out
from .datasets import DataError, LabelledPhotos
from .recipe import Recipe

# A crop is a part of the photo: what is kept must be larger than what the network takes.
SPARE = 1.25
PREFETCH = 8  # batches that a process makes ahead
DECODED_BYTES = 2 * 2**30  # of decoded photos that all processes together keep: a hundred thousand of 64x64 need 1.2 GB


@dataclass(frozen=True)
class Readable:
    """Photos of which each is known to open, encoded and no larger than training needs."""

    photos: LabelledPhotos
    short_side: int  # the median, as the files have it
    skipped: tuple[str, ...]


def readable(photos: LabelledPhotos, size: int, progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> Readable:
    """Open every photo once: leave out those that cannot be read, shrink those that are larger than needed.

    Raises:
        DataError: if a class keeps no photo at all.
    """
    keep = round(size * SPARE)
    kept: list[int] = []
    sources: list[bytes] = []
    sides: list[int] = []
    skipped: list[str] = []
    chunk = 1024
    with ThreadPoolExecutor(cpu_count()) as pool:
        for start in progress(range(0, len(photos), chunk)):
            indices = range(start, min(start + chunk, len(photos)))
            for index, made in zip(
                indices, pool.map(lambda index: _small(photos.sources[index], keep), indices), strict=True
            ):
                if made is None:
                    skipped.append(photos.name(index))
                else:
                    kept.append(index)
                    sources.append(made[0])
                    sides.append(made[1])
    targets = [photos.targets[index] for index in kept]
    empty = sorted(set(range(len(photos.classes))) - set(targets))
    if empty:
        raise DataError(
            "data_class_unreadable",
            "Of the class {name} no photo can be read; please add some, or remove the class.",
            name=quoted(photos.classes[empty[0]]),
        )
    left = replace(photos, sources=sources, targets=targets, names=tuple(photos.name(index) for index in kept))
    return Readable(left, sorted(sides)[len(sides) // 2], tuple(skipped))


def _small(source: object, keep: int) -> tuple[bytes, int] | None:
    """An encoded photo whose short side is at most `keep`, and the short side that it had."""
    try:
        photo = open_photo(source)  # type: ignore[arg-type]
    except PhotoError:
        return None
    side = min(photo.size)
    if isinstance(source, bytes) and side <= keep:
        return source, side
    if side > keep:
        photo.thumbnail((photo.width * keep // side + 1, photo.height * keep // side + 1))
    encoded = io.BytesIO()
    photo.save(encoded, "JPEG", quality=95, subsampling=0)
    return encoded.getvalue(), side


UNLABELLED = -1  # the class of a photo that only the teacher answers


class Draw(NamedTuple):
    """One photo of one batch: which, in which epoch, and how large."""

    photo: int
    epoch: int
    size: int


class Batches(Sampler[list[Draw]]):
    """The batches from `step` on, without an end; the same for the same seed, whenever it starts.

    Of each batch this process takes every `world`th photo, from its `rank`th on. `also` photos
    without labels, numbered from `count` on, fill `recipe.also_share` of each batch; an epoch is a
    pass over the labelled ones.
    """

    def __init__(
        self,
        count: int,
        recipe: Recipe,
        size_at: Callable[[int], int],
        *,
        also: int = 0,
        step: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.count, self.also, self.recipe, self.size_at = count, also, recipe, size_at
        self.step, self.rank, self.world = step, rank, world
        self.batch = max(min(recipe.batch, count) // world, 1) * world
        self.unlabelled = min(max(round(self.batch * recipe.also_share), 1), self.batch - 1) if also else 0
        self.per_epoch = count // (self.batch - self.unlabelled)
        self._also_order: tuple[int, list[int]] = (-1, [])

    def __iter__(self) -> Iterator[list[Draw]]:
        step = self.step
        while True:
            epoch, place = divmod(step, self.per_epoch)
            order = self._order(self.count, epoch)
            labelled = self.batch - self.unlabelled
            for start in range(place * labelled, self.per_epoch * labelled, labelled):
                size = self.size_at(step)
                draws = [Draw(index, epoch, size) for index in order[start : start + labelled]]
                draws += self._without_labels(step, size)
                yield draws[self.rank :: self.world]
                step += 1

    def _without_labels(self, step: int, size: int) -> Iterator[Draw]:
        for position in range(step * self.unlabelled, (step + 1) * self.unlabelled):
            epoch, place = divmod(position, self.also)
            if self._also_order[0] != epoch:
                self._also_order = (epoch, self._order(self.also, -1 - epoch))
            yield Draw(self.count + self._also_order[1][place], epoch, size)

    def _order(self, count: int, epoch: int) -> list[int]:
        chance = torch.Generator().manual_seed(_mixed(self.recipe.seed, epoch))
        return torch.randperm(count, generator=chance).tolist()


class Augmented(Dataset[tuple[Tensor, int]]):
    """Photos as (3, size, size) uint8 with their classes, cut and turned by chance.

    Photos of `also` come after those of `photos` and have the class `UNLABELLED`.

    The chance depends on the seed, the epoch and the photo alone, and so neither on the number of
    workers nor on where a training was interrupted. Photos that are decoded stay so, up to `room`
    bytes: from the second epoch on, decoding small ones would cost as much as cutting them.
    """

    def __init__(
        self, photos: LabelledPhotos, recipe: Recipe, room: int = DECODED_BYTES, also: LabelledPhotos | None = None
    ) -> None:
        self.photos, self.also, self.recipe, self.room = photos, also, recipe, room
        self.decoded: dict[int, Image.Image] = {}
        turns = [
            *([v2.RandomHorizontalFlip()] if recipe.flip else []),
            *([v2.ColorJitter(recipe.colour, recipe.colour, recipe.colour)] if recipe.colour else []),
            v2.PILToTensor(),
        ]
        self.turned = v2.Compose(turns)
        self.crops: dict[int, v2.RandomResizedCrop] = {}

    def __len__(self) -> int:
        return len(self.photos) + (len(self.also) if self.also else 0)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, int]:
        torch.default_generator.manual_seed(_mixed(self.recipe.seed, draw.epoch, draw.photo))
        photo = self._photo(draw.photo)
        if happens(self.recipe.degrade):
            photo = degraded(photo)
        small = happens(self.recipe.zoom_out)
        photo = zoomed_out(photo, draw.size) if small else self._crop(draw.size)(photo)
        labelled = draw.photo < len(self.photos)
        return self.turned(photo), self.photos.targets[draw.photo] if labelled else UNLABELLED

    def _crop(self, size: int) -> v2.RandomResizedCrop:
        if size not in self.crops:
            self.crops[size] = v2.RandomResizedCrop(size, scale=(self.recipe.smallest_crop, 1.0))
        return self.crops[size]

    def _photo(self, index: int) -> Image.Image:
        photo = self.decoded.get(index)
        if photo is None:
            beyond = index - len(self.photos)
            photo = self.also.photo(beyond) if self.also and beyond >= 0 else self.photos.photo(index)
            size = 3 * photo.width * photo.height
            if size <= self.room:
                self.room -= size
                self.decoded[index] = photo
        return photo


def loader(
    photos: LabelledPhotos, recipe: Recipe, batches: Batches, workers: int, also: LabelledPhotos | None = None
) -> DataLoader[tuple[Tensor, int]]:
    """Batches of uint8 photos (N, 3, size, size) and classes (N,), made by `workers` processes beside this one."""
    return DataLoader(
        Augmented(photos, recipe, DECODED_BYTES // max(workers, 1), also),
        batch_sampler=batches,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        persistent_workers=bool(workers),
        worker_init_fn=_deaf_to_interruption,
    )


def _deaf_to_interruption(_: int) -> None:
    # Ctrl-C reaches every process of a terminal; the one that trains decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _mixed(*numbers: int) -> int:
    # Python's hash of numbers is the same in every process, and spreads neighbours.
    return hash(numbers) & 0x7FFF_FFFF_FFFF_FFFF
