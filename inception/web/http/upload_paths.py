"""Check whether a path is that of an uploaded photo, the only kind of file that a visitor may name."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gradio.utils import get_upload_folder

MAX_PATH = 4096  # characters: PATH_MAX on Linux
CHECKSUM = re.compile(r"[0-9a-f]{64}")


def is_uploaded(path: str) -> bool:
    """Whether a path is that of an uploaded file: upload folder, folder named by a secret checksum, file name.

    A path that is too long or of another form is rejected before the file system is consulted: `os.path.realpath`
    takes time that grows with the square of a path's length. Gradio's own check calls it first.
    """
    if len(path) > MAX_PATH or "\0" in path:
        return False
    file, folder = Path(path), get_upload_folder()
    if not _has_form(file, Path(folder)) and not _has_form(file, Path(os.path.realpath(folder))):
        return False
    try:
        # Symbolic links in the upload folder must not lead out of it.
        return _has_form(Path(os.path.realpath(file)), Path(os.path.realpath(folder)))
    except (OSError, ValueError):
        return False


def _has_form(path: Path, folder: Path) -> bool:
    """Whether a path is written as `folder`, a checksum and a file name."""
    return path.parents[1:2] == (folder,) and CHECKSUM.fullmatch(path.parent.name) is not None and path.name != ".."
