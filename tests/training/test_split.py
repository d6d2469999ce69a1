"""Splits of a data set: supported folder layouts, and the fingerprint of photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inception.training.datasets import labelled_photos
from inception.training.photos import DataError, LabelledPhotos
from inception.training.split import fingerprint, further_photos, split_photos, training_photos
from support.training import COLOURS, colour_folders


def _names(photos: LabelledPhotos) -> set[str]:
    return {photos.name(index) for index in range(len(photos))}


@pytest.mark.parametrize("others", [(), ("test",)], ids=["train", "train and test"])
def test_without_a_val_part_validation_photos_are_taken_from_the_train_part(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    for part in ("train", *others):
        colour_folders(tmp_path / part, COLOURS, 10)
    photos, val = training_photos(tmp_path, 0.2)
    assert (len(photos), len(val), photos.classes) == (16, 4, ("grass", "sky"))
    assert _names(photos) | _names(val) == _names(labelled_photos(tmp_path, "train"))


def test_a_val_part_is_used_unchanged(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 3), ("test", 2)):
        colour_folders(tmp_path / part, COLOURS, count)
    photos, val = training_photos(tmp_path, 0.2)
    assert (len(photos), len(val)) == (12, 6)


def test_the_error_for_a_missing_train_part_names_no_option_of_another_command(tmp_path: Path) -> None:
    colour_folders(tmp_path / "val", COLOURS, 3)
    for read in (lambda: training_photos(tmp_path, 0.2), lambda: further_photos(tmp_path)):
        with pytest.raises(DataError, match="has no part 'train'; it has val") as error:
            read()
        assert "--split" not in str(error.value)


def test_a_hidden_folder_beside_the_parts_is_not_a_class(tmp_path: Path) -> None:
    for part in ("train", "val"):
        colour_folders(tmp_path / part, COLOURS, 4)
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert training_photos(tmp_path, 0.2)[0].classes == ("grass", "sky")


def test_the_fingerprint_depends_on_the_photos_and_not_on_their_folder(tmp_path: Path) -> None:
    photos, copy = (
        labelled_photos(colour_folders(tmp_path / place / "data", COLOURS, 6)) for place in ("here", "there")
    )
    assert fingerprint(photos) == fingerprint(copy)
    train, val = (photos.subset(part) for part in split_photos(photos, 0.5, 0))
    other_train, other_val = (photos.subset(part) for part in split_photos(photos, 0.5, 1))
    assert fingerprint(train, val) != fingerprint(other_train, other_val)
    assert fingerprint(train, val) != fingerprint(val, train)
    assert fingerprint(replace(photos, targets=[1 - target for target in photos.targets])) != fingerprint(photos)
    encoded = [LabelledPhotos(("a", "b"), sources, [0, 1]) for sources in ([b"one", b"two"], [b"one", b"too"])]
    assert fingerprint(encoded[0]) != fingerprint(encoded[1])
