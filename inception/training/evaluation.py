"""Evaluation on labelled photos: accuracy and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import PhotoError
from ..network.overflow import check_overflow
from ..pretrained.pretrained import PretrainedModel
from ..runtime.progress import Progress
from ..runtime.threads import available_cores
from ..runtime.wording import counted
from .matching import LeftOut, known_photos, match_classes
from .photos import DataError, LabelledPhotos

BINS = 15
CHANCE_DRAWS = 100  # tell the mean to about a twentieth, in half a second for 50,000 photos
BATCH = 64


@dataclass(frozen=True, eq=False)
class LabelledLogits:
    """A network's logits for labelled photos.

    Attributes:
        logits: (N, classes).
        targets: the photos' classes (N,), in the network's numbering.
        photos: the photos' indices in the data.
        skipped: names of photos that cannot be read.
        left_out: photos of classes that the network does not have.
    """

    logits: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)
    photos: tuple[int, ...] = field(repr=False)
    skipped: tuple[str, ...] = field(repr=False)
    left_out: LeftOut = field(default_factory=LeftOut)


@dataclass(frozen=True)
class Evaluation:
    """Accuracy and calibration on `images` photos, as fractions of 1."""

    images: int
    top1: float
    top5: float
    ece: float  # expected calibration error
    ece_by_chance: float  # the error that a perfectly calibrated network would show on average, with as many photos
    per_class: dict[str, float] = field(repr=False)  # top-1 accuracy of each class of the data that the network has
    skipped: tuple[str, ...] = field(repr=False)  # names of photos that cannot be read
    left_out: LeftOut = field(default_factory=LeftOut)


def evaluate(pretrained: PretrainedModel, photos: LabelledPhotos, progress: Progress = iter) -> Evaluation:
    """Evaluate on every photo of a class that the network has. `progress` may wrap the iteration over batches.

    Raises:
        DataError: if the network has none of the data's classes, or no photo can be read.
    """
    return evaluate_logits(pretrained, photos, labelled_logits(pretrained, photos, progress))


def labelled_logits(pretrained: PretrainedModel, photos: LabelledPhotos, progress: Progress = iter) -> LabelledLogits:
    """Compute the logits of every readable photo of a class that the network has.

    Raises:
        DataError: as `evaluate`.
    """
    classes = match_classes(pretrained, photos)
    known, left_out = known_photos(pretrained, photos)
    logits, readable, skipped = _logits_of_readable(pretrained, known, progress)
    targets = torch.tensor([classes[known.targets[index]] for index in readable])
    indices = [index for index, target in enumerate(photos.targets) if classes[target] is not None]
    return LabelledLogits(logits, targets, tuple(indices[index] for index in readable), skipped, left_out)


def unlabelled_logits(
    pretrained: PretrainedModel, photos: LabelledPhotos, progress: Progress = iter
) -> tuple[Tensor, tuple[str, ...]]:
    """Compute the logits (N, classes) of all readable photos, and list the names of the others.

    Raises:
        DataError: if no photo can be read.
    """
    logits, _, skipped = _logits_of_readable(pretrained, photos, progress)
    return logits, skipped


@torch.inference_mode()
def _logits_of_readable(
    pretrained: PretrainedModel, photos: LabelledPhotos, progress: Progress
) -> tuple[Tensor, tuple[int, ...], tuple[str, ...]]:
    """Return the logits (N, classes), their photos' indices, and the names of photos that cannot be read."""
    logits: list[Tensor] = []
    readable: list[int] = []
    skipped: list[str] = []
    for batch in input_batches(pretrained, photos, progress):
        readable += batch.readable
        skipped += [photos.name(index) for index in batch.unreadable]
        if batch.readable:
            logits.append(_logits(pretrained, batch.inputs))
    return torch.cat(logits), tuple(readable), tuple(skipped)


@dataclass(frozen=True, eq=False)
class InputBatch:
    """Network inputs (N, 3, size, size) of the `readable` ones among some photos, which are numbered as in the data."""

    readable: tuple[int, ...]
    unreadable: tuple[int, ...]
    inputs: Tensor = field(repr=False)


def input_batches(
    pretrained: PretrainedModel, photos: LabelledPhotos, progress: Progress = iter
) -> Iterator[InputBatch]:
    """Read all photos, `BATCH` at a time.

    Raises:
        DataError: behind the last batch, if no photo can be read.
    """
    count = 0
    with ThreadPoolExecutor(available_cores()) as pool:
        for start in progress(range(0, len(photos), BATCH)):
            batch = range(start, min(start + BATCH, len(photos)))
            read = dict(zip(batch, pool.map(lambda index: _input(pretrained, photos, index), batch), strict=True))
            inputs = {index: tensor for index, tensor in read.items() if tensor is not None}
            count += len(inputs)
            yield InputBatch(
                readable=tuple(inputs),
                unreadable=tuple(index for index in batch if index not in inputs),
                inputs=torch.cat([torch.empty(0, 3, pretrained.input_size, pretrained.input_size), *inputs.values()]),
            )
    if not count:
        raise DataError(
            "data_unreadable",
            "None of {count} can be read; please check the files.",
            count=counted(len(photos), "photo"),
        )


def evaluate_logits(pretrained: PretrainedModel, photos: LabelledPhotos, answers: LabelledLogits) -> Evaluation:
    """Evaluate logits that `labelled_logits` computed, with the calibration of `pretrained`."""
    classes = match_classes(pretrained, photos)
    probabilities, targets = pretrained.probabilities(answers.logits).numpy(), answers.targets.numpy()
    # By logits, because the smaller probabilities of a small temperature all round to 0.
    order = np.argsort(-answers.logits.numpy(), axis=1, kind="stable")[:, :5]
    hits = order == targets[:, None]
    class_rows = [(name, targets == index) for name, index in zip(_distinct_names(photos), classes, strict=True)]
    return Evaluation(
        images=len(targets),
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(axis=1).mean()),
        ece=calibration_error(probabilities.max(axis=1), hits[:, 0]),
        ece_by_chance=calibration_error_by_chance(probabilities.max(axis=1)),
        per_class={name: float(hits[rows, 0].mean()) for name, rows in class_rows if rows.any()},
        skipped=answers.skipped,
        left_out=answers.left_out,
    )


def _distinct_names(photos: LabelledPhotos) -> list[str]:
    """Return the data's class names; names that occur twice have their WordNet id or number appended."""
    count = Counter(photos.classes)
    ids = photos.wnids or ("",) * len(photos.classes)
    return [
        name if count[name] == 1 else f"{name} ({wnid or number})"
        for number, (name, wnid) in enumerate(zip(photos.classes, ids, strict=True))
    ]


def _input(pretrained: PretrainedModel, photos: LabelledPhotos, index: int) -> Tensor | None:
    try:
        return pretrained.preprocessing.to_tensor(pretrained.preprocessing.apply(photos.photo(index)))
    except PhotoError:
        return None


def _logits(pretrained: PretrainedModel, batch: Tensor) -> Tensor:
    x = batch.to(pretrained.device).contiguous(memory_format=torch.channels_last)
    logits = pretrained.engine.logits(x).float().cpu()
    check_overflow(pretrained.name, [logits])
    return logits


def calibration_error(confidences: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float:
    """Compute the expected calibration error over bins of equal width (Guo et al. 2017).

    `confidences` (N,) are the probabilities of the predicted classes, `correct` (N,) whether the predictions are
    right. Bins are weighted by their number of photos.
    """
    bin_indices = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = (
        rows.mean() * abs(confidences[rows].mean() - correct[rows].mean())
        for rows in (bin_indices == index for index in range(bins))
        if rows.any()
    )
    return float(sum(gaps))


def calibration_error_by_chance(confidences: np.ndarray, draws: int = CHANCE_DRAWS) -> float:
    """Compute the mean calibration error of a perfectly calibrated network with these `confidences` (N,).

    It is above 0, because the accuracy of a bin with few photos differs from their mean confidence by chance: whether
    a prediction is right is drawn `draws` times with its confidence as the probability, with a fixed seed.
    """
    rng = np.random.default_rng(0)
    errors = (calibration_error(confidences, rng.random(len(confidences)) < confidences) for _ in range(draws))
    return float(np.mean(list(errors)))
