"""Files and folders named by users: atomic writes, and errors as sentences."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ..errors import UserError, quoted


def is_full(error: BaseException) -> bool:
    """Return whether an error means that the disk or the quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_room(folder: Path, then: str = "make some, or name another folder") -> UserError:
    """Return the error for a full disk; `then` completes the sentence "Please ...". Existing files are unchanged."""
    return UserError(
        "no_room",
        "There is no room left on the disk for {name}; what is there stays as it was. Please {then}.",
        name=quoted(str(folder)),
        then=then,
    )


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        UserError: if it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "folder", "The folder {name} cannot be made; please name another.", name=quoted(str(folder))
        ) from error


def write_file(file: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file as `replace_file` does.

    Raises:
        UserError: if nothing can be written there.
    """
    with _errors_as_sentences(file):
        replace_file(file, data, durable=durable)


def check_writable(file: Path) -> None:
    """Check that a file can be written, before the work whose result it is to hold; it is not touched.

    Raises:
        UserError: as `write_file`.
    """
    with _errors_as_sentences(file):
        trial = _unfinished(_target(file))
        try:
            trial.touch()
        finally:
            trial.unlink(missing_ok=True)


class NotRegularError(OSError):
    """A folder, a device, a pipe or the like in the place of a file to write."""


@contextmanager
def _errors_as_sentences(file: Path) -> Iterator[None]:
    try:
        yield
    except NotRegularError as error:
        raise UserError(
            "not_regular",
            "{name} is a folder or a device, not a file that can be replaced; please name another.",
            name=quoted(str(file)),
        ) from error
    except OSError as error:
        if is_full(error):
            raise no_room(file.parent) from error
        raise UserError(
            "folder", "Nothing can be written to {name}; please name another.", name=quoted(str(file.parent))
        ) from error


def _target(file: Path) -> Path:
    """Return the file to replace: the one that a symbolic link leads to, so that the link stays.

    Raises:
        NotRegularError: if something else than a regular file has this name.
        OSError: if it cannot be a file's name.
    """
    target = Path(os.path.realpath(file))
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(mode):
        raise NotRegularError(f"{target} is not a regular file")
    return target


def _unfinished(target: Path) -> Path:
    """Return a new name in the target's folder, without its own name, which may already have the maximum length."""
    return target.with_name(f".{uuid4().hex}.part")


def replace_file(file: Path, data: bytes | memoryview, *, durable: bool = True) -> None:
    """Write a file atomically: an interrupted write leaves the previous file, or none.

    A symbolic link is followed. `durable` waits for the disk, so that this holds after a power cut too.

    Raises:
        NotRegularError: if a folder, a device or the like has this name.
        OSError: if nothing can be written there.
    """
    target = _target(file)
    unfinished = _unfinished(target)
    try:
        with unfinished.open("wb") as out:
            out.write(data)
            if durable:
                out.flush()
                # Otherwise a power cut could leave the new name on an empty file.
                os.fsync(out.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Return `Path.is_file`, or False where that raises, as for names that are too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return `Path.is_dir`, or False where that raises."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Return `Path.exists`, or False where that raises."""
    try:
        return path.exists()
    except OSError:
        return False


def as_text(path: Path) -> str:
    """Return a path as valid Unicode, with forward slashes; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def one_line(name: str) -> str:
    """Return a name in one line, with line ends and control characters escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
