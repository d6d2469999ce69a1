"""Folders and files that a user names: made and written, or one sentence why not."""

from __future__ import annotations

from pathlib import Path

from .errors import UserError


def make_folder(folder: Path) -> None:
    """Make a folder, with those that it lies in.

    Raises:
        UserError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "folder", "The folder {name} cannot be made; please name another.", name=repr(str(folder))
        ) from error


def write_file(file: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        UserError: if nothing can be written there.
    """
    try:
        file.write_bytes(data)
    except OSError as error:
        raise UserError(
            "folder", "Nothing can be written to {name}; please name another.", name=repr(str(file.parent))
        ) from error
