"""Addresses of files of this server, which its clients may send in place of an upload."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from ..http.routes import FILE
from ..http.upload_paths import MAX_PATH


def local_path(source: str) -> str:
    """The path in the address of one of this server's files (`http://host/gradio_api/file=PATH`); else `source`.

    The host is ignored, as nothing is fetched. A path must be checked (`upload_paths.is_uploaded`) before it is opened.
    """
    if len(source) <= MAX_PATH and source.startswith(("http://", "https://")):
        _, mark, path = source.partition(FILE)
        if mark:
            return unquote(path)
    return source


def localise(sent: Any) -> bool:
    """Replace each such address of a file in a request by its path; return whether there was any.

    So no component sees an address, which some of Gradio's would fetch.

    Args:
        sent: JSON of a request, changed in place.
    """
    found, left = False, [sent]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if isinstance(path := part.get("path"), str) and (local := local_path(path)) != path:
                part["path"], found = local, True
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return found
