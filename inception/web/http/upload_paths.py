"""Which paths are those of uploaded photos: the only files that a visitor may name."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gradio.utils import get_upload_folder

MAX_PATH = 4096  # characters, Linux's bound
FOLDER = re.compile(r"[0-9a-f]{64}")


def is_uploaded(path: str) -> bool:
    """Whether a path is that of a file of the upload folder, where each has a folder with a name nobody can guess.

    What is too long or is not written as such a path is refused before the file system is asked: `os.path.realpath`
    takes time that grows with the square of a path's length.
    """
    if len(path) > MAX_PATH or "\0" in path:
        return False
    told, given = Path(path), get_upload_folder()
    if not _lies_in(told, Path(given)) and not _lies_in(told, Path(os.path.realpath(given))):
        return False
    try:
        # A link in the folder leads nowhere else.
        return _lies_in(Path(os.path.realpath(told)), Path(os.path.realpath(given)))
    except (OSError, ValueError):
        return False


def _lies_in(path: Path, folder: Path) -> bool:
    """By the names alone: `folder`, a folder called by a checksum, and a file."""
    return path.parents[1:2] == (folder,) and FOLDER.fullmatch(path.parent.name) is not None and path.name != ".."
