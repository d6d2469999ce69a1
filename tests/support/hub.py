"""A local stand-in for the Hugging Face hub."""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

RequestHandler = Callable[[BaseHTTPRequestHandler], None]


class Hub:
    """Handler of the requests that `hf_hub_download` sends.

    Args:
        files: contents by `owner/repository/name`.
        cut_at: number of bytes after which responses break off; None for complete ones.
    """

    def __init__(self, files: dict[str, bytes], *, cut_at: int | None = None) -> None:
        self.files, self.cut_at, self.request_count = files, cut_at, 0

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.request_count += 1
        repository, _, name = urllib.parse.unquote(request.path).strip("/").partition("/resolve/main/")
        data = self.files.get(f"{repository}/{name}")
        if data is None:
            request.send_response(404)
            request.send_header("X-Error-Code", "RepoNotFound")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        digest, byte_range = hashlib.sha256(data).hexdigest(), request.headers.get("Range")
        if byte_range:
            # An interrupted download is resumed: "bytes=1000-".
            start, size = int(byte_range.removeprefix("bytes=").partition("-")[0]), len(data)
            data = data[start:]
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            request.send_response(200)
        request.send_header("ETag", f'"{digest}"')
        request.send_header("X-Repo-Commit", "0" * 40)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(data[: self.cut_at])
