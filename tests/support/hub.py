"""A Hugging Face hub on this machine."""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

Answer = Callable[[BaseHTTPRequestHandler], None]


class Hub:
    """As much of the Hugging Face hub as `hf_hub_download` asks for."""

    def __init__(self, files: dict[str, bytes], *, cut_at: int | None = None) -> None:
        self.files, self.cut_at, self.asked = files, cut_at, 0

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        repository, _, name = urllib.parse.unquote(request.path).strip("/").partition("/resolve/main/")
        data = self.files.get(f"{repository}/{name}")
        if data is None:
            request.send_response(404)
            request.send_header("X-Error-Code", "RepoNotFound")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        digest, wanted = hashlib.sha256(data).hexdigest(), request.headers.get("Range")
        if wanted:
            # What was begun another time is gone on with: "bytes=1000-".
            start, whole = int(wanted.removeprefix("bytes=").partition("-")[0]), len(data)
            data = data[start:]
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        else:
            request.send_response(200)
        request.send_header("ETag", f'"{digest}"')
        request.send_header("X-Repo-Commit", "0" * 40)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(data[: self.cut_at])
