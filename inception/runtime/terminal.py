"""Printing of commands; names from files, folders and data sets never reach the terminal raw."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ..errors import QUOTED_CHARACTERS, UserError
from . import strict_json
from .files import one_line


def out(*lines: str) -> None:
    """Print lines on stdout; within each, control characters are spelled out.

    Raises:
        BrokenPipeError: if the reader has closed the pipe (`| head`).
        UserError: if stdout cannot be written for another reason, such as a full disk.
    """
    text = "\n".join(map(one_line, lines))
    with writing():
        # In one piece, so that an interrupt cuts no line; flushed, so that a pipe has each answer at once.
        print(f"{text}\n", end="", flush=True)


@contextmanager
def writing() -> Iterator[None]:
    """Turn errors of writing stdout into those that `out` documents."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise UserError(
            "output", "The output cannot be written ({why}); please write it elsewhere.", why=error.strerror
        ) from error


def err(*lines: str) -> None:
    """Print lines on stderr in the same way; what cannot be written is dropped."""
    try:
        print(*map(one_line, lines), sep="\n", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def short_path(path: str) -> str:
    """A path for a message: its last `QUOTED_CHARACTERS`, which hold the file's name, with "…" where it was cut."""
    return path if len(path) <= QUOTED_CHARACTERS else f"…{path[1 - QUOTED_CHARACTERS :]}"


def json_line(value: Any) -> str:
    """Return a value as JSON in one line; control characters are escaped, other letters are not.

    Python leaves those above U+007E as they are, and some of them control terminals too.
    """
    text = strict_json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that Python does not write the rest of it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
