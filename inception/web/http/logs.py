"""What a server writes to its log: bounded, without control characters, and nothing of a visitor's photo.

Gradio and uvicorn write much of it past `logging`, such as tracebacks whose last line holds what a visitor sent. So
standard output and standard error themselves are cleaned, which all of them write to.
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

MAX_READ = 100_000  # characters of what is written by one call of `write`; the rest is left out
MAX_LINE = 500
MAX_WRITE = 20_000  # such as a record with its traceback
# Characters of all: about twenty long tracebacks at once, and 17 MB a day.
BURST, PER_SECOND = 200_000, 200

# To the end of a quotation or the next blank: what is cut in the middle of an address has dots there.
DATA = re.compile(r"\bdata:[^\s'\"]+", re.IGNORECASE)
BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{200,}")
ESCAPES = {ord(character): repr(character)[1:-1] for character in map(chr, [*range(32), *range(127, 160)])}
ESCAPES = {number: text for number, text in ESCAPES.items() if chr(number) not in "\n\t"}


def cleaned(text: str) -> str:
    """A text for the log: long lines cut, control characters spelled out, `data:` addresses left out."""
    told = BASE64.sub("…", DATA.sub("data:…", text[:MAX_READ]))
    told = "\n".join(_shortened(line.translate(ESCAPES)) for line in told.split("\n"))
    return told if len(told) <= MAX_WRITE and len(text) <= MAX_READ else f"{told[:MAX_WRITE]}…\n"


def _shortened(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…"


class CleanStream:
    """A text stream that writes to another what `cleaned` leaves of it, and no more than its allowance."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._left = TokenBucket(BURST, PER_SECOND, clock=clock)
        self._omitted = 0  # calls of `write`
        self._lock = RLock()

    def write(self, text: str) -> int:
        """As of any stream; returns the length of `text`, whatever became of it."""
        told = cleaned(text)
        with self._lock:
            if self._left.take("", len(told)):
                self._omitted += 1
                return len(text)
            if self._omitted:
                told = f"({self._omitted} pieces of the log left out: too much was written.)\n{told}"
                self._omitted = 0
            self._stream.write(told)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """As of any stream."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Never: what would colour a terminal is spelled out."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def clean_output() -> Iterator[None]:
    """Clean standard output and standard error for as long as the block lasts."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = CleanStream(sys.stdout), CleanStream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
