"""Labelled photos: folders of classes, or parquet files as public image data sets have them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from .description import class_labels
from .errors import ChoiceError, UserError
from .photo import open_photo

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")


# Of a data set on the hub: its parquet files, and names for its classes.
HUB_FILES = ["*.parquet", "data/*.parquet", "classes.json"]


class DataError(UserError):
    """A data set that cannot be used."""


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos with the number of their class; a photo is opened when it is asked for.

    `sources` holds paths or encoded bytes, `targets` indexes `classes`.
    """

    classes: tuple[str, ...]
    sources: Sequence[Path | bytes] = field(repr=False)
    targets: Sequence[int] = field(repr=False)
    names: Sequence[str] = field(default=(), repr=False)  # what to call the photos, where the sources do not tell

    def __len__(self) -> int:
        return len(self.sources)

    def __post_init__(self) -> None:
        # As a checkpoint has them that was trained on these photos.
        object.__setattr__(self, "classes", class_labels(self.classes))

    def photo(self, index: int) -> Image.Image:
        """An upright RGB photo.

        Raises:
            PhotoError: if this one cannot be read.
        """
        return open_photo(self.sources[index])

    def name(self, index: int) -> str:
        """What to call a photo when it is told that it cannot be read."""
        if self.names:
            return self.names[index]
        source = self.sources[index]
        return f"photo {index}" if isinstance(source, bytes) else str(source)

    def of_classes(self, wanted: Sequence[str]) -> LabelledPhotos:
        """The photos of some classes only, which are numbered anew in this order.

        Raises:
            DataError: if there is no such class.
        """
        known = {first_name(name): target for target, name in enumerate(self.classes)}
        for name in wanted:
            if first_name(name) not in known:
                raise DataError(
                    "data_no_class",
                    "The data has no class {name}; it has {some}.",
                    name=repr(name),
                    some=", ".join(self.classes[:5]) + (", …" if len(self.classes) > 5 else ""),
                )
        numbers = {known[first_name(name)]: number for number, name in enumerate(wanted)}
        chosen = self.subset([index for index, target in enumerate(self.targets) if target in numbers])
        return replace(
            chosen,
            classes=tuple(self.classes[target] for target in numbers),
            targets=[numbers[target] for target in chosen.targets],
        )

    def subset(self, indices: Sequence[int]) -> LabelledPhotos:
        """Some of the photos, of the same classes."""
        return LabelledPhotos(
            self.classes,
            [self.sources[index] for index in indices],
            [self.targets[index] for index in indices],
            [self.name(index) for index in indices],
        )


def first_name(label: str) -> str:
    """By what a class is recognised: of "Goldfish, Carassius auratus" it is "goldfish"."""
    return label.split(",")[0].strip().lower()


def labelled_photos(path: Path, split: str = "val") -> LabelledPhotos:
    """The photos of one split ("train", "val" or "test") of a data set.

    `path` is a folder of class folders, a folder with `train/` and `val/` of that kind, a parquet
    file, or a folder of parquet files whose names begin with the split (`valid-…`, `train-…`).
    Parquet rows have `image: {bytes, path}` and `label`; class names come from the file's metadata
    or from a `classes.json` beside it.

    Raises:
        DataError: if there is no such split, or no photos of at least two classes in it.
        ChoiceError: if `split` is none of `SPLITS`.
    """
    if path.is_file() and path.suffix == ".parquet":
        return _checked(_from_parquet([path]), path)
    if not path.is_dir():
        raise DataError(
            "data_missing",
            "There is no data at {path}; name a folder with one folder for each class, or parquet files.",
            path=repr(str(path)),
        )
    if split not in SPLITS:
        raise ChoiceError("split", split, tuple(SPLITS))
    parts = _parts(path)
    if parts and parts[0].suffix == ".parquet":
        return _checked(_from_parquet(_of_split(parts, split, path)), path)
    folder = _of_split(parts, split, path)[0] if parts else path
    return _checked(_from_folders(folder), folder)


def unlabelled_photos(path: Path) -> LabelledPhotos:
    """All photos in a folder and in the folders within, sorted by path; they count as one class, "unknown".

    Raises:
        DataError: if there are none.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file())
    if not files:
        raise DataError("data_no_photos", "There are no photos in {path}.", path=repr(str(path)))
    return LabelledPhotos(("unknown",), files, [0] * len(files))


def _parts(path: Path) -> list[Path]:
    """The parquet files of a folder, or its folders of splits; nothing where it holds folders of classes."""
    for folder in (path, path / "data"):
        if files := sorted(folder.glob("*.parquet")):
            return files
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    # One class may well be called "val": only folders of splits and nothing else are taken for splits.
    return folders if all(_split_of(folder.name) for folder in folders) else []


def has_splits(path: Path) -> bool:
    """Whether a folder says which of its photos are for training and which for validation."""
    return path.is_dir() and any(_split_of(part.name) for part in _parts(path))


def located(data: str) -> Path:
    """The folder or file that `data` names; a data set of the Hugging Face hub (owner/name) is fetched first.

    Raises:
        DataError: if there is neither.
    """
    path = Path(data)
    if path.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", data) or data.startswith("."):
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        endpoint = os.environ.get("HF_ENDPOINT")  # read at each call, so that a mirror can be named at run time
        return Path(snapshot_download(data, repo_type="dataset", allow_patterns=HUB_FILES, endpoint=endpoint))
    except RepositoryNotFoundError as error:
        raise DataError(
            "data_hub_missing",
            "There is no folder {name} here and no such data set on the Hugging Face hub; please check the name.",
            name=repr(data),
        ) from error
    # Network and disk each raise errors of their own.
    except Exception as error:
        raise DataError(
            "data_hub",
            "There is no folder {name} here, and the data set of that name could not be fetched from the Hugging Face "
            "hub; please check the name and the network.",
            name=repr(data),
        ) from error


def _split_of(name: str) -> str | None:
    """ "val" for `val`, `valid-00000-of-00001.parquet` or `validation`, as data sets on the hub are named."""
    first = re.split(r"[-_.]", name.lower())[0]
    return next((split for split, names in SPLITS.items() if first in names), None)


def _of_split(found: list[Path], split: str, path: Path) -> list[Path]:
    splits = {_split_of(file.name) for file in found}
    if splits == {None}:
        return found
    if split not in splits:
        raise DataError(
            "data_split",
            "{path} has no part {split}; it has {others}. Please name one of them with --split.",
            path=repr(str(path)),
            split=repr(split),
            others=", ".join(sorted(name for name in splits if name)),
        )
    return [file for file in found if _split_of(file.name) == split]


def _from_folders(path: Path) -> LabelledPhotos:
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    sources: list[Path] = []
    targets: list[int] = []
    for target, folder in enumerate(folders):
        photos = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES)
        if not photos:
            raise DataError(
                "data_empty_class",
                "The class {name} has no photos ({kinds}); please add some or remove its folder.",
                name=repr(folder.name),
                kinds=" ".join(PHOTO_SUFFIXES),
            )
        sources += photos
        targets += [target] * len(photos)
    return LabelledPhotos(tuple(folder.name for folder in folders), sources, targets)


def _from_parquet(files: list[Path]) -> LabelledPhotos:
    import pyarrow.parquet as parquet
    from pyarrow import ArrowException

    sources: list[bytes] = []
    targets: list[int] = []
    metadata: dict[bytes, bytes] = {}
    try:
        for file in files:
            table = parquet.read_table(file, columns=["image", "label"])
            metadata = table.schema.metadata or metadata
            sources += table.column("image").combine_chunks().field("bytes").to_pylist()
            targets += table.column("label").to_pylist()
    # pyarrow says with a KeyError that a column is missing, with a ValueError that a file is none of its own.
    except (ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(
            "data_parquet",
            "{file} cannot be read as photos; parquet files need the columns image {{bytes, path}} and label.",
            file=file.name,
        ) from error
    return LabelledPhotos(_class_names(metadata, files[0].with_name("classes.json"), targets), sources, targets)


def _class_names(metadata: dict[bytes, bytes], beside: Path, targets: list[int]) -> tuple[str, ...]:
    features: dict[str, Any] = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    names = features.get("label", {}).get("names") or [f"class {i}" for i in range(max(targets, default=-1) + 1)]
    if beside.is_file():
        try:
            readable = {row["wnid"]: row["name"] for row in json.loads(beside.read_text(encoding="utf-8"))}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                "data_class_names",
                "{file} cannot be read; it is a list of objects with wnid and name. Please mend or remove it.",
                file=beside.name,
            ) from error
        names = [readable.get(name, name) for name in names]
    if targets and not 0 <= min(targets) <= max(targets) < len(names):
        raise DataError(
            "data_label",
            "The labels go from {low} to {high}, but {count} classes have names; please check the data.",
            low=min(targets),
            high=max(targets),
            count=len(names),
        )
    return tuple(names)


def _checked(photos: LabelledPhotos, path: Path) -> LabelledPhotos:
    if len(photos.classes) < 2 or not len(photos):
        raise DataError(
            "data_one_class",
            "{path} holds photos of {count} class(es); at least two classes are needed, each in a folder of its own.",
            path=repr(str(path)),
            count=len(photos.classes) if len(photos) else 0,
        )
    return photos
