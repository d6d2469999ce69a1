"""Loading of training photos: verification, sampling, decoding and augmentation."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import PhotoError, quoted
from ..runtime.progress import Progress
from ..runtime.threads import available_cores
from ..vision.photo import Source, open_photo
from .augment import degraded, happens, zoomed_out
from .photos import DataError, LabelledPhotos
from .recipe import Recipe

if TYPE_CHECKING:
    from torchvision.transforms import v2

STORED_SIDE = 1.25  # short side of stored photos in network input sizes: more than 1, because crops take a part
CHUNK = 1024  # photos between two updates of a progress bar
PREFETCH = 8  # batches that each process prepares ahead
DECODED_BYTES = 2 * 2**30  # cache of decoded photos over all processes; a hundred thousand of 64x64 need 1.2 GB


@dataclass(frozen=True)
class ReadablePhotos:
    """Encoded photos that can all be opened and are no larger than training needs."""

    photos: LabelledPhotos
    short_side: int  # median of the original files in pixels
    skipped: tuple[str, ...]  # names of photos that cannot be read


def readable_photos(photos: LabelledPhotos, size: int, progress: Progress = iter) -> ReadablePhotos:
    """Open every photo once, skip those that cannot be read, and shrink those larger than input `size` needs.

    Raises:
        DataError: if no photo of a class can be read.
    """
    maximum = round(size * STORED_SIDE)
    kept: list[int] = []
    sources: list[bytes] = []
    sides: list[int] = []
    skipped: list[str] = []
    with ThreadPoolExecutor(available_cores()) as pool:
        for start in progress(range(0, len(photos), CHUNK)):
            indices = range(start, min(start + CHUNK, len(photos)))
            results = pool.map(lambda index: _shrunk(photos.sources[index], maximum), indices)
            for index, result in zip(indices, results, strict=True):
                if result is None:
                    skipped.append(photos.name(index))
                else:
                    kept.append(index)
                    sources.append(result[0])
                    sides.append(result[1])
    targets = [photos.targets[index] for index in kept]
    empty = sorted(set(range(len(photos.classes))) - set(targets))
    if empty:
        raise DataError(
            "data_class_unreadable",
            "Of the class {name} no photo can be read; please add some, or remove the class.",
            name=quoted(photos.classes[empty[0]]),
        )
    readable = replace(photos, sources=sources, targets=targets, names=tuple(photos.name(index) for index in kept))
    return ReadablePhotos(readable, sorted(sides)[len(sides) // 2], tuple(skipped))


def _shrunk(source: Source, maximum: int) -> tuple[bytes, int] | None:
    """Return an encoded photo with a short side of at most `maximum`, and its original one; None if unreadable."""
    try:
        photo = open_photo(source)
    except PhotoError:
        return None
    side = min(photo.size)
    if isinstance(source, bytes) and side <= maximum:
        return source, side
    if side > maximum:
        photo.thumbnail((photo.width * maximum // side + 1, photo.height * maximum // side + 1))
    encoded = io.BytesIO()
    photo.save(encoded, "JPEG", quality=95, subsampling=0)
    return encoded.getvalue(), side


UNLABELLED = -1  # class of photos without a label
ALSO_EPOCH = 2**32  # added to the epoch of unlabelled photos, which are in another order than the labelled ones


class Sample(NamedTuple):
    """A photo's index, the epoch, and the side in pixels to which it is augmented."""

    photo: int
    epoch: int
    size: int


class BatchSampler(Sampler[list[Sample]]):
    """Endless batches from `step` on, determined by the seed and the step alone.

    This process takes every `world`th photo of each batch, starting at its `rank`th. `also` unlabelled photos, with
    indices from `count` on, fill `recipe.also_share` of each batch; an epoch is a pass over the `count` labelled ones.
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

    def __iter__(self) -> Iterator[list[Sample]]:
        step = self.step
        while True:
            epoch, step_in_epoch = divmod(step, self.per_epoch)
            order = self._order(self.count, epoch)
            labelled = self.batch - self.unlabelled
            for start in range(step_in_epoch * labelled, self.per_epoch * labelled, labelled):
                size = self.size_at(step)
                samples = [Sample(index, epoch, size) for index in order[start : start + labelled]]
                samples += self._unlabelled_samples(step, size)
                yield samples[self.rank :: self.world]
                step += 1

    def _unlabelled_samples(self, step: int, size: int) -> Iterator[Sample]:
        for position in range(step * self.unlabelled, (step + 1) * self.unlabelled):
            epoch, index = divmod(position, self.also)
            if self._also_order[0] != epoch:
                self._also_order = (epoch, self._order(self.also, ALSO_EPOCH + epoch))
            yield Sample(self.count + self._also_order[1][index], epoch, size)

    def _order(self, count: int, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(_combined_seed(self.recipe.seed, epoch))
        return torch.randperm(count, generator=generator).tolist()


class AugmentedPhotos(Dataset[tuple[Tensor, int]]):
    """Randomly augmented photos, (3, size, size) uint8, with their classes.

    Photos of `also` follow those of `photos` and have the class `UNLABELLED`.

    The augmentation depends on the seed, the epoch and the photo alone, so neither the number of workers nor an
    interruption changes it. Decoded photos are cached up to `cache_bytes`, because decoding small ones takes as long
    as augmenting them.
    """

    def __init__(
        self,
        photos: LabelledPhotos,
        recipe: Recipe,
        cache_bytes: int = DECODED_BYTES,
        also: LabelledPhotos | None = None,
    ) -> None:
        self.photos, self.also, self.recipe, self.cache_bytes = photos, also, recipe, cache_bytes
        self.decoded: dict[int, Image.Image] = {}
        # Takes a second, for which a refused command need not wait.
        from torchvision.transforms import v2

        transforms = [
            *([v2.RandomHorizontalFlip()] if recipe.flip else []),
            *([v2.ColorJitter(recipe.colour, recipe.colour, recipe.colour)] if recipe.colour else []),
            v2.PILToTensor(),
        ]
        self.transform = v2.Compose(transforms)
        self.crops: dict[int, v2.RandomResizedCrop] = {}

    def __len__(self) -> int:
        return len(self.photos) + (len(self.also) if self.also else 0)

    def __getitem__(self, sample: Sample) -> tuple[Tensor, int]:
        torch.default_generator.manual_seed(_combined_seed(self.recipe.seed, sample.epoch, sample.photo))
        photo = self._photo(sample.photo)
        if happens(self.recipe.degrade):
            photo = degraded(photo)
        shrink = happens(self.recipe.zoom_out)
        photo = zoomed_out(photo, sample.size) if shrink else self._crop(sample.size)(photo)
        labelled = sample.photo < len(self.photos)
        return self.transform(photo), self.photos.targets[sample.photo] if labelled else UNLABELLED

    def _crop(self, size: int) -> v2.RandomResizedCrop:
        if size not in self.crops:
            from torchvision.transforms import InterpolationMode, v2

            # Bicubic, as the preprocessing resizes: the network notices the difference on enlarged photos.
            self.crops[size] = v2.RandomResizedCrop(
                size, scale=(self.recipe.smallest_crop, 1.0), interpolation=InterpolationMode.BICUBIC
            )
        return self.crops[size]

    def _photo(self, index: int) -> Image.Image:
        photo = self.decoded.get(index)
        if photo is None:
            also_index = index - len(self.photos)
            photo = self.also.photo(also_index) if self.also and also_index >= 0 else self.photos.photo(index)
            size = 3 * photo.width * photo.height
            if size <= self.cache_bytes:
                self.cache_bytes -= size
                self.decoded[index] = photo
        return photo


def data_loader(
    photos: LabelledPhotos, recipe: Recipe, batches: BatchSampler, workers: int, also: LabelledPhotos | None = None
) -> DataLoader[tuple[Tensor, int]]:
    """Load batches of uint8 photos (N, 3, size, size) and classes (N,) in `workers` processes."""
    return DataLoader(
        AugmentedPhotos(photos, recipe, DECODED_BYTES // max(workers, 1), also),
        batch_sampler=batches,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        persistent_workers=bool(workers),
        worker_init_fn=_init_worker,
    )


def _init_worker(_: int) -> None:
    # Signals may reach the whole process group; only the training process handles them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)


def _combined_seed(*numbers: int) -> int:
    # Python's hash of integers is the same in every process, and separates consecutive numbers.
    return hash(numbers) & 0x7FFF_FFFF_FFFF_FFFF
