"""Processes that somebody else's program begins and forgets: they carry a mark, are found by it and ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = "INCEPTION_LENS_BEGAN"
PROCESSES = Path("/proc")  # Linux; elsewhere nothing is found, and what was forgotten has to notice by itself
PATIENCE_SECONDS = 10.0


@contextmanager
def marked(mark: str) -> Iterator[None]:
    """Whatever begins in the block has `mark` in its environment, and so has all that it begins itself."""
    os.environ[MARK] = mark
    try:
        yield
    finally:
        del os.environ[MARK]


def end_all(mark: str) -> None:
    """Kill all that carry `mark`, and what they begin meanwhile.

    A process's parent does not tell this: once a helper's parent is gone, the system gives it another.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while (left := carrying(mark)) and time.monotonic() < end:
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def carrying(mark: str) -> list[int]:
    """The numbers of the processes that carry `mark`, but for this one."""
    told = f"{MARK}={mark}".encode()
    found = []
    for folder in PROCESSES.glob("[0-9]*"):
        # Those of other users, and those that end just now, cannot be read.
        with suppress(OSError):
            if told in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found
