"""What the page's server answers at all: everything that a visitor sends or asks for passes here first.

Gradio's server can do much more than this page needs. Here only that is let through, whatever a later version adds.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Any

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...vision.photo import MAX_BYTES
from ..api.file_address import localise
from ..text import language_of, say
from .body import MAX_MARKS, MAX_TEXT, Refused, check, count_marks, malformed, parse
from .lookup import TOOLS, check_fetched, page_of, photos_of
from .rate_limit import TokenBucket
from .upload_paths import MAX_PATH, is_uploaded

MEGABYTE = 2**20
UPLOAD_BYTES = MAX_BYTES + MEGABYTE  # of a whole request: the photo, and what wraps it
# Of any other request. Photos that are sent within one, as a `data:` address, are a third larger than their files.
DATA_BYTES = 16 * MEGABYTE
LARGE_BYTES = MEGABYTE // 16  # what is larger is parsed in a thread, and counted:
HELD_BYTES = 512 * MEGABYTE  # of large requests that are being read and answered, of all visitors
STORED_BYTES = 4 * 2**30  # of uploads within the hour for which they are kept, of all visitors together
STORED_SECONDS = 3600
# What a session may ask for: an hour with the camera on, or clicks as fast as one can, stay far below. Whoever
# waits in the queue costs as much as several that are answered at once.
BURST, PER_SECOND, QUEUED_COST = 600, 20, 4
SESSIONS = 4096  # for which it is remembered
# What calls without a session may ask for, all that come from one address: ten times as much, because behind a proxy
# all have the same. As many as two cores answer.
CALLERS = 10
AT_ONCE = 256  # requests outside the queue that are being answered, of all visitors
AGAIN_SECONDS = 10
SHORTEST_SECONDS = 5  # that anybody is asked to wait: sooner, the next click would be one too many again

# Characters. Of an address with its query: the page's own links have about 200, and a file's path may be escaped.
MAX_ADDRESS, MAX_QUERY = MAX_PATH + 64, 4096
MAX_LANGUAGES = 200  # of what a browser says of its languages

OPEN = {
    "GET": re.compile(
        r"/?|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?"
        r"|/(assets|static|svelte)(/[\w.@+~-]{1,200})+"
        r"|/gradio_api/((info|openapi\.json|startup-events|theme\.css|app_id|upload_progress)/?"
        r"|queue/(data|status)|heartbeat/[^/]+|call/.+|file=.+)",
        re.ASCII,
    ),
    "POST": re.compile(r"/gradio_api/(upload|queue/join|(run|call|call/v2)/[^/]+/?|cancel|reset/?)"),
}
OPEN["HEAD"] = OPEN["GET"]
CALLS, NAMED = "/gradio_api/", "/gradio_api/call/v2/"  # all that is no page; those that name their arguments
FILE, UPLOAD, JOIN = "/gradio_api/file=", "/gradio_api/upload", "/gradio_api/queue/join"
HEALTH = "/healthz"
# Nothing but the boundary: Gradio would decode the texts of a form by any codec that it names, some of which take
# time that grows with the square of a text's length.
FORM = re.compile(r"""multipart/form-data\s*;\s*boundary=("?)(?P<edge>[\w'()+,./:=? -]{1,70})\1""", re.ASCII | re.I)
MAX_PARTS = 8  # of a form, each a file of its own until the whole of it has come; the page sends one
INVALID_REQUEST = -32600  # JSON-RPC 2.0, section 5.1
PYTHON = "gradio_client/"  # how Gradio's Python client begins its name

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
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {where}" for what, where in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    # The address tells what somebody looks at. It is nobody else's business.
    "Referrer-Policy": "same-origin",
}
HEAVY = Refused(413, "guard_upload_size", limit=MAX_BYTES // MEGABYTE)

log = logging.getLogger(__name__)


class RequestGuard:
    """ASGI middleware around Gradio's app; `launch_options` puts it there.

    Args:
        app: what is asked once the door is passed.
        clock: seconds from wherever; another in tests.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = monotonic) -> None:
        self.app = app
        self._asked = TokenBucket(BURST, PER_SECOND, SESSIONS, clock)
        self._called = TokenBucket(CALLERS * BURST, CALLERS * PER_SECOND, SESSIONS, clock)
        self._stored = TokenBucket(STORED_BYTES, STORED_BYTES / STORED_SECONDS, 1, clock)
        self._at_once = self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Gradio has no web sockets; what is left is the server's own beginning and end.
            await self.app(scope, receive, send)
            return
        visitor = _Visitor(scope, receive, send)
        try:
            await self._pass(visitor)
        except Refused as refused:
            await visitor.refuse(refused)
        except Exception:
            if visitor.answered:
                raise
            log.exception("unforeseen error while answering a request")
            await visitor.refuse(Refused(500, "no_answer"))
        finally:
            self._held -= visitor.held

    async def _pass(self, visitor: _Visitor) -> None:
        path, method = visitor.path, visitor.scope["method"]
        if len(path) > MAX_ADDRESS or len(visitor.scope["query_string"]) > MAX_QUERY:
            raise Refused(414, "guard_url_length")
        if path == HEALTH and method in ("GET", "HEAD"):
            await healthy(visitor.scope, visitor.receive, visitor.answer)
            return
        tools = TOOLS.fullmatch(path) is not None
        if not tools and (method not in OPEN or not OPEN[method].fullmatch(path)):
            raise Refused(404, "guard_not_found")
        if path.startswith(FILE) and not is_uploaded(path.removeprefix(FILE)):
            raise Refused(403, "guard_foreign_file")
        if path == UPLOAD:
            await self._upload(visitor)
        elif method == "POST":
            await self._question(visitor, path, tools)
        else:
            if page := page_of(visitor.scope):
                check_fetched(page, visitor.scope, path)
            is_call = path.startswith(CALLS) and not path.startswith(FILE) and not tools
            await self.app(visitor.scope, visitor.receive, visitor.answer_call if is_call else visitor.answer)

    async def _upload(self, visitor: _Visitor) -> None:
        size = visitor.size or 0
        form = FORM.fullmatch(visitor.headers.get("content-type", ""))
        if form is None:
            raise malformed()
        visitor.edge = b"--" + form["edge"].encode()
        if size > UPLOAD_BYTES:
            raise Refused(413, "guard_upload_size", limit=MAX_BYTES // MEGABYTE)
        if wait := self._stored.take("", size or UPLOAD_BYTES):
            raise Refused(429, "guard_storage", minutes=max(2, ceil(wait / 60)))
        try:
            await self.app(visitor.scope, visitor.receive_upload, visitor.answer_upload)
        except (AttributeError, TypeError):
            raise malformed() from None  # Gradio takes all parts of a form for files

    async def _question(self, visitor: _Visitor, path: str, tools: bool) -> None:
        body = await self._listen(visitor)
        told = parse(body) if len(body) < LARGE_BYTES else await run_sync(parse, body)
        if tools and isinstance(told, dict) and isinstance(told.get("id"), int | str):
            visitor.rpc_id = told["id"]
        localised = localise(told)
        queued = path == JOIN or "/call/" in path
        session = None if tools or path.startswith(NAMED) else session_of(told)
        self._count(visitor, session, QUEUED_COST if tools or queued else 1)
        page = page_of(visitor.scope)
        check(told, len(body), photos_of(page, path, told) if page else frozenset())
        if localised:
            visitor.body = json.dumps(told).encode()
        if tools:
            await self.app(visitor.scope, visitor.receive_again, visitor.answer)
        elif queued:
            await self.app(visitor.scope, visitor.receive_again, visitor.answer_call)
        elif self._at_once >= AT_ONCE:
            raise Refused(429, "guard_busy", seconds=AGAIN_SECONDS)
        else:
            self._at_once += 1
            try:
                await self.app(visitor.scope, visitor.receive_again, visitor.answer_call)
            finally:
                self._at_once -= 1

    async def _listen(self, visitor: _Visitor) -> bytes:
        """The whole body, counted while it comes: one that is refused is not kept, and never parsed."""
        if (visitor.size or 0) > DATA_BYTES:
            raise Refused(413, "guard_body_size", limit=DATA_BYTES // MEGABYTE)
        parts, marks, more = [], 0, True
        while more:
            message = await visitor.receive()
            part, more = message.get("body", b""), message.get("more_body", False)
            parts.append(part)
            marks += count_marks(part)
            visitor.held += len(part)
            self._held += len(part)
            if visitor.held > DATA_BYTES:
                raise Refused(413, "guard_body_size", limit=DATA_BYTES // MEGABYTE)
            if marks > MAX_MARKS:
                raise Refused(413, "guard_value_count", limit=MAX_MARKS)
            if visitor.held > LARGE_BYTES and self._held > HELD_BYTES:
                raise Refused(429, "guard_busy", seconds=AGAIN_SECONDS)
        visitor.body = b"".join(parts)
        return visitor.body

    def _count(self, visitor: _Visitor, session: str | None, cost: int) -> None:
        """Take what a request costs from what its session may ask for, or from what its address may without one."""
        wait = self._asked.take(session, cost) if session else self._called.take(visitor.address, cost)
        if wait:
            raise Refused(429, "guard_rate", seconds=max(SHORTEST_SECONDS, ceil(wait)))


class _Visitor:
    """One request: what is read of it, and what is said to it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.path, self.headers = route_of(scope), Headers(scope=scope)
        length = self.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else None
        client = scope.get("client")
        # As the server has it: behind a proxy that is the proxy's, unless the server is told to believe what that says.
        self.address = client[0] if client else ""
        self._language = language_of(self.headers.get("accept-language", "")[:MAX_LANGUAGES])
        self.body, self.held = b"", 0
        self.answered = self._again = False
        self._fault: Message | None = None
        self._fault_body = b""
        self.rpc_id: int | str | None = None  # of a call of an assistant's tool
        self.edge = b""  # that divides the parts of a form
        self._upload_refused: Refused | None = None
        self._received = self._parts = 0
        self._end = b""  # of what was received, in which an edge may begin

    async def refuse(self, refused: Refused) -> None:
        """A sentence where Gradio's page, its clients and people with a terminal look for one."""
        details, status = refused.details, refused.status
        sentence = say(self._language, refused.key, **details)
        if self.path == JOIN and self.headers.get("user-agent", "").startswith(PYTHON):
            # Of any other status Gradio's Python client says nothing but the number.
            status = 422
        headers = {"Retry-After": str(details["seconds"])} if "seconds" in details else {}
        if self.rpc_id is not None:
            # MCP clients show the message of a JSON-RPC error, and of an HTTP status nothing but the number.
            error = {"code": INVALID_REQUEST, "message": sentence}
            reply = {"jsonrpc": "2.0", "id": self.rpc_id, "error": error}
            await JSONResponse(reply, 200, headers)(self.scope, self.receive, self.answer)
            return
        name = "photo" if refused.key == "guard_foreign_file" else "request"
        fault = {"__type__": "validate", "is_valid": False, "parameter_name": name, "message": sentence}
        told = {"detail": [fault] if status == 422 else sentence, "error": sentence}
        await JSONResponse(told, status, headers)(self.scope, self.receive, self.answer)

    async def answer(self, message: Message) -> None:
        """What the app answers, with our headers."""
        if message["type"] == "http.response.start":
            self.answered = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def receive_again(self) -> Message:
        """The body that was read, then whatever else happens."""
        if self._again:
            return await self.receive()
        self._again = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def answer_call(self, message: Message) -> None:
        """As `answer`, with a sentence where Gradio has none, or one in English only: that the queue is full."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._fault = message
        elif self._fault is None:
            await self.answer(message)
        else:
            self._fault_body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._say(self._fault, self._fault_body)

    async def _say(self, start: Message, body: bytes) -> None:
        status = start["status"]
        if status == 404:
            await self.refuse(Refused(404, "guard_unknown_function"))
        elif status == 503:
            await self.refuse(Refused(429, "guard_busy", seconds=AGAIN_SECONDS))
        elif _has_sentence(body):
            await self.answer(start)
            await self.answer({"type": "http.response.body", "body": body})
        else:
            await self.refuse(Refused(status, "guard_malformed" if status < 500 else "no_answer"))

    async def answer_upload(self, message: Message) -> None:
        """As `answer`, with sentences of ours for what Gradio's parser says of a form."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._fault = message
            heavy = message["status"] == 413 and self._received > MAX_BYTES  # else it is a header of the form
            await self.refuse(self._upload_refused or (HEAVY if heavy else malformed()))
        elif self._fault is None:
            await self.answer(message)

    async def receive_upload(self) -> Message:
        """The next part of an upload. Gradio's parser takes back what it stored of one that is no good."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise MultiPartException("The photo was not sent to its end.")
        body = message.get("body", b"")
        self._received += len(body)
        self._parts += (self._end + body).count(self.edge)
        self._end = (self._end + body)[-len(self.edge) + 1 :]
        if self._received > UPLOAD_BYTES:
            self._upload_refused = HEAVY
        elif self._parts > MAX_PARTS + 1:  # the last one ends the form
            self._upload_refused = Refused(413, "guard_part_count", limit=MAX_PARTS)
        if self._upload_refused:
            raise MultiPartException("refused")
        return message


healthy = JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


def route_of(scope: Scope) -> str:
    """The path within this app, wherever it is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path


def session_of(told: Any) -> str | None:
    """The name that a page, or Gradio's client, has given itself."""
    session = told.get("session_hash") if isinstance(told, dict) else None
    return session[:MAX_TEXT] if isinstance(session, str) else None


def _has_sentence(body: bytes) -> bool:
    """Whether an answer says in words what was wrong."""
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return isinstance(told, dict) and any(isinstance(told.get(key), str) for key in ("error", "detail"))
