"""Folders and files that a user names: made and written, or one sentence why not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from uuid import uuid4

from ..errors import UserError, quoted


def is_full(error: BaseException) -> bool:
    """Whether it is for want of room on a disk that something could not be written."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_room(folder: Path, then: str = "make some, or name another folder") -> UserError:
    """What is said then; what is there already has been left as it was."""
    return UserError(
        "no_room",
        "There is no room left on the disk for {name}; what is there stays as it was. Please {then}.",
        name=quoted(str(folder)),
        then=then,
    )


def make_folder(folder: Path) -> None:
    """Make a folder, with those that it lies in.

    Raises:
        UserError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "folder", "The folder {name} cannot be made; please name another.", name=quoted(str(folder))
        ) from error


def write_file(file: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file as `replace_file` does it.

    Raises:
        UserError: if nothing can be written there.
    """
    try:
        replace_file(file, data, durable=durable)
    except OSError as error:
        if is_full(error):
            raise no_room(file.parent) from error
        raise UserError(
            "folder", "Nothing can be written to {name}; please name another.", name=quoted(str(file.parent))
        ) from error


def replace_file(file: Path, data: bytes | memoryview, *, durable: bool = True) -> None:
    """Write a file that is whole or not there at all, also after Ctrl+C; until then the one before stays.

    `durable` holds after a power cut too, and waits for the disk.

    Raises:
        OSError: if nothing can be written there.
    """
    # Not with the file's own name in it, which may be as long as a name can be.
    unfinished = file.with_name(f".{uuid4().hex}.part")
    try:
        with unfinished.open("wb") as out:
            out.write(data)
            if durable:
                out.flush()
                # Else a power cut could leave the name without what it names.
                os.fsync(out.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """As `Path.is_file`, which raises where a name is longer than any file's."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """As `Path.is_dir`, in the same way."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """As `Path.exists`, in the same way."""
    try:
        return path.exists()
    except OSError:
        return False


def as_text(path: Path) -> str:
    """A path that can be printed and stored: its name may hold bytes that are no text."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def one_line(name: str) -> str:
    """A name as it can be shown: line ends and what would steer a terminal are spelled out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
