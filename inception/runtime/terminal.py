"""What commands print: names from files, folders and data sets never reach the terminal raw."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from ..errors import QUOTED_CHARACTERS, UserError, quoted
from . import strict_json
from .files import one_line

LONGEST_ERROR = 500  # characters of what argparse says, which may quote many arguments


def out(*lines: str) -> None:
    """Print lines on stdout; within each, control characters are spelled out.

    Raises:
        BrokenPipeError: if the reader is gone (`| head`).
        UserError: if stdout cannot be written for another reason, such as a full disk.
    """
    try:
        # Flushed, so that a reader at the other end of a pipe has each answer as soon as it is there.
        print(*map(one_line, lines), sep="\n", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise UserError(
            "output", "The output cannot be written ({why}); please write it elsewhere.", why=error.strerror
        ) from error


def err(*lines: str) -> None:
    """The same on stderr, where what cannot be written is dropped."""
    try:
        print(*map(one_line, lines), sep="\n", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def short_path(path: str) -> str:
    """A path for a message: its last `QUOTED_CHARACTERS`, which hold the file's name, with "…" where it was cut."""
    return path if len(path) <= QUOTED_CHARACTERS else f"…{path[1 - QUOTED_CHARACTERS :]}"


def json_line(value: Any) -> str:
    """A value as JSON in one line; control characters are escaped, other letters are not.

    Python leaves those above U+007E as they are, and some of them steer terminals too.
    """
    text = strict_json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


class Parser(argparse.ArgumentParser):
    """Its errors are one line each, and quote at most `QUOTED_CHARACTERS` of an argument."""

    given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it; `error` needs to know the arguments that its message quotes."""
        self.given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        values = {part for argument in self.given for part in (argument, *argument.partition("=")[::2])}
        for value in sorted(values, key=len, reverse=True):
            if len(value) > QUOTED_CHARACTERS:
                # argparse writes some as Python does, and others as they are.
                message = message.replace(repr(value), quoted(value)).replace(value, quoted(value))
        line = one_line(message)
        super().error(line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]}…")


def discard(stream: TextIO) -> None:
    """Send the rest of a stream nowhere, so that Python does not try to write it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
