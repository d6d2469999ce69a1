"""Splits of a data set: training, held-out and validation photos."""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import quoted
from ..pretrained.labels import first_name
from ..runtime.files import is_file
from ..runtime.wording import counted
from .datasets import labelled_photos, splits_of, unlabelled_photos
from .photos import DataError, LabelledPhotos, names_collide


def training_photos(
    path: Path, val_share: float, classes: Sequence[str] = (), seed: int = 0
) -> tuple[LabelledPhotos, LabelledPhotos]:
    """Return the training and the validation photos, of all classes or of those named.

    Data without a validation split gets one of `val_share` of each class, at least one photo. A test split is not used.

    Raises:
        DataError: if there is no training split, a class has no photos in one of the two, or two classes have the same
            name.
    """
    photos = _select(_training_part(path), classes)
    if "val" not in splits_of(path):
        training, validation = split_photos(_checked(photos), val_share, seed)
        return photos.subset(training), photos.subset(validation)
    val = _select(labelled_photos(path, "val"), classes)
    missing = sorted(_present(photos) ^ _present(val))
    if missing:
        raise DataError(
            "data_val_classes",
            "The class {name} has photos in only one of the training and the validation part; please give it some in "
            "both, or take it out.",
            name=quoted(missing[0]),
        )
    return _checked(photos), val.select_classes(photos.classes)


def _training_part(path: Path) -> LabelledPhotos:
    """Return the train split, or all photos of data that are not divided."""
    splits = splits_of(path)
    if splits and "train" not in splits:
        raise DataError(
            "data_no_train",
            "{path} has no part 'train'; it has {others}. Please add one, or name a folder of class folders.",
            path=quoted(str(path)),
            others=", ".join(sorted(splits)),
        )
    return labelled_photos(path, "train")


def _select(photos: LabelledPhotos, classes: Sequence[str]) -> LabelledPhotos:
    return photos.select_classes(classes) if classes else photos


def _present(photos: LabelledPhotos) -> set[str]:
    return {photos.classes[target] for target in set(photos.targets)}


def _checked(photos: LabelledPhotos) -> LabelledPhotos:
    duplicates = [name for name, count in Counter(first_name(name) for name in photos.classes).items() if count > 1]
    if duplicates:
        raise names_collide(duplicates[0])
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
    return _training_part(path) if is_file(path) or splits_of(path) else unlabelled_photos(path)


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


def fingerprint(*parts: LabelledPhotos) -> str:
    """Return a digest of the photos and classes of some parts of a data set, in their order.

    Of a file, its folder and name count, so that a data set may be moved; of encoded photos, their bytes.
    """
    digest = hashlib.sha256()
    for photos in parts:
        for source, target in zip(photos.sources, photos.targets, strict=True):
            facts = source if isinstance(source, bytes) else os.fsencode(Path(*source.parts[-2:]))
            digest.update(b"%d %d " % (target, len(facts)))
            digest.update(facts)
        digest.update(b"|")
    return digest.hexdigest()
