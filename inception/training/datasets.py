"""Data sets of labelled photos: folders of classes, or Parquet files in the layout of the Hugging Face hub."""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..checks import choice
from ..errors import QUOTED_CHARACTERS, UserError, quoted
from ..pretrained.description import MAX_CLASSES, class_labels
from ..pretrained.labels import first_name
from ..runtime.files import is_file, is_folder, is_there, one_line
from ..runtime.plain_text import plain
from ..runtime.wording import counted
from ..vision.photo import PHOTO_SUFFIXES, open_photo

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}
NAMES_FILE = "classes.json"
HUB_FILES = ["*.parquet", "data/*.parquet", NAMES_FILE]  # to fetch of a data set on the hub
MAX_NAMES_FILE_BYTES = 32 * 2**20
MAX_NAME = 1000  # characters of a class name
NAMES_SHOWN = 5  # in an error
WNID = re.compile(r"n\d{8}")  # WordNet id of a noun, ImageNet's class identifier


class DataError(UserError):
    """A data set that cannot be used."""


def first_names(names: Sequence[str]) -> str:
    """Return the first `NAMES_SHOWN` names of classes for an error, each shortened."""
    return ", ".join(plain(name, QUOTED_CHARACTERS) for name in names[:NAMES_SHOWN])


def names_collide(name: str) -> DataError:
    """Return the error for several classes with one first name."""
    return DataError(
        "data_names_collide",
        "Two classes are called {name} (case and what follows a comma do not count); please rename one.",
        name=quoted(name),
    )


def _targets_by_name(names: Iterable[str]) -> dict[str, list[int]]:
    targets: dict[str, list[int]] = {}
    for target, name in enumerate(names):
        targets.setdefault(name, []).append(target)
    return targets


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos and their classes; photos are opened lazily.

    Attributes:
        classes: class names.
        sources: paths or encoded bytes.
        targets: index of each photo's class.
        names: of the photos; by default their paths or indices.
        wnids: WordNet id of each class, "" for a class without one; empty if no class has one.
    """

    classes: tuple[str, ...]
    sources: Sequence[Path | bytes] = field(repr=False)
    targets: Sequence[int] = field(repr=False)
    names: Sequence[str] = field(default=(), repr=False)
    wnids: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    def __post_init__(self) -> None:
        # The same names that a checkpoint trained on these photos has.
        object.__setattr__(self, "classes", class_labels(self.classes))

    def photo(self, index: int) -> Image.Image:
        """Open a photo as an upright RGB image.

        Raises:
            PhotoError: if it cannot be read.
        """
        return open_photo(self.sources[index])

    def name(self, index: int) -> str:
        """Return a photo's name for messages."""
        if self.names:
            return self.names[index]
        source = self.sources[index]
        return f"photo {index}" if isinstance(source, bytes) else str(source)

    def select_classes(self, wanted: Sequence[str]) -> LabelledPhotos:
        """Return the photos of some classes, renumbered in the order of `wanted`.

        A class is named by its whole name or by its first name (`labels.first_name`).

        Raises:
            DataError: if a class does not exist, or several have the name.
        """
        whole, first = _targets_by_name(self.classes), _targets_by_name(map(first_name, self.classes))
        chosen: list[int] = []
        for name in wanted:
            targets = whole.get(name) or first.get(first_name(name), [])
            if not targets:
                raise DataError(
                    "data_no_class",
                    "The data has no class {name}; it has {some}.",
                    name=quoted(name),
                    some=first_names(self.classes) + (", …" if len(self.classes) > NAMES_SHOWN else ""),
                )
            if len(targets) > 1:
                raise names_collide(first_name(name))
            chosen += targets
        new_targets = {target: number for number, target in enumerate(dict.fromkeys(chosen))}
        selected = self.subset([index for index, target in enumerate(self.targets) if target in new_targets])
        return replace(
            selected,
            classes=tuple(self.classes[target] for target in new_targets),
            targets=[new_targets[target] for target in selected.targets],
            wnids=tuple(self.wnids[target] for target in new_targets) if self.wnids else (),
        )

    def evenly(self, count: int) -> LabelledPhotos:
        """Return `count` photos, taken evenly from all; all of them if there are no more."""
        if count >= len(self):
            return self
        return self.subset([number * len(self) // count for number in range(count)])

    def subset(self, indices: Sequence[int]) -> LabelledPhotos:
        """Return the photos with these indices; the classes stay."""
        return replace(
            self,
            sources=[self.sources[index] for index in indices],
            targets=[self.targets[index] for index in indices],
            names=[self.name(index) for index in indices],
        )


def labelled_photos(path: Path, split: str = "val") -> LabelledPhotos:
    """Read one split ("train", "val" or "test") of a data set.

    `path` is a folder of class folders, a folder with `train/` and `val/` of that kind, a Parquet file, or a folder of
    Parquet files whose names start with the split (`valid-…`, `train-…`). Parquet rows have `image: {bytes, path}` and
    `label`; class names are in the file's metadata. Class names that are WordNet ids are kept as `wnids`, and a
    `classes.json` in the folder may give their readable names. Control characters in names are escaped.

    Raises:
        DataError: if there is no such split, a folder cannot be read, or there are fewer than two classes with photos.
        ChoiceError: if `split` is not one of `SPLITS`.
    """
    choice("split", split, tuple(SPLITS))
    if is_file(path) and path.suffix == ".parquet":
        return _with_two_classes(_from_parquet([path]), path)
    if not is_folder(path):
        raise DataError(
            "data_missing",
            "There is no data at {path}; name a folder with one folder for each class, or parquet files.",
            path=quoted(str(path)),
        )
    try:
        parts = _parts(path)
        if parts and parts[0].suffix == ".parquet":
            return _with_two_classes(_from_parquet(_parts_of_split(parts, split, path)), path)
        folder = _parts_of_split(parts, split, path)[0] if parts else path
        return _with_two_classes(_from_folders(folder, path / NAMES_FILE), folder)
    except OSError as error:
        raise _folder_error(error, path) from error


def _folder_error(error: OSError, path: Path) -> DataError:
    """Return the error for data at `path` of which a folder cannot be read."""
    return DataError(
        "data_folder",
        "The folder {path} cannot be read ({why}); please check its permissions.",
        path=quoted(str(error.filename or path)),
        why=error.strerror,
    )


def unlabelled_photos(path: Path) -> LabelledPhotos:
    """Return all photos in a folder and its subfolders, sorted by path, with the single class "unknown".

    Raises:
        DataError: if there are none, or a folder cannot be read.
    """
    try:
        files = _photos_in(path) if is_folder(path) else []
    except OSError as error:
        raise _folder_error(error, path) from error
    if not files:
        raise DataError(
            "data_no_photos",
            "There are no photos ({kinds}) in {path}; please name another folder.",
            kinds=" ".join(PHOTO_SUFFIXES),
            path=quoted(str(path)),
        )
    return LabelledPhotos(("unknown",), files, [0] * len(files))


def ignored_text(path: Path) -> str:
    """Return how many files in a folder are ignored because of their names' ends: "3 .heic, 1 .txt", or "".

    Only folders of photos are counted, not those of Parquet files, and only files in subfolders, as classes are.
    """
    try:
        parquet = not is_folder(path) or any(part.suffix == ".parquet" for part in _parts(path))
        files = () if parquet else (file for file in _visible(path) if file.parent != path)
        others = (file for file in files if file.suffix.lower() not in PHOTO_SUFFIXES and _is_regular(file))
        counts = Counter(file.suffix.lower() or "without an ending" for file in others)
    except OSError:
        return ""  # reading the photos reports the error
    return ", ".join(f"{count} {plain(end, QUOTED_CHARACTERS)}" for end, count in counts.most_common())


def _photos_in(folder: Path) -> list[Path]:
    return sorted(file for file in _visible(folder) if file.suffix.lower() in PHOTO_SUFFIXES and _is_regular(file))


def _visible(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, except hidden ones, such as `._1.jpg` of macOS.

    Hidden folders are skipped, and links to folders are not followed.

    Raises:
        OSError: if a folder cannot be listed.
    """

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _is_regular(file: Path) -> bool:
    """Return whether a file may be opened: not a folder, and not a pipe, which could block for ever."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return True  # opening it reports the error


def _parts(path: Path) -> list[Path]:
    """Return the Parquet files of a folder, or its split folders, or nothing if it holds class folders."""
    for folder in (path, path / "data"):
        if files := sorted(folder.glob("*.parquet")):
            return files
    folders = _visible_folders(path)
    # A class may be called "val", so these are splits only if all folders are.
    return folders if all(_split_of(folder.name) for folder in folders) else []


def _visible_folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def splits_of(path: Path) -> set[str]:
    """Return the splits ("train", "val", "test") into which a folder is divided; none if it is not divided."""
    try:
        parts = _parts(path) if is_folder(path) else []
    except OSError:
        parts = []  # reading the photos reports the error
    return {split for part in parts if (split := _split_of(part.name))}


def locate_data(data: str) -> Path:
    """Return the path that `data` names, after downloading it if it is a data set on the Hugging Face hub (owner/name).

    Raises:
        DataError: if there is no such data set, or it cannot be fetched.
    """
    path = Path(data)
    if is_there(path) or not re.fullmatch(r"[\w.-]+/[\w.-]+", data) or data.startswith("."):
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
            name=quoted(data),
        ) from error
    # Network and disk raise many types of errors.
    except Exception as error:
        raise DataError(
            "data_hub",
            "There is no folder {name} here, and the data set of that name could not be fetched from the Hugging Face "
            "hub; please check the name and the network.",
            name=quoted(data),
        ) from error


def _split_of(name: str) -> str | None:
    """Return the split in a file's or folder's name, for instance "val" in `valid-00000-of-00001.parquet`."""
    first = re.split(r"[-_.]", name.lower())[0]
    return next((split for split, names in SPLITS.items() if first in names), None)


def _parts_of_split(parts: list[Path], split: str, path: Path) -> list[Path]:
    splits = {_split_of(part.name) for part in parts}
    if splits == {None}:
        return parts
    if split not in splits:
        raise DataError(
            "data_split",
            "{path} has no part {split}; it has {others}. Please name one of them with --split.",
            path=quoted(str(path)),
            split=quoted(split),
            others=", ".join(sorted(name for name in splits if name)),
        )
    return [part for part in parts if _split_of(part.name) == split]


def _from_folders(path: Path, names_file: Path) -> LabelledPhotos:
    folders = _visible_folders(path)
    sources: list[Path] = []
    targets: list[int] = []
    for target, folder in enumerate(folders):
        photos = _photos_in(folder)
        if not photos:
            raise DataError(
                "data_empty_class",
                "The class {name} has no photos ({kinds}); please add some or remove its folder.",
                name=quoted(folder.name),
                kinds=" ".join(PHOTO_SUFFIXES),
            )
        sources += photos
        targets += [target] * len(photos)
    classes, wnids = _names_and_wnids([folder.name for folder in folders], names_file)
    return LabelledPhotos(classes, sources, targets, wnids=wnids)


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
            sources += [data or b"" for data in table.column("image").combine_chunks().field("bytes").to_pylist()]
            targets += table.column("label").to_pylist()
        if not all(isinstance(data, bytes) for data in sources) or not all(isinstance(label, int) for label in targets):
            raise TypeError("bytes and whole numbers are needed")
    # pyarrow raises KeyError for a missing column and ValueError for a file that is not Parquet.
    except (ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            "data_parquet",
            "{file} cannot be read as photos; parquet files need the columns image {{bytes, path}} and label, a whole "
            "number for each photo.",
            file=quoted(file.name),
        ) from error
    low, high = min(targets, default=0), max(targets, default=-1)
    names = _class_names(metadata, files[-1].name) or [
        f"class {number}" for number in range(min(high + 1, MAX_CLASSES))
    ]
    if targets and not 0 <= low <= high < len(names):
        raise DataError(
            "data_label",
            "The labels go from {low} to {high}, but there are names for {count}; please check the data.",
            low=low,
            high=high,
            count=counted(len(names), "class", "classes"),
        )
    classes, wnids = _names_and_wnids(names, files[0].with_name(NAMES_FILE))
    return LabelledPhotos(classes, sources, targets, wnids=wnids)


def _class_names(metadata: Mapping[bytes, bytes], file: str) -> list[str]:
    """Return the class names in the metadata that Hugging Face `datasets` writes into Parquet files, or none."""
    try:
        info: Any = json.loads(metadata.get(b"huggingface", b"{}"))
        names = info.get("info", {}).get("features", {}).get("label", {}).get("names") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("names are a list of strings")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            "data_metadata",
            "The metadata of {file} (huggingface) has no valid class names; please write it again.",
            file=quoted(file),
        ) from error
    return names


def _names_and_wnids(names: Sequence[str], names_file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the readable names and the WordNet ids of classes that the data calls `names`."""
    readable = _readable_names(names_file) if is_file(names_file) else {}
    classes = tuple(one_line(readable.get(name, name)) for name in names)
    if len(classes) > MAX_CLASSES or max(map(len, classes), default=0) > MAX_NAME:
        raise DataError(
            "data_names",
            "The data has too many classes, or a class name that is too long; at most {most} classes and {longest} "
            "characters are allowed.",
            most=MAX_CLASSES,
            longest=MAX_NAME,
        )
    wnids = tuple(name if WNID.fullmatch(name) else "" for name in names)
    return classes, wnids if any(wnids) else ()


def _readable_names(file: Path) -> dict[str, str]:
    """Read a mapping from WordNet ids to names."""
    try:
        if file.stat().st_size > MAX_NAMES_FILE_BYTES:
            raise ValueError("it is too large")
        readable = {row["wnid"]: row["name"] for row in json.loads(file.read_text(encoding="utf-8"))}
        if not all(isinstance(text, str) for pair in readable.items() for text in pair):
            raise TypeError("both are strings")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            "data_class_names",
            "{file} cannot be read; it is a list of objects with wnid and name, of at most {limit} MB. Please correct "
            "or remove it.",
            file=file.name,
            limit=MAX_NAMES_FILE_BYTES // 2**20,
        ) from error
    return readable


def _with_two_classes(photos: LabelledPhotos, path: Path) -> LabelledPhotos:
    if len(photos.classes) < 2 or not len(photos):
        raise DataError(
            "data_one_class",
            "{path} holds photos of {count}; at least two classes are needed, each in a folder of its own.",
            path=quoted(str(path)),
            count=counted(len(photos.classes) if len(photos) else 0, "class", "classes"),
        )
    return photos
