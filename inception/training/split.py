"""Which photos are learned from, which choose the checkpoint, and which validate it."""

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
    """The photos to train with and those to validate with, of all classes or of those named.

    Where the data has no validation part of its own, `val_share` of each class is taken for it, at
    least one photo.

    Raises:
        DataError: if either cannot be had, a class lacks photos in one of them, or two classes
            have one name.
    """
    if not has_splits(path):
        photos = _checked(_chosen(labelled_photos(path), classes))
        learned, kept = split_off(photos, val_share, seed)
        return photos.subset(learned), photos.subset(kept)
    photos, val = (_chosen(labelled_photos(path, split), classes) for split in ("train", "val"))
    missing = sorted(_present(photos) ^ _present(val))
    if missing:
        raise DataError(
            "data_val_classes",
            "The class {name} has photos in only one of the training and the validation part; please give it some in "
            "both, or take it out.",
            name=quoted(missing[0]),
        )
    return _checked(photos), val.of_classes(photos.classes)


def _chosen(photos: LabelledPhotos, classes: Sequence[str]) -> LabelledPhotos:
    return photos.of_classes(classes) if classes else photos


def _present(photos: LabelledPhotos) -> set[str]:
    return {photos.classes[target] for target in set(photos.targets)}


def _checked(photos: LabelledPhotos) -> LabelledPhotos:
    twice = [name for name, count in Counter(first_name(name) for name in photos.classes).items() if count > 1]
    if twice:
        raise DataError(
            "data_names_collide",
            "Two classes are called {name} (case and what follows a comma do not count); please rename one.",
            name=quoted(twice[0]),
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
    """Photos to learn from without their labels: the train part of a data set, or all photos in a folder.

    Raises:
        DataError: if there are none.
    """
    return labelled_photos(path, "train") if is_file(path) or has_splits(path) else unlabelled_photos(path)


def split_off(photos: LabelledPhotos, share: float, seed: int, most: int | None = None) -> tuple[list[int], list[int]]:
    """Numbers of the photos that stay, and of those split off: of each class `share`, at least one and at most `most`.

    Raises:
        DataError: if a class has a single photo, so that one of the two would lack it.
    """
    order = list(range(len(photos)))
    random.Random(seed).shuffle(order)
    of_class: dict[int, list[int]] = {target: [] for target in range(len(photos.classes))}
    for index in order:
        of_class[photos.targets[index]].append(index)
    taken: list[int] = []
    for target, indices in of_class.items():
        if len(indices) < 2:
            raise DataError(
                "data_single_photo",
                "The class {name} has {count} to train with; at least three are needed, twenty or more are better.",
                name=quoted(photos.classes[target]),
                count=counted(len(indices), "photo"),
            )
        wanted = max(1, min(round(share * len(indices)), len(indices) - 1))
        taken += indices[: wanted if most is None else min(wanted, most)]
    return sorted(set(order) - set(taken)), sorted(taken)
