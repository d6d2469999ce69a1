"""Data sets of labelled photos: folders of classes, or Parquet files in the layout of the Hugging Face hub."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..checks import choice
from ..errors import QUOTED_CHARACTERS, quoted
from ..runtime.files import is_file, is_folder, is_there
from ..runtime.plain_text import plain
from ..runtime.wording import counted
from ..vision.photo import PHOTO_SUFFIXES
from .class_names import NAMES_FILE, names_and_wnids
from .parquet_photos import read_parquet
from .photos import DataError, LabelledPhotos

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}
HUB_FILES = ["*.parquet", "data/*.parquet", NAMES_FILE]  # to fetch of a data set on the hub


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
        return _with_two_classes(read_parquet([path], path.with_name(NAMES_FILE)), path)
    if not is_folder(path):
        raise DataError(
            "data_missing",
            "There is no data at {path}; name a folder with one folder for each class, or parquet files.",
            path=quoted(str(path)),
        )
    try:
        parts = _parts(path)
        if parts and parts[0].suffix == ".parquet":
            return _with_two_classes(read_parquet(_parts_of_split(parts, split, path), path / NAMES_FILE), path)
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
    classes, wnids = names_and_wnids([folder.name for folder in folders], names_file)
    return LabelledPhotos(classes, sources, targets, wnids=wnids)


def _with_two_classes(photos: LabelledPhotos, path: Path) -> LabelledPhotos:
    if len(photos.classes) < 2 or not len(photos):
        raise DataError(
            "data_one_class",
            "{path} holds photos of {count}; at least two classes are needed, each in a folder of its own.",
            path=quoted(str(path)),
            count=counted(len(photos.classes) if len(photos) else 0, "class", "classes"),
        )
    return photos
