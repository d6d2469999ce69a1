"""A folder of photos: every one is looked at, as fast as the machine can, and nothing twice."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import torch
from PIL import Image
from tqdm import tqdm

from ..errors import PhotoError, UserError, quoted
from ..prediction import input_batch, top_classes_batch
from ..pretrained.pretrained import PretrainedModel
from ..runtime.files import as_text, is_folder
from ..runtime.threads import available_cores
from ..vision.photo import PHOTO_SUFFIXES, open_photo
from .parquet import Photo, Results, answer_row, check_name, refusal_row, settings

# Measured on two cores: 16 and 32 are alike at 128 pixels; at 224, 32 are slower by a fifth. For a GPU it is estimated:
# there launching the kernels costs about as much for a few photos as for many.
CPU_BATCH, GPU_BATCH = 16, 64

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Outcome:
    """What became of a folder's photos."""

    photos: int
    known: int  # answered by an earlier run, and not changed since
    refused: dict[str, str] = field(repr=False)  # path to the sentence why
    unreadable: tuple[str, ...] = field(repr=False)  # folders that could not be looked into


def the_folder(paths: Sequence[Path], out: Path | None) -> Path:
    """The one folder that the answers in `out` are to be about.

    Raises:
        UserError: if what is named is not one folder, or `out` is no parquet file.
    """
    folder = next((path for path in paths if is_folder(path)), None)
    if folder is None:
        raise UserError(
            "folder_none",
            "--out is for the answers for a folder of photos, and {name} is no folder; please name one, or leave out "
            "--out.",
            name=quoted(str(paths[0])),
        )
    if out is None:
        raise UserError(
            "folder_out",
            "{name} is a folder; please say with --out FILE.parquet where the answers for its photos shall go.",
            name=quoted(str(folder)),
        )
    if len(paths) > 1:
        raise UserError("folder_one", "--out takes the answers for one folder; please name one folder and no more.")
    check_name(out)
    return folder


def predict_folder(
    pretrained: PretrainedModel,
    folder: Path,
    out: Path,
    *,
    top: int = 5,
    batch: int | None = None,
    workers: int | None = None,
) -> Outcome:
    """Look at all photos of a folder and of those in it, and write one row for each into parquet file `out`.

    Rows are kept in parts beside `out` on the way, so a run that was interrupted, by whatever, goes
    on where it was; so does a finished one to whose folder photos came, or in which some were
    changed. A photo that is refused has its reason in its row.

    Args:
        top: how many classes a row tells.
        batch: photos that the network looks at together; it changes nothing but the speed.
        workers: threads that open photos and look at them, by default one for each core.

    Raises:
        UserError: if there are no photos, nothing can be written, or `out` holds something else.
    """
    check_name(out)
    results = Results(out, settings(pretrained, top))
    photos, unreadable = photos_in(folder)
    missing = results.missing(photos)
    if missing:
        results.begin()
        _query(
            pretrained, missing, results, len(photos), top, batch or _batch(pretrained), workers or available_cores()
        )
    table = results.finish(photos).select(["path", "error"])
    refused = {row["path"]: row["error"] for row in table.filter(table["error"].is_valid()).to_pylist()}
    return Outcome(len(photos), len(photos) - len(missing), refused, unreadable)


# ---------------------------------------------------------------- which photos


def photos_in(folder: Path) -> tuple[list[Photo], tuple[str, ...]]:
    """The photos of a folder and of those in it, by their paths, and the folders that cannot be looked into.

    Hidden files and folders are left alone, and links to folders are not followed.

    Raises:
        UserError: if there are none.
    """
    unreadable: list[OSError] = []
    photos: list[Photo] = []
    for where, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = (Path(where, name) for name in names if not name.startswith("."))
        photos += (photo for file in files if file.suffix.lower() in PHOTO_SUFFIXES and (photo := _photo(folder, file)))
    if not photos:
        raise UserError(
            "folder_empty",
            "There are no photos ({kinds}) in {name}; please name another folder.",
            kinds=" ".join(PHOTO_SUFFIXES),
            name=quoted(str(folder)),
        )
    photos.sort(key=lambda photo: photo.path)
    return photos, tuple(sorted(str(error.filename) for error in unreadable))


def _photo(folder: Path, file: Path) -> Photo | None:
    path = as_text(file.relative_to(folder))
    try:
        facts = file.stat()
    except OSError:
        return Photo(path, file, None, None)
    # Reading a pipe could take for ever.
    return Photo(path, file, facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None


# ---------------------------------------------------------------- looking at them


def _query(
    pretrained: PretrainedModel,
    photos: Sequence[Photo],
    results: Results,
    total: int,
    top: int,
    batch: int,
    workers: int,
) -> None:
    work = _Work(pretrained, top)
    groups = (photos[start : start + batch] for start in range(0, len(photos), batch))
    queries: dict[str, Any] = {"unit": " photos", "smoothing": 0.05, "dynamic_ncols": True, "leave": False}
    with (
        _threads(workers) as pool,
        # `disable=None`: no bar where nobody watches a terminal.
        tqdm(total=total, initial=total - len(photos), disable=None, **queries) as bar,
    ):
        try:
            for rows in _in_order(pool, work, groups, 2 * workers):
                results.add(rows)
                bar.update(len(rows))
        finally:
            results.keep()


class _Work:
    """From some photos to their rows, all in one thread.

    Each thread takes its photos from the file to the answer. On two cores that is a fifth to a third
    faster than decoding ahead of a network that has all cores at once, also where others use the
    machine: no core waits for another at the end of every layer.
    """

    def __init__(self, pretrained: PretrainedModel, top: int) -> None:
        _ = pretrained.engine  # made before the threads ask for it
        self.pretrained, self.top = pretrained, top
        # A GPU works on one batch after another anyway, and its memory should not have to hold several.
        self.turn: AbstractContextManager[Any] = nullcontext() if pretrained.device.type == "cpu" else Lock()

    def __call__(self, photos: Sequence[Photo]) -> list[dict[str, Any]]:
        seen: dict[Photo, Image.Image] = {}
        rows: dict[Photo, dict[str, Any]] = {}
        for photo in photos:
            try:
                seen[photo] = self.pretrained.preprocessing.apply(open_photo(photo.file))
            except PhotoError as error:
                rows[photo] = refusal_row(photo, error)
        if seen:
            x = input_batch(self.pretrained, list(seen.values()))
            with self.turn:
                answers = top_classes_batch(self.pretrained, x, self.top)
            rows |= {photo: answer_row(photo, answer) for photo, answer in zip(seen, answers, strict=True)}
        return [rows[photo] for photo in photos]


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        # Else threads that are begun later would be content with one core.
        torch.set_num_threads(before)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], given: Iterable[Given], ahead: int
) -> Iterator[Made]:
    """What `work` makes of each, in order; no more than `ahead` are begun before they are asked for."""
    begun: deque[Future[Made]] = deque()
    for one in given:
        if len(begun) >= ahead:
            yield begun.popleft().result()
        begun.append(pool.submit(work, one))
    while begun:
        yield begun.popleft().result()


def _batch(pretrained: PretrainedModel) -> int:
    return CPU_BATCH if pretrained.device.type == "cpu" else GPU_BATCH
