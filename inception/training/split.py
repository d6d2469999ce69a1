"""Splits of a data set: training, held-out and validation photos."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import quoted
from ..pretrained.labels import first_name
from ..runtime.files import is_file
from ..runtime.wording import counted
from .datasets import DataError, LabelledPhotos, has_splits, labelled_photos, unlabelled_photos


def training_photos(
    path: Path, val_share: float, classes: Sequence[str] = (), seed: int = 0
) -> tuple[LabelledPhotos, LabelledPhotos]:
    """Return the training and the validation photos, of all classes or of those named.

    Data without a validation split gets one of `val_share` of each class, at least one photo.

    Raises:
        DataError: if a split is missing, a class has no photos in one of them, or two classes have the same name.
    """
    if not has_splits(path):
        photos = _checked(_select(labelled_photos(path), classes))
        training, validation = split_photos(photos, val_share, seed)
        return photos.subset(training), photos.subset(validation)
    photos, val = (_select(labelled_photos(path, split), classes) for split in ("train", "val"))
    missing = sorted(_present(photos) ^ _present(val))
    if missing:
        raise DataError(
            "data_val_classes",
            "The class {name} has photos in only one of the training and the validation part; please give it some in "
            "both, or take it out.",
            name=quoted(missing[0]),
        )
    return _checked(photos), val.select_classes(photos.classes)


def _select(photos: LabelledPhotos, classes: Sequence[str]) -> LabelledPhotos:
    return photos.select_classes(classes) if classes else photos


def _present(photos: LabelledPhotos) -> set[str]:
    return {photos.classes[target] for target in set(photos.targets)}


def _checked(photos: LabelledPhotos) -> LabelledPhotos:
    duplicates = [name for name, count in Counter(first_name(name) for name in photos.classes).items() if count > 1]
    if duplicates:
        raise DataError(
            "data_names_collide",
            "Two classes are called {name} (case and what follows a comma do not count); please rename one.",
            name=quoted(duplicates[0]),
        )
    if len(photos.classes) < 2:
        raise DataError(
            "data_too_few_classes",
            "There is one class only, {name}; at least two are needed.",
            name=quoted(photos.classes[0]),
        )
    empty = sorted(set(photos.classes) - _present(photos))
    if empty:
        raise DataError(
            "data_class_without_photos", "The class {name} has no photos; please add some.", name=quoted(empty[0])
        )
    return photos


def further_photos(path: Path) -> LabelledPhotos:
    """Return photos for distillation without labels: the train split of a data set, or all photos in a folder.

    Raises:
        DataError: if there are none.
    """
    return labelled_photos(path, "train") if is_file(path) or has_splits(path) else unlabelled_photos(path)


def split_photos(
    photos: LabelledPhotos, share: float, seed: int, maximum: int | None = None
) -> tuple[list[int], list[int]]:
    """Split photos at random and return the indices of both parts.

    The second part has `share` of each class, at least one photo and at most `maximum`.

    Raises:
        DataError: if a class has only one photo.
    """
    order = list(range(len(photos)))
    random.Random(seed).shuffle(order)
    by_class: dict[int, list[int]] = {target: [] for target in range(len(photos.classes))}
    for index in order:
        by_class[photos.targets[index]].append(index)
    second: list[int] = []
    for target, indices in by_class.items():
        if len(indices) < 2:
            raise DataError(
                "data_single_photo",
                "The class {name} has {count} to train with; at least three are needed, twenty or more are better.",
                name=quoted(photos.classes[target]),
                count=counted(len(indices), "photo"),
            )
        count = max(1, min(round(share * len(indices)), len(indices) - 1))
        second += indices[: count if maximum is None else min(count, maximum)]
    return sorted(set(order) - set(second)), sorted(second)
