"""How good a model is on labelled photos: accuracy, and whether its probabilities mean what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count

import numpy as np
import torch
from torch import Tensor

from ..errors import PhotoError
from ..network.overflow import check_computed
from ..pretrained.pretrained import PretrainedModel
from ..runtime.wording import counted
from .datasets import DataError, LabelledPhotos
from .matching import LeftOut, known_photos, matched_classes

BINS = 15
BATCH = 64


@dataclass(frozen=True)
class Answers:
    """What a network said of labelled photos: logits (N, classes), right classes (N,), and which photos these are."""

    logits: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)  # as the network numbers its classes
    photos: tuple[int, ...] = field(repr=False)
    skipped: tuple[str, ...] = field(repr=False)  # photos that cannot be read
    left_out: LeftOut = field(default_factory=LeftOut)


@dataclass(frozen=True)
class Evaluation:
    """Fractions of 1. `per_class` gives each class of the data that the network has its top-1 accuracy."""

    images: int
    top1: float
    top5: float
    ece: float
    per_class: dict[str, float] = field(repr=False)
    skipped: tuple[str, ...] = field(repr=False)  # photos that cannot be read
    left_out: LeftOut = field(default_factory=LeftOut)


def evaluate(
    pretrained: PretrainedModel, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Evaluation:
    """Look once at every photo of a class that the network has. `progress` may wrap the iteration over batches.

    Raises:
        DataError: if the network has none of the data's classes, or no photo can be read.
    """
    return judged(pretrained, photos, answers(pretrained, photos, progress))


def answers(
    pretrained: PretrainedModel, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Answers:
    """The network's logits for every photo that can be read and is of a class that the network has.

    Raises:
        DataError: as `evaluate`.
    """
    classes = matched_classes(pretrained, photos)
    known, left_out = known_photos(pretrained, photos)
    heard, good, skipped = _heard(pretrained, known, progress)
    targets = torch.tensor([classes[known.targets[index]] for index in good])
    places = [index for index, target in enumerate(photos.targets) if classes[target] is not None]
    return Answers(heard, targets, tuple(places[index] for index in good), skipped, left_out)


def answers_to_unknown(
    pretrained: PretrainedModel, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[Tensor, tuple[str, ...]]:
    """The network's logits (N, classes) for photos that are none of its classes, and which cannot be read.

    Raises:
        DataError: if no photo can be read.
    """
    heard, _, skipped = _heard(pretrained, photos, progress)
    return heard, skipped


@torch.inference_mode()
def _heard(
    pretrained: PretrainedModel, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]]
) -> tuple[Tensor, tuple[int, ...], tuple[str, ...]]:
    """The logits, which photos they are of, and the names of those that cannot be read."""
    logits: list[Tensor] = []
    good: list[int] = []
    skipped: list[str] = []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for start in progress(range(0, len(photos), BATCH)):
            batch = range(start, min(start + BATCH, len(photos)))
            read = list(pool.map(lambda index: _input(pretrained, photos, index), batch))
            good += [index for tensor, index in zip(read, batch, strict=True) if tensor is not None]
            skipped += [photos.name(index) for tensor, index in zip(read, batch, strict=True) if tensor is None]
            inputs = [tensor for tensor in read if tensor is not None]
            if inputs:
                logits.append(_logits(pretrained, torch.cat(inputs)))
    if not good:
        raise DataError(
            "data_unreadable",
            "Of {count} none can be read; please check the files.",
            count=counted(len(photos), "photo"),
        )
    return torch.cat(logits), tuple(good), tuple(skipped)


def judged(pretrained: PretrainedModel, photos: LabelledPhotos, told: Answers) -> Evaluation:
    """How good these answers are, with the probabilities that `pretrained` makes of its logits."""
    classes = matched_classes(pretrained, photos)
    probabilities, targets = pretrained.probabilities(told.logits).numpy(), told.targets.numpy()
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = order == targets[:, None]
    seen = [(name, targets == index) for name, index in zip(_told_apart(photos), classes, strict=True)]
    return Evaluation(
        images=len(targets),
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(axis=1).mean()),
        ece=calibration_error(probabilities.max(axis=1), hits[:, 0]),
        per_class={name: float(hits[rows, 0].mean()) for name, rows in seen if rows.any()},
        skipped=told.skipped,
        left_out=told.left_out,
    )


def _told_apart(photos: LabelledPhotos) -> list[str]:
    """The names of the data's classes; where two share one, with their ids, or else their numbers."""
    count = Counter(photos.classes)
    ids = photos.wnids or ("",) * len(photos.classes)
    return [
        name if count[name] == 1 else f"{name} ({wnid or number})"
        for number, (name, wnid) in enumerate(zip(photos.classes, ids, strict=True))
    ]


def _input(pretrained: PretrainedModel, photos: LabelledPhotos, index: int) -> Tensor | None:
    try:
        return pretrained.preprocessing.tensor(pretrained.preprocessing.see(photos.photo(index)))
    except PhotoError:
        return None


def _logits(pretrained: PretrainedModel, batch: Tensor) -> Tensor:
    logits = pretrained.model.logits(batch.to(pretrained.device)).float().cpu()
    check_computed(pretrained.name, [logits])
    return logits


def calibration_error(confidences: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017).

    `confidences` are the probabilities of the chosen classes, `correct` says which choices were
    right, both (N,). Each bin counts by its share of the photos.
    """
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = (
        rows.mean() * abs(confidences[rows].mean() - correct[rows].mean())
        for rows in (places == index for index in range(bins))
        if rows.any()
    )
    return float(sum(gaps))
