"""How good a model is on labelled photos: accuracy, and whether its probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count

import numpy as np
import torch
from torch import Tensor

from .data import DataError, LabelledPhotos
from .errors import PhotoError
from .weights import Pretrained

BINS = 15
BATCH = 64


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
    classes = matched_classes(photos.classes, pretrained.labels)
    probabilities: list[np.ndarray] = []
    targets: list[int] = []
    skipped: list[str] = []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for start in progress(range(0, len(photos), BATCH)):
            batch = range(start, min(start + BATCH, len(photos)))
            read = list(pool.map(lambda index: _input(pretrained, photos, index), batch))
            good = [(tensor, index) for tensor, index in zip(read, batch, strict=True) if tensor is not None]
            skipped += [photos.name(index) for tensor, index in zip(read, batch, strict=True) if tensor is None]
            if good:
                probabilities.append(_probabilities(pretrained, torch.cat([tensor for tensor, _ in good])))
                targets += [classes[photos.targets[index]] for _, index in good]
    if not targets:
        raise DataError("data_unreadable", "None of the {count} photos can be read.", count=len(photos))
    return _measured(np.concatenate(probabilities), np.array(targets), photos.classes, classes, tuple(skipped))


def _input(pretrained: Pretrained, photos: LabelledPhotos, index: int) -> Tensor | None:
    try:
        return pretrained.preprocessing.tensor(pretrained.preprocessing.see(photos.photo(index)))
    except PhotoError:
        return None


@torch.inference_mode()
def _probabilities(pretrained: Pretrained, batch: Tensor) -> np.ndarray:
    logits = pretrained.model.trace(batch.to(pretrained.device)).logits
    if logits is None:
        raise ValueError("This model was built with include_top=False, so it gives no answer; build it with a top.")
    return pretrained.probabilities(logits).float().cpu().numpy()


def _measured(
    probabilities: np.ndarray, targets: np.ndarray, names: tuple[str, ...], classes: list[int], skipped: tuple[str, ...]
) -> Evaluation:
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = order == targets[:, None]
    seen = [(name, targets == index) for name, index in zip(names, classes, strict=True)]
    return Evaluation(
        images=len(targets),
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(axis=1).mean()),
        ece=calibration_error(probabilities.max(axis=1), hits[:, 0]),
        per_class={name: float(hits[rows, 0].mean()) for name, rows in seen if rows.any()},
        skipped=skipped,
    )


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
    known = [_first_name(name) for name in model]
    wanted = [_first_name(name) for name in data]
    unclear = list(_unclear(wanted, known))
    if unclear:
        raise DataError(
            "data_classes",
            "The model does not know these classes of the data, or knows two by one name: {names}. "
            "Please evaluate a model of the same classes.",
            names=", ".join(unclear[:5]) + (f" and {len(unclear) - 5} more" if len(unclear) > 5 else ""),
        )
    return [known.index(name) for name in wanted]


def _first_name(name: str) -> str:
    return name.split(",")[0].strip().lower()


def _unclear(wanted: list[str], known: list[str]) -> Iterator[str]:
    return (name for name in wanted if known.count(name) != 1)
