"""What the page's server answers at all: everything that a visitor sends or asks for passes here first.

Gradio's server can do much more than this page needs. Here only that is let through, whatever a later version adds.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Any

from gradio.utils import get_upload_folder
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..photo import MAX_BYTES
from .file_address import localise
from .limits import Allowance
from .text import language_of, say

MEGABYTE = 2**20
UPLOAD_BYTES = MAX_BYTES + MEGABYTE  # of a whole request: the photo, and what wraps it
# Of any other request. Photos that are sent within one, as a `data:` address, are a third larger than their files.
DATA_BYTES = 16 * MEGABYTE
STORED_BYTES = 4 * 2**30  # of uploads within the hour for which they are kept, of all visitors together
STORED_SECONDS = 3600
# What a session may ask for: an hour with the camera on, or clicks as fast as one can, stay far below. Whoever
# waits in the queue costs as much as several that are answered at once.
BURST, PER_SECOND, QUEUED_COST = 600, 20, 4
SESSIONS = 4096  # for which it is remembered
AT_ONCE = 256  # requests outside the queue that are being answered, of all visitors
AGAIN_SECONDS = 10
SHORTEST_SECONDS = 5  # that anybody is asked to wait: sooner, the next click would be one too many again

OPEN = {
    "GET": re.compile(
        r"/?|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|logout)/?|/(assets|static|svelte)/.+"
        r"|/gradio_api/((info|openapi\.json|startup-events|theme\.css|app_id|upload_progress)/?"
        r"|queue/(data|status)|heartbeat/[^/]+|call/.+|file=.+)"
    ),
    "POST": re.compile(r"/login/?|/gradio_api/(upload|queue/join|(run|call|call/v2)/[^/]+/?|cancel|reset/?)"),
}
OPEN["HEAD"] = OPEN["GET"]
TOOLS = re.compile(r"/gradio_api/mcp(/.*)?")  # for assistants, where the operator turned that on
FILE, UPLOAD, LOGIN, JOIN = "/gradio_api/file=", "/gradio_api/upload", "/login", "/gradio_api/queue/join"
FOLDER = re.compile(r"[0-9a-f]{64}")

SHARED = "https://gradio.s3-us-west-2.amazonaws.com"  # has the page's own style where Gradio shares it by a tunnel
# A Space's page would ask Hugging Face about itself and Google for fonts; and whatever got into a page by a fault
# of ours could send nothing away. Gradio's scripts need more than a policy could usefully grant, so none is set.
POLICY = {
    "connect-src": "'self' data: blob:",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "style-src": f"'self' 'unsafe-inline' {SHARED}",
    "font-src": f"'self' data: {SHARED}",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
Refusal = tuple[int, str, dict[str, object]]  # the status, the name of the sentence, and its values
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {where}" for what, where in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    # The address tells what somebody looks at. It is nobody else's business.
    "Referrer-Policy": "same-origin",
}


class Door:
    """ASGI middleware around Gradio's app; `launch_options` puts it there.

    Args:
        app: what is asked once the door is passed.
        clock: seconds from wherever; another in tests.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = monotonic) -> None:
        self.app = app
        self._asked = Allowance(BURST, PER_SECOND, SESSIONS, clock)
        self._stored = Allowance(STORED_BYTES, STORED_BYTES / STORED_SECONDS, 1, clock)
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Gradio has no web sockets; what is left is the server's own beginning and end.
            await self.app(scope, receive, send)
            return
        path, method = route_of(scope), scope["method"]
        visitor = _Visitor(scope, receive, send)
        tools = TOOLS.fullmatch(path) is not None
        if not tools and (method not in OPEN or not OPEN[method].fullmatch(path)):
            await visitor.refuse(404, "door_nothing")
        elif path.startswith(FILE) and not is_uploaded(path.removeprefix(FILE)):
            await visitor.refuse(403, "door_foreign")
        elif path == UPLOAD:
            await self._upload(visitor)
        elif method == "POST":
            await self._question(visitor, path, tools)
        else:
            await self.app(scope, receive, visitor.answer)

    async def _upload(self, visitor: _Visitor) -> None:
        size = visitor.size or 0
        if size > UPLOAD_BYTES:
            await visitor.refuse(413, "door_heavy", limit=MAX_BYTES // MEGABYTE)
        elif wait := self._stored.take("", size or UPLOAD_BYTES):
            await visitor.refuse(429, "door_stored", minutes=max(2, ceil(wait / 60)))
        else:
            await self.app(visitor.scope, visitor.receive_upload, visitor.answer_upload)

    async def _question(self, visitor: _Visitor, path: str, tools: bool) -> None:
        if not await visitor.listen():
            await visitor.refuse(413, "door_heavy_data", limit=DATA_BYTES // MEGABYTE)
            return
        try:
            told = None if path.startswith(LOGIN) else json.loads(visitor.body)
        except (ValueError, RecursionError):
            await visitor.refuse(400, "door_malformed")
            return
        if localise(told):
            visitor.body = json.dumps(told).encode()
        if not all(map(is_uploaded, named_files(told))):
            await visitor.refuse(422, "door_foreign")
            return
        queued = path == JOIN or "/call/" in path
        session = told.get("session_hash") if isinstance(told, dict) else None
        # Without a session it is one question and not a page: the bounds for all are its only ones.
        if isinstance(session, str) and (wait := self._asked.take(session, QUEUED_COST if queued else 1)):
            await visitor.refuse(429, "door_often", seconds=max(SHORTEST_SECONDS, ceil(wait)))
        elif queued or tools:
            await self.app(visitor.scope, visitor.receive_again, visitor.answer_queued)
        elif self._at_once >= AT_ONCE:
            await visitor.refuse(429, "door_busy", seconds=AGAIN_SECONDS)
        else:
            self._at_once += 1
            try:
                await self.app(visitor.scope, visitor.receive_again, visitor.answer)
            finally:
                self._at_once -= 1


class _Visitor:
    """One request: what is read of it, and what is said to it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdecimal() else None
        self._language = language_of(headers.get("accept-language", ""))
        self.body = b""
        self._told = self._refused = self._heavy = False
        self._received = 0

    async def refuse(self, status: int, key: str, **details: object) -> None:
        """A sentence where Gradio's page, its clients and people with a terminal look for one."""
        sentence = say(self._language, key, **details)
        # The form in which Gradio's Python client hands on a sentence.
        fault = {"__type__": "validate", "is_valid": False, "parameter_name": "photo", "message": sentence}
        told = {"detail": [fault] if status == 422 else sentence, "error": sentence}
        headers = {"Retry-After": str(details["seconds"])} if "seconds" in details else {}
        await JSONResponse(told, status, headers)(self.scope, self._receive, self.answer)

    async def answer(self, message: Message) -> None:
        """What the app answers, with our headers."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def listen(self) -> bool:
        """Read the whole body; whether it is not too large."""
        parts, received = [], 0
        while True:
            if (self.size or received) > DATA_BYTES:
                return False
            message = await self._receive()
            parts.append(message.get("body", b""))
            received += len(parts[-1])
            if not message.get("more_body", False):
                self.body = b"".join(parts)
                return received <= DATA_BYTES

    async def receive_again(self) -> Message:
        """The body that was read, then whatever else happens."""
        if self._told:
            return await self._receive()
        self._told = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def answer_queued(self, message: Message) -> None:
        """As `answer`. That the queue is full is said in a sentence of ours: the page has one in English only."""
        await self._answer_or(message, {503: (429, "door_busy", {"seconds": AGAIN_SECONDS})})

    async def answer_upload(self, message: Message) -> None:
        """As `answer`, with sentences of ours for what Gradio's parser says of a form."""
        heavy: Refusal = (413, "door_heavy", {"limit": MAX_BYTES // MEGABYTE})
        await self._answer_or(message, {413: heavy, 400: heavy if self._heavy else (400, "door_malformed", {})})

    async def _answer_or(self, message: Message, refusals: dict[int, Refusal]) -> None:
        """As `answer`, unless the answer's status is one of those that are refused in another way."""
        if message["type"] == "http.response.start" and message["status"] in refusals:
            self._refused = True
            status, key, details = refusals[message["status"]]
            await self.refuse(status, key, **details)
        elif not self._refused:
            await self.answer(message)

    async def receive_upload(self) -> Message:
        """The next part of an upload. Gradio's parser takes back what it stored of one that is no good."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise MultiPartException("The photo was not sent to its end.")
        self._received += len(message.get("body", b""))
        self._heavy = self._received > UPLOAD_BYTES
        if self._heavy:
            raise MultiPartException("The photo is too large.")
        return message


def route_of(scope: Scope) -> str:
    """The path within this app, wherever it is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path


def is_uploaded(path: str) -> bool:
    """Whether a path is that of a file of the upload folder, where each has a folder with a name nobody can guess."""
    try:
        real = Path(os.path.realpath(path))
    except (OSError, ValueError):
        return False
    folder = Path(os.path.realpath(get_upload_folder()))
    return real.parents[1:2] == (folder,) and FOLDER.fullmatch(real.parent.name) is not None


def named_files(told: Any) -> list[str]:
    """Every path of a file in what somebody sent, however deep; what is there in place of one is told as well."""
    found, left = [], [told]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if part.get("path") is not None:
                found.append(str(part["path"]))
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return found
