"""Upload folder and clean-up: photos and sessions are deleted when their time is over.

Written here because Gradio's `delete_cache` stops for good if a photo arrives while it iterates over its files, and
leaves partial uploads, the checksum folders around files, and a third of a megabyte of each session.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import PhotoError, UserError
from .upload_paths import CHECKSUM

VARIABLE = "GRADIO_TEMP_DIR"
KEEP_SECONDS = 3600
# Open pages that are remembered, at a third of a megabyte each; the least recently used one makes room.
MAX_SESSIONS = 500
CLEANUPS_PER_PERIOD = 6  # within the time for which photos are kept

log = logging.getLogger(__name__)

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


def expired_photo_error() -> PhotoError:
    """Return the error for a photo that has been deleted because its time was over."""
    return PhotoError(
        "photo_gone", "This server keeps a photo only for a while and has deleted this one; please choose it again."
    )


@contextmanager
def missing_as_expired() -> Iterator[None]:
    """Within, raise the error for a photo that has been deleted where an upload's file is not there."""
    try:
        yield
    except UserError as error:
        if error.kind == "photo_missing":
            raise expired_photo_error() from error
        raise


def foreign_photo_error(path: str) -> PhotoError:
    """Return the error for a path that is not that of an upload of this server.

    One of a server that ran before, which an open page still knows, has the form of an upload.
    """
    if CHECKSUM.fullmatch(Path(path).parent.name):
        return expired_photo_error()
    return PhotoError(
        "photo_foreign",
        "Only photos that were uploaded to this page can be opened here, not other files or addresses; please upload "
        "the photo.",
    )


def cleanup_interval(keep_seconds: float) -> float:
    """Return the seconds between two clean-ups, the longest that a photo stays beyond its time."""
    return keep_seconds / CLEANUPS_PER_PERIOD


@contextmanager
def temporary_upload_folder() -> Iterator[Path]:
    """Have Gradio store its files in a folder that is deleted after the block.

    By default all Gradio servers of a machine share one folder that none of them empties. The new folder lies in the
    one that GRADIO_TEMP_DIR names, otherwise in the system's temporary folder.
    """
    parent = os.environ.get(VARIABLE)
    if parent:
        Path(parent).mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="inception-lens-", dir=parent or None)
    os.environ[VARIABLE] = folder
    try:
        yield Path(folder)
    finally:
        if parent is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = parent
        shutil.rmtree(folder, ignore_errors=True)


def cleanup_lifespan(folder: Path, keep_seconds: float) -> Lifespan:
    """Return a lifespan of a Gradio app that deletes old files in `folder`, and old sessions.

    Files that are in the folder already, such as the examples, stay.
    """
    keep = frozenset(paths_within(folder))

    def clean_up(app: Any) -> None:
        delete_old_files(folder, keep_seconds, keep)
        for recorded in app.get_blocks().temp_file_sets:
            recorded.difference_update([file for file in recorded if not Path(file).exists()])
        delete_old_sessions(app, keep_seconds)

    return _periodic(clean_up, cleanup_interval(keep_seconds))


def shared_cleanup_lifespan(keep_seconds: float) -> Lifespan:
    """Return a lifespan for an app that shares its upload folder: only files that Gradio recorded as its own go."""

    def clean_up(app: Any) -> None:
        page = app.get_blocks()
        keep = {file for block in page.blocks.values() for file in getattr(block, "keep_in_cache", ())}
        for recorded in page.temp_file_sets:
            for file in list(recorded - keep):
                _delete_if_older(Path(file), time.time() - keep_seconds)
                if not Path(file).exists():
                    recorded.discard(file)
                    with suppress(OSError):
                        Path(file).parent.rmdir()  # named by the file's checksum, and empty without it
        delete_old_sessions(app, keep_seconds)

    return _periodic(clean_up, cleanup_interval(keep_seconds))


def _periodic(clean_up: Callable[[Any], None], interval: float) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async def run() -> None:
            while True:
                await asyncio.sleep(interval)
                # In the event loop, not in a thread: it must not run between the creation of a folder and of its file.
                try:
                    clean_up(app)
                except Exception:
                    log.exception("unforeseen error in the clean-up; the next one comes in %.0f seconds", interval)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()

    return lifespan


def delete_old_files(folder: Path, age: float, keep: frozenset[Path] = frozenset()) -> None:
    """Delete files and empty folders that have not changed for `age` seconds, except those in `keep`."""
    changed_before = time.time() - age
    for path in paths_within(folder):
        if path not in keep:
            _delete_if_older(path, changed_before)


def _delete_if_older(path: Path, changed_before: float) -> None:
    with suppress(OSError):
        if path.lstat().st_ctime < changed_before:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def paths_within(folder: Path) -> Iterator[Path]:
    """Yield all files and folders below a folder, children before parents; some may vanish meanwhile."""
    for parent, folders, files in os.walk(folder, topdown=False):
        yield from (Path(parent, name) for name in (*files, *folders))


def delete_old_sessions(app: Any, age: float) -> None:
    """Delete the sessions of a Gradio app whose page was closed and that were not used for `age` seconds.

    After twice that time, also those of open pages: what they show is older than promised. Sessions with a call in
    progress are kept.
    """
    holder, queue, now = app.state_holder, app.get_blocks()._queue, datetime.now()
    in_progress = queue.sessions_in_progress()
    for session, state in list(holder.session_data.items()):
        if session in in_progress:
            continue
        idle = (now - holder.time_last_used.get(session, now)).total_seconds()
        if idle > (age if state.is_closed else 2 * age):
            holder.delete_state(session)
            with holder.lock:
                holder.session_data.pop(session, None)
                holder.time_last_used.pop(session, None)
            # Results that were never fetched.
            queue.pending_messages_per_session.pop(session, None)
            queue.pending_event_ids_session.pop(session, None)
    # Gradio removes the oldest of more than `MAX_SESSIONS` sessions, but not these entries of theirs. A session without
    # state may also be a new one, whose first event still waits: that one has an event and a place for its result.
    for session, events in list(queue.pending_event_ids_session.items()):
        if session not in holder.session_data and (not events or session not in queue.pending_messages_per_session):
            queue.pending_messages_per_session.pop(session, None)
            queue.pending_event_ids_session.pop(session, None)
