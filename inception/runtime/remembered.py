"""Small results that can be computed again, in the user's cache folder: one JSON object a file, by key.

Several processes may use a file at once: each replaces it as a whole. If two replace it at the same moment, one result
is lost, and computed again when it is next needed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from . import strict_json
from .files import is_file, replace_file

MAX_RESULTS = 64  # in a file; the oldest are dropped
MAX_BYTES = 64 * 2**10  # of a file; this package writes none that is larger

_lock = Lock()


def cache_dir() -> Path:
    """Return the folder for files that can be made again: converted weights and remembered results.

    Raises:
        NoCacheError: if the user has no home folder, and XDG_CACHE_HOME names none.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "inception-lens"
    except RuntimeError as error:
        raise NoCacheError("there is no home folder") from error


class NoCacheError(OSError):
    """There is no folder for files that can be made again."""


def recall(file_name: str, key: str) -> Any:
    """Return what was remembered for `key`, any JSON value, or None: also if the file is damaged or unreadable."""
    with suppress(NoCacheError):
        return _results(cache_dir() / file_name).get(key)
    return None


def remember(file_name: str, key: str, result: Any) -> None:
    """Remember a JSON value for `key`, if the cache folder can be written."""
    with _lock, suppress(OSError):
        file = cache_dir() / file_name
        results = _results(file)
        results.pop(key, None)  # so that it becomes the newest
        newest = list({**results, key: result}.items())[-MAX_RESULTS:]
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, strict_json.dumps(dict(newest), indent=1).encode(), durable=False)


def _results(file: Path) -> dict[str, Any]:
    try:
        # Opening a pipe would wait for ever.
        if not is_file(file) or file.stat().st_size > MAX_BYTES:
            return {}
        results = strict_json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return results if isinstance(results, dict) else {}
