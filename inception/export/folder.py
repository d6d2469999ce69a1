"""Predictions for a folder of photos, in parallel, resumable, written as a Parquet table."""

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
from ..network.overflow import ActivationOverflowError, run_batch
from ..prediction import ClassScore, input_batch, top_classes_batch
from ..pretrained.pretrained import PretrainedModel
from ..runtime.files import as_text, is_folder
from ..runtime.threads import available_cores
from ..vision.photo import PHOTO_SUFFIXES, open_photo
from .parquet import Photo, Results, answer_row, check_name, refusal_row, settings

# Measured on two cores: at 128 pixels 16 and 32 are equal, at 224 pixels 32 are slower by a fifth. Estimated for a GPU,
# where launching the kernels costs about the same for a few photos as for many.
CPU_BATCH, GPU_BATCH = 16, 64

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome:
    """Counts and errors of one run over a folder."""

    photos: int
    known: int  # predicted by an earlier run, and not changed since
    refused: dict[str, str] = field(repr=False)  # error messages by path
    unreadable: tuple[str, ...] = field(repr=False)  # folders that could not be listed


def single_folder(paths: Sequence[Path], out: Path | None) -> Path:
    """Return the one folder among the command's paths.

    Raises:
        UserError: if there is not exactly one path, a folder, or `out` is no Parquet file.
    """
    folder = next((path for path in paths if is_folder(path)), None)
    if folder is None:
        raise UserError(
            "folder_none",
            "--out is for the results for a folder of photos, and {name} is no folder; please name one, or leave out "
            "--out.",
            name=quoted(str(paths[0])),
        )
    if out is None:
        raise UserError(
            "folder_out",
            "{name} is a folder; please name the file for the results with --out FILE.parquet.",
            name=quoted(str(folder)),
        )
    if len(paths) > 1:
        raise UserError("folder_one", "--out takes the results for one folder; please name one folder and no more.")
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
    """Predict all photos of a folder and its subfolders, and write one row for each to the Parquet file `out`.

    Rows are written in parts beside `out`, so that an interrupted run can be resumed. A run on finished results
    predicts new and changed photos only. The row of a refused photo holds the error message;
    photos whose activations overflow are refused too.

    Args:
        top: number of classes in a row.
        batch: photos in one forward pass; affects only the speed.
        workers: threads that decode and predict, by default one for each core.

    Raises:
        UserError: if there are no photos, nothing can be written, or `out` holds something else.
    """
    check_name(out)
    results = Results(out, settings(pretrained, top))
    photos, unreadable = photos_in(folder)
    missing = results.missing(photos)
    if missing:
        results.begin()
        _predict(
            pretrained, missing, results, len(photos), top, batch or _batch(pretrained), workers or available_cores()
        )
    table = results.finish(photos).select(["path", "error"])
    refused = {row["path"]: row["error"] for row in table.filter(table["error"].is_valid()).to_pylist()}
    return Outcome(len(photos), len(photos) - len(missing), refused, unreadable)


# ---------------------------------------------------------------- finding photos


def photos_in(folder: Path) -> tuple[list[Photo], tuple[str, ...]]:
    """Return the photos of a folder and its subfolders, sorted by path, and the folders that cannot be listed.

    Hidden files and folders are skipped, and links to folders are not followed.

    Raises:
        UserError: if there are none, for instance because the folder itself cannot be listed.
    """
    unreadable: list[OSError] = []
    photos: list[Photo] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = (Path(parent, name) for name in names if not name.startswith("."))
        photos += (photo for file in files if file.suffix.lower() in PHOTO_SUFFIXES and (photo := _photo(folder, file)))
    if not photos and unreadable:
        raise UserError(
            "folder_unreadable",
            "The folder {name} cannot be read ({why}); please check its permissions.",
            name=quoted(str(unreadable[0].filename)),
            why=unreadable[0].strerror,
        )
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
    # The table's timestamps end in the year 2262, and begin in 1677.
    modified = facts.st_mtime_ns if -(2**63) <= facts.st_mtime_ns < 2**63 else None
    # Only regular files: reading a pipe could block for ever.
    return Photo(path, file, facts.st_size, modified) if stat.S_ISREG(facts.st_mode) else None


# ---------------------------------------------------------------- predicting


def _predict(
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
    bar_options: dict[str, Any] = {"unit": " photos", "smoothing": 0.05, "dynamic_ncols": True, "leave": False}
    with (
        _threads(workers) as pool,
        # `disable=None`: no bar unless stderr is a terminal.
        tqdm(total=total, initial=total - len(photos), disable=None, **bar_options) as bar,
    ):
        try:
            for rows in map_in_order(pool, work, groups, 2 * workers):
                results.add(rows)
                bar.update(len(rows))
        finally:
            results.flush()


class _Work:
    """From photos to rows, in the calling thread.

    Each worker decodes and predicts its own photos with one PyTorch thread. On two cores that is a fifth to a third
    faster than decoding ahead of a network that uses all cores, as no core waits for another after each layer.
    """

    def __init__(self, pretrained: PretrainedModel, top: int) -> None:
        _ = pretrained.engine  # built before the threads need it
        self.pretrained, self.top = pretrained, top
        # A GPU computes one batch after another anyway, and its memory need not hold several.
        self.lock: AbstractContextManager[Any] = nullcontext() if pretrained.device.type == "cpu" else Lock()

    def __call__(self, photos: Sequence[Photo]) -> list[dict[str, Any]]:
        images: dict[Photo, Image.Image] = {}
        rows: dict[Photo, dict[str, Any]] = {}
        for photo in photos:
            try:
                images[photo] = self.pretrained.preprocessing.apply(open_photo(photo.file))
            except PhotoError as error:
                rows[photo] = refusal_row(photo, error)
        if images:
            results = run_batch(self._top_classes, list(images.values()))
            for photo, result in zip(images, results, strict=True):
                if isinstance(result, ActivationOverflowError):
                    rows[photo] = refusal_row(photo, result)
                else:
                    rows[photo] = answer_row(photo, result)
        return [rows[photo] for photo in photos]

    def _top_classes(self, images: Sequence[Image.Image]) -> list[tuple[ClassScore, ...]]:
        x = input_batch(self.pretrained, images)
        with self.lock:
            return top_classes_batch(self.pretrained, x, self.top)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        # New threads inherit the number, and would stay at one core.
        torch.set_num_threads(before)


def map_in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yield `work(item)` for each item in order, with at most `ahead` of them in progress.

    `Executor.map` would submit all at once, and hold all results.
    """
    pending: deque[Future[Result]] = deque()
    for item in items:
        if len(pending) >= ahead:
            yield pending.popleft().result()
        pending.append(pool.submit(work, item))
    while pending:
        yield pending.popleft().result()


def _batch(pretrained: PretrainedModel) -> int:
    return CPU_BATCH if pretrained.device.type == "cpu" else GPU_BATCH
