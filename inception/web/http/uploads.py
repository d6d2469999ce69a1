"""What visitors leave behind: photos in a folder of this server's own, and sessions; gone when their time is over."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import PhotoError

VARIABLE = "GRADIO_TEMP_DIR"
KEEP_SECONDS = 3600
# As many pages may be open; each takes a third of a megabyte, and the one left for longest makes room.
SESSIONS = 500
CHECKS = 6  # in the time for which something is kept

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


def gone() -> PhotoError:
    """What is said to somebody whose photo's time was over."""
    return PhotoError(
        "photo_gone", "This server keeps a photo only for a while and has deleted this one; please choose it again."
    )


def check_seconds(keep: float) -> float:
    """How long after its time something may still be there."""
    return keep / CHECKS


@contextmanager
def temporary_upload_folder() -> Iterator[Path]:
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


def cleanup_lifespan(folder: Path, keep: float) -> Lifespan:
    """A lifespan of an app of Gradio's in which, now and then, `sweep` and `forget` are done.

    Gradio's own deletion ends for good when a photo comes in while it looks through its list. What it keeps
    anyway is the half of a photo whose sender was cut off, the folder, called by the photo's checksum, that
    each photo lay in, and a third of a megabyte of each session.
    """
    stays = frozenset(within(folder))  # the examples

    def tidy(app: Any) -> None:
        sweep(folder, keep, stays)
        forget(app, keep)

    return _now_and_then(tidy, keep)


def shared_cleanup_lifespan(keep: float) -> Lifespan:
    """The same for an app whose folder others use too: only the files that Gradio has noted as its own go."""

    def tidy(app: Any) -> None:
        page = app.get_blocks()
        stays = {file for block in page.blocks.values() for file in getattr(block, "keep_in_cache", ())}
        for noted in page.temp_file_sets:
            for file in list(noted - stays):
                _delete_old(Path(file), time.time() - keep)
                if not Path(file).exists():
                    noted.discard(file)
                    with suppress(OSError):
                        Path(file).parent.rmdir()  # called by the photo's checksum, and its only room
        forget(app, keep)

    return _now_and_then(tidy, keep)


def _now_and_then(tidy: Callable[[Any], None], keep: float) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async def repeatedly() -> None:
            while True:
                await asyncio.sleep(check_seconds(keep))
                # Here and not in a thread: so no upload is between making a folder and filling it.
                tidy(app)

        task = asyncio.create_task(repeatedly())
        try:
            yield
        finally:
            task.cancel()

    return lifespan


def sweep(folder: Path, age: float, stays: frozenset[Path] = frozenset()) -> None:
    """Delete files, and empty folders, in which nothing was changed for `age` seconds, but not what `stays`."""
    before = time.time() - age
    for path in within(folder):
        if path not in stays:
            _delete_old(path, before)


def _delete_old(path: Path, before: float) -> None:
    with suppress(OSError):
        if path.lstat().st_ctime < before:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def within(folder: Path) -> Iterator[Path]:
    """All files and folders in a folder and in those in it, what lies within first; some may go meanwhile."""
    for where, folders, files in os.walk(folder, topdown=False):
        yield from (Path(where, name) for name in (*files, *folders))


def forget(app: Any, age: float) -> None:
    """Forget the sessions of an app of Gradio's that were not used for `age` seconds and whose page was closed.

    After twice that time, also those of pages that are still open: what they show is older than it may be.
    """
    holder, queue, now = app.state_holder, app.get_blocks()._queue, datetime.now()
    for session, used in list(holder.time_last_used.items()):
        held = holder.session_data.get(session)
        idle = (now - used).total_seconds()
        if held is None or idle > (age if held.is_closed else 2 * age):
            holder.delete_state(session)
            with holder.lock:
                holder.session_data.pop(session, None)
                holder.time_last_used.pop(session, None)
            # Answers that were never fetched.
            queue.pending_messages_per_session.pop(session, None)
            queue.pending_event_ids_session.pop(session, None)
