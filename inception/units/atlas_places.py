"""Statistics and strongest places of a block's channels over many photos, measured in one pass of batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..explain.ranks import ranks

PLACES = 9  # of each kind, for each channel
TOLD_APART = 5  # classes listed for each channel
NOWHERE = -1  # photo number of an unused slot: fewer than `PLACES` photos excite the channel


@dataclass(frozen=True, eq=False)
class Places:
    """Places of each channel among the photos: tensors (C, PLACES); `photos` is `NOWHERE` where there are fewer.

    `cells` count the cells of a map row by row; `values` are the channel's there.
    """

    photos: Tensor
    cells: Tensor
    values: Tensor

    @classmethod
    def none(cls, channels: int) -> Places:
        """Return no places."""
        shape = (channels, PLACES)
        return cls(torch.full(shape, NOWHERE), torch.zeros(shape, dtype=torch.int64), torch.full(shape, -torch.inf))


@dataclass(frozen=True, eq=False)
class BlockMeasurement:
    """Measurement of a block's channels (C) over `photos` photos.

    Attributes:
        mean: (C,), over all cells of all photos.
        silent: (C,), share of the photos in which the channel is nowhere above zero.
        strongest: of each photo its strongest cell, and of these, in descending order, the strongest above zero.
        random: cells drawn at random from photos drawn at random.
        maxima: (photos, C), each photo's strongest value; None unless requested.
    """

    photos: int
    mean: Tensor
    silent: Tensor
    strongest: Places
    random: Places
    maxima: Tensor | None


class BlockSurvey:
    """Collects the measurement of one block while photos pass, a batch at a time.

    Args:
        channels: C.
        seed: of the random places.
        keep_maxima: keep each photo's strongest value, for `class_areas`; 4 bytes for each photo and channel.
    """

    def __init__(self, channels: int, seed: int, *, keep_maxima: bool) -> None:
        self.photos = self.cells = 0
        self.total, self.quiet = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.int64)
        self.strongest, self.random = Places.none(channels), Places.none(channels)
        self.maxima: list[Tensor] | None = [] if keep_maxima else None
        self.generator = torch.Generator().manual_seed(seed)

    def add(self, maps: Tensor, numbers: list[int]) -> None:
        """Count a batch: maps (N, C, h, w) of the photos with these numbers."""
        values = maps.flatten(2).float().cpu()
        maxima, cells = values.max(dim=2)
        self.total += values.sum(dim=(0, 2), dtype=torch.float64)
        self.quiet += (maxima <= 0).sum(dim=0)
        if self.maxima is not None:
            self.maxima.append(maxima)
        self._merge(maxima.T, cells.T, torch.tensor(numbers))
        for photo, number in zip(values, numbers, strict=True):
            self._draw(photo, number)
        self.cells += values.shape[0] * values.shape[2]

    def _merge(self, maxima: Tensor, cells: Tensor, numbers: Tensor) -> None:
        """Keep the strongest of those that were kept and of new ones (C, N); of equals, the earlier photo's.

        Places where the channel is not above zero are left out: such a photo does not excite it.
        """
        before, excited = self.strongest, maxima > 0
        maxima = torch.where(excited, maxima, -torch.inf)
        values = torch.cat([before.values, maxima], dim=1)
        kept = values.argsort(dim=1, descending=True, stable=True)[:, :PLACES]
        photos = torch.cat([before.photos, torch.where(excited, numbers, NOWHERE)], dim=1)
        places = (photos, torch.cat([before.cells, cells], dim=1), values)
        self.strongest = Places(*(one.gather(1, kept) for one in places))

    def _draw(self, values: Tensor, number: int) -> None:
        """Reservoir sampling: photo n replaces a place with probability PLACES / n (Vitter 1985, algorithm R)."""
        channels, count = values.shape
        cells = torch.randint(count, (channels,), generator=self.generator)
        if self.photos < PLACES:
            slots = torch.full((channels,), self.photos)
        else:
            slots = torch.randint(self.photos + 1, (channels,), generator=self.generator)
        (drawn,) = torch.nonzero(slots < PLACES, as_tuple=True)
        at = (drawn, slots[drawn])
        self.random.photos[at], self.random.cells[at] = number, cells[drawn]
        self.random.values[at] = values[drawn, cells[drawn]]
        self.photos += 1

    def result(self) -> BlockMeasurement:
        """Return the measurement of what has passed."""
        return BlockMeasurement(
            photos=self.photos,
            mean=self.total / max(self.cells, 1),
            silent=self.quiet / max(self.photos, 1),
            strongest=self.strongest,
            random=self.random,
            maxima=None if self.maxima is None else torch.cat(self.maxima),
        )


def class_areas(maxima: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Return the area under the ROC curve (C, classes) with which a channel tells each class from all others.

    That is the probability that a photo of the class has a higher value than another photo; equal values count half
    (Hanley and McNeil 1982). It is NaN for a class without photos, or with all of them.

    Args:
        maxima: (photos, C).
        targets: the photos' classes (photos,).
    """
    inside = np.bincount(targets, minlength=classes).astype(np.float64)
    pairs = inside * (len(targets) - inside)
    areas = np.full((maxima.shape[1], classes), np.nan)
    for channel, values in enumerate(maxima.T):
        sums = np.bincount(targets, weights=ranks(values), minlength=classes)
        np.divide(sums - inside * (inside + 1) / 2, pairs, out=areas[channel], where=pairs > 0)
    return areas
