"""SIGINT (Ctrl+C) on the command line: one line on stderr, exit status 130, and no traceback at any moment."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # without typing, as in __init__.py
if TYPE_CHECKING:
    from types import FrameType

STATUS = 130  # 128 + SIGINT, as shells have it
LINE = "Interrupted."


def install() -> None:
    """Handle SIGINT in this process. Call it in the main thread, before anything slow is imported.

    The first one raises KeyboardInterrupt, so that unfinished files are removed; a second one ends the process at once.
    """
    # Where SIGINT is ignored, as under nohup, keep ignoring it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def finished(status: int) -> None:
    """Let SIGINT end the process silently with `status`, once everything is done and printed."""
    if signal.getsignal(signal.SIGINT) in (_interrupt, _leave):
        signal.signal(signal.SIGINT, lambda *_: os._exit(status))


def is_interrupted(error: BaseException) -> bool:
    """Return whether an error took the place of a KeyboardInterrupt.

    Python raises "release unlocked lock" where an interrupt falls between taking a lock and noting it.
    """
    context = error.__context__
    return isinstance(context, KeyboardInterrupt) or (context is not None and is_interrupted(context))


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _leave)
    if _importing(frame):
        _leave()
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    # An exception during an import may surface as another one (ImportError of a C extension) or be swallowed, and
    # leaves modules half initialised. No file of ours is half written while something is imported.
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave(*_: object) -> None:
    try:
        os.write(2, f"{LINE}\n".encode())
        sys.stdout.flush()
    finally:
        os._exit(STATUS)
