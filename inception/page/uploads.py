"""What visitors send lies in a folder of this server's own, and is gone when its time is over."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import PhotoError

VARIABLE = "GRADIO_TEMP_DIR"
KEEP_SECONDS = 3600
CHECKS = 6  # in the time for which something is kept


def gone() -> PhotoError:
    """What is said to somebody whose photo's time was over."""
    return PhotoError(
        "photo_gone", "This server keeps a photo only for a while and has deleted this one; please choose it again."
    )


def check_seconds(keep: float) -> float:
    """How long after its time something may still be there."""
    return keep / CHECKS


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that Gradio puts everything into for as long as the block lasts, and that is gone after it.

    Gradio's own is shared by all its servers on a machine, and none of them ever tidies it up. It lies
    in the folder that GRADIO_TEMP_DIR names, else where the system has such things.
    """
    before = os.environ.get(VARIABLE)
    if before:
        Path(before).mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="inception-lens-", dir=before or None)
    os.environ[VARIABLE] = folder
    try:
        yield Path(folder)
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        shutil.rmtree(folder, ignore_errors=True)


def swept(folder: Path, keep: float) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """A lifespan of an app in which `sweep` is done now and then.

    Gradio deletes what was sent whole. What it forgets is the half of a photo whose sender was cut off, and
    the folder, called by the photo's checksum, that each photo lay in.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        stays = frozenset(folder.rglob("*"))  # the examples

        async def repeatedly() -> None:
            while True:
                await asyncio.sleep(check_seconds(keep))
                # Here and not in a thread: so no upload is between making a folder and filling it.
                sweep(folder, keep + 2 * check_seconds(keep), stays)

        task = asyncio.create_task(repeatedly())
        try:
            yield
        finally:
            task.cancel()

    return lifespan


def sweep(folder: Path, age: float, stays: frozenset[Path] = frozenset()) -> None:
    """Delete files, and empty folders, in which nothing was changed for `age` seconds, but not what `stays`."""
    before = time.time() - age
    # What lies within comes first.
    for path in sorted(folder.rglob("*"), reverse=True):
        with suppress(OSError):
            if path not in stays and path.lstat().st_ctime < before:
                path.rmdir() if path.is_dir() else path.unlink()
