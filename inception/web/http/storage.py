"""Limit on the bytes of files that the server stores for visitors: their photos, and results as files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from .errors import RequestRefusedError

if TYPE_CHECKING:
    import gradio as gr

STORED_BYTES = 4 * 2**30  # of all visitors
COUNT_SECONDS = 10  # between two counts of the files; what is uploaded in between is added
MIN_FILE_BYTES = 4096  # that a file takes on a disk, however small
RETRY_MINUTES = 10  # the clean-up comes so often where photos are kept for an hour


class Storage:
    """Files of a page, as they were counted last, and uploads since then.

    Counting once in a while includes what was deleted and the results of functions, which no request announces; those
    of `COUNT_SECONDS` may go beyond the limit.

    Args:
        clock: monotonic time in seconds.
        limit: bytes of all files.
    """

    def __init__(self, clock: Callable[[], float], limit: int | None = None) -> None:
        self._clock = clock
        self._limit = STORED_BYTES if limit is None else limit
        self._counted_at = -inf
        self._counted = self._since = self._in_flight = 0  # bytes

    async def check(self, page: gr.Blocks | None, size: int = 0) -> None:
        """Check that there is room for `size` more bytes, or for any.

        Raises:
            RequestRefusedError: if there is none.
        """
        await self._count(page)
        self._check_room(max(1, size))

    def add(self, size: int) -> None:
        """Count bytes of an upload that is under way, until `settle`; raises as `check`.

        What an upload only announces is not counted: slow ones would take the room of all others.
        """
        self._in_flight += size
        self._check_room(0)

    def settle(self, received: int) -> None:
        """Count an upload that has ended, of which `received` bytes were added, as stored."""
        self._in_flight -= received
        self._since += received

    def _check_room(self, size: int) -> None:
        if self._counted + self._since + self._in_flight + size > self._limit:
            raise RequestRefusedError(429, "guard_storage", minutes=RETRY_MINUTES)

    async def _count(self, page: gr.Blocks | None) -> None:
        now = self._clock()
        if now - self._counted_at < COUNT_SECONDS:
            return
        self._counted_at, before = now, self._since
        self._counted = await run_sync(stored_bytes, page)
        self._since -= before


def stored_bytes(page: gr.Blocks | None) -> int:
    """Return the bytes of all files that Gradio has recorded as a page's: other apps may use its folder too.

    A small file counts as `MIN_FILE_BYTES`, so that the number of files is limited too.
    """
    # Copies, as the event loop goes on recording. Some files are in several sets.
    files = set[str]().union(*map(list, [] if page is None else page.temp_file_sets))
    size = 0
    for file in files:
        with suppress(OSError):
            size += max(MIN_FILE_BYTES, Path(file).stat().st_size)
    return size
