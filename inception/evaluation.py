"""How good a model is on labelled photos: accuracy, and whether its probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count

import numpy as np
import torch
from torch import Tensor

from .data import DataError, LabelledPhotos, first_name
from .errors import PhotoError
from .overflow import check_computed
from .weights import Pretrained

BINS = 15
BATCH = 64


@dataclass(frozen=True)
class Answers:
    """What a network said of labelled photos: logits (N, classes), right classes (N,), and which photos these are."""

    logits: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)  # as the network numbers its classes
    photos: tuple[int, ...] = field(repr=False)
    skipped: tuple[str, ...] = field(repr=False)  # photos that cannot be read


@dataclass(frozen=True)
class Evaluation:
    """Fractions of 1. `per_class` gives each class of the data its top-1 accuracy."""

    images: int
    top1: float
    top5: float
    ece: float
    per_class: dict[str, float] = field(repr=False)
    skipped: tuple[str, ...] = field(repr=False)  # photos that cannot be read


def evaluate(
    pretrained: Pretrained, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Evaluation:
    """Look at every photo once. `progress` may wrap the iteration over batches, as tqdm does.

    Raises:
        DataError: if the model lacks a class of the data, or no photo can be read.
    """
    return judged(pretrained, photos, answers(pretrained, photos, progress))


def answers(
    pretrained: Pretrained, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Answers:
    """The network's logits for every photo that can be read.

    Raises:
        DataError: as `evaluate`.
    """
    classes = matched_classes(photos.classes, pretrained.labels)
    heard, good, skipped = _heard(pretrained, photos, progress)
    targets = torch.tensor([classes[photos.targets[index]] for index in good])
    return Answers(heard, targets, good, skipped)


def answers_to_unknown(
    pretrained: Pretrained, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[Tensor, tuple[str, ...]]:
    """The network's logits (N, classes) for photos that are none of its classes, and which cannot be read.

    Raises:
        DataError: if no photo can be read.
    """
    heard, _, skipped = _heard(pretrained, photos, progress)
    return heard, skipped


@torch.inference_mode()
def _heard(
    pretrained: Pretrained, photos: LabelledPhotos, progress: Callable[[Iterable[int]], Iterable[int]]
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
        raise DataError("data_unreadable", "None of the {count} photos can be read.", count=len(photos))
    return torch.cat(logits), tuple(good), tuple(skipped)


def judged(pretrained: Pretrained, photos: LabelledPhotos, told: Answers) -> Evaluation:
    """How good these answers are, with the probabilities that `pretrained` makes of its logits."""
    classes = matched_classes(photos.classes, pretrained.labels)
    probabilities, targets = pretrained.probabilities(told.logits).numpy(), told.targets.numpy()
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = order == targets[:, None]
    seen = [(name, targets == index) for name, index in zip(photos.classes, classes, strict=True)]
    return Evaluation(
        images=len(targets),
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(axis=1).mean()),
        ece=calibration_error(probabilities.max(axis=1), hits[:, 0]),
        per_class={name: float(hits[rows, 0].mean()) for name, rows in seen if rows.any()},
        skipped=told.skipped,
    )


def _input(pretrained: Pretrained, photos: LabelledPhotos, index: int) -> Tensor | None:
    try:
        return pretrained.preprocessing.tensor(pretrained.preprocessing.see(photos.photo(index)))
    except PhotoError:
        return None


def _logits(pretrained: Pretrained, batch: Tensor) -> Tensor:
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


def matched_classes(data: tuple[str, ...], model: tuple[str, ...]) -> list[int]:
    """For each class of the data its number in the model, by name; of "goldfish, Carassius auratus" the first counts.

    Raises:
        DataError: if a class is unknown to the model, or two of the model's bear its name.
    """
    if data == model:
        return list(range(len(model)))
    known = [first_name(name) for name in model]
    wanted = [first_name(name) for name in data]
    unclear = list(_unclear(wanted, known))
    if unclear:
        raise DataError(
            "data_classes",
            "The model does not know these classes of the data, or knows two by one name: {names}. "
            "Please evaluate a model of the same classes.",
            names=", ".join(unclear[:5]) + (f" and {len(unclear) - 5} more" if len(unclear) > 5 else ""),
        )
    return [known.index(name) for name in wanted]


def _unclear(wanted: list[str], known: list[str]) -> Iterator[str]:
    return (name for name in wanted if known.count(name) != 1)
