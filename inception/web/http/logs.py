"""Log filter: bounded length and rate, no control characters, nothing of a visitor's photo.

Gradio and uvicorn write to standard output and standard error past `logging`, for instance tracebacks whose last line
quotes a request. A `logging.Filter` would miss those, so the two streams themselves are wrapped.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from time import monotonic
from typing import Any, TextIO

from .rate_limit import TokenBucket

# Characters:
MAX_READ = 100_000  # of one `write` call that are looked at; the rest is dropped
MAX_LINE = 500
MAX_WRITE = 20_000  # of one `write` call that are written, such as a record with its traceback
BURST, PER_SECOND = 200_000, 200  # of all calls: about twenty long tracebacks at once, and 17 MB a day

# Up to a quote or whitespace: an address that was abbreviated in the middle has dots there.
DATA_URL = re.compile(r"\bdata:[^\s'\"]+", re.IGNORECASE)
BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{200,}")
CONTROL_CHARACTERS = {*range(32), *range(127, 160)} - {ord("\n"), ord("\t")}
ESCAPES = {number: repr(chr(number))[1:-1] for number in CONTROL_CHARACTERS}


def clean(text: str) -> str:
    """Return a text for the log: long lines cut, control characters escaped, `data:` addresses removed."""
    cleaned = BASE64.sub("…", DATA_URL.sub("data:…", text[:MAX_READ]))
    cleaned = "\n".join(_shorten(line.translate(ESCAPES)) for line in cleaned.split("\n"))
    return cleaned if len(cleaned) <= MAX_WRITE and len(text) <= MAX_READ else f"{cleaned[:MAX_WRITE]}…\n"


def _shorten(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…"


class CleanStream:
    """Text stream that passes cleaned text on to another stream, within a rate limit.

    Args:
        stream: the stream that is written to.
        clock: monotonic time in seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._rate = TokenBucket(BURST, PER_SECOND, clock=clock)
        self._dropped = 0  # `write` calls since the last one that was passed on
        self._lock = RLock()

    def write(self, text: str) -> int:
        """Write what `clean` leaves of a text; return the length of `text`, as the caller expects."""
        cleaned = clean(text)
        with self._lock:
            if self._rate.take("", len(cleaned)):
                self._dropped += 1
                return len(text)
            if self._dropped:
                cleaned = f"({self._dropped} pieces of the log left out: too much was written.)\n{cleaned}"
                self._dropped = 0
            self._stream.write(cleaned)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Return False: colour codes would be escaped."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def clean_output() -> Iterator[None]:
    """Clean standard output and standard error within the block."""
    original = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = CleanStream(sys.stdout), CleanStream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = original
