"""ASGI middleware: route allow-list, size and rate limits, security headers.

Gradio's server can do much more than this page needs; only what is listed in `routes` passes, whatever a later version
adds. No library serves: generic firewalls know neither Gradio's routes nor which of its inputs take a photo.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..api.file_address import localise
from .body import MAX_TEXT, MAX_VALUES, check, count_structural, parse
from .errors import RequestRefusedError, malformed
from .exchange import ApiResponse, Exchange, busy
from .page_functions import check_event_exists, page_of, photo_positions
from .rate_limit import RateLimits
from .routes import (
    API,
    FILE,
    HEALTH,
    MAX_PATH_LENGTH,
    MAX_QUERY_LENGTH,
    NAMED_CALL,
    UPLOAD,
    is_allowed,
    is_mcp,
    is_queued,
)
from .storage import Storage
from .upload_form import MEGABYTE, UploadForm
from .upload_paths import is_uploaded

# Bytes of any body but an upload. A photo in it, as a `data:` address, is a third larger than its file.
MAX_BODY_BYTES = 16 * MEGABYTE
LARGE_BODY_BYTES = MEGABYTE // 16  # a larger body is parsed in a thread, and refused once the next limit is reached
MAX_BUFFERED_BYTES = 512 * MEGABYTE  # of all bodies in memory
MAX_CONCURRENT = 256  # requests that are answered outside the queue

log = logging.getLogger(__name__)
NOT_STORED = {"Cache-Control": "no-store"}
healthy = JSONResponse({"status": "ok"}, headers=NOT_STORED)
unhealthy = JSONResponse({"status": "the queue has stopped"}, 503, headers=NOT_STORED)


class RequestGuard:
    """ASGI middleware around Gradio's app; `launch_options` adds it.

    Args:
        app: the guarded app.
        clock: monotonic time in seconds.
        max_buffered_bytes: of all bodies in memory, above which large ones are refused.
    """

    def __init__(
        self, app: ASGIApp, clock: Callable[[], float] = monotonic, max_buffered_bytes: int = MAX_BUFFERED_BYTES
    ) -> None:
        self.app = app
        self._rates, self._storage = RateLimits(clock), Storage(clock)
        self._max_buffered_bytes = max_buffered_bytes
        self._buffered_bytes = self._concurrent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Gradio has no web sockets, so this is the server's lifespan.
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._handle(exchange)
        except RequestRefusedError as refusal:
            await exchange.refuse(refusal)
        except Exception:
            if exchange.has_started:
                raise
            log.exception("unforeseen error while answering a request")
            await exchange.refuse(RequestRefusedError(500, "no_answer"))
        finally:
            self._buffered_bytes -= exchange.buffered_bytes

    async def _handle(self, exchange: Exchange) -> None:
        path, method, scope = exchange.path, exchange.method, exchange.scope
        if len(path) > MAX_PATH_LENGTH or len(scope["query_string"]) > MAX_QUERY_LENGTH:
            raise RequestRefusedError(414, "guard_url_length")
        if path == HEALTH and method in ("GET", "HEAD"):
            page = page_of(scope)
            health = unhealthy if page and page._queue.stopped else healthy
            await health(scope, exchange.receive, exchange.send)
            return
        if not is_allowed(method, path):
            raise RequestRefusedError(404, "guard_not_found")
        if path.startswith(FILE) and not is_uploaded(path.removeprefix(FILE)):
            raise RequestRefusedError(403, "guard_foreign_file")
        if path == UPLOAD:
            await self._handle_upload(exchange)
        elif method == "POST":
            await self._handle_post(exchange)
        else:
            if page := page_of(scope):
                check_event_exists(page, scope, path)
            is_api = path.startswith(API) and not path.startswith(FILE) and not is_mcp(path)
            send = ApiResponse(exchange).send if is_api else exchange.send
            await self.app(scope, exchange.receive, send)

    async def _handle_upload(self, exchange: Exchange) -> None:
        self._rates.charge_upload(exchange.client_address)
        form = UploadForm(exchange, self._storage.add)
        await self._storage.check(page_of(exchange.scope), form.size)
        # Without `upload_id`: Gradio would remember each for good, to report the upload's progress.
        scope = {**exchange.scope, "query_string": b""}
        try:
            await self.app(scope, form.receive, form.send)
        except (AttributeError, TypeError):
            raise malformed() from None  # Gradio takes every part of a form for a file
        finally:
            self._storage.settle(form.received)

    async def _handle_post(self, exchange: Exchange) -> None:
        path, scope = exchange.path, exchange.scope
        body = await self._read_body(exchange)
        document = parse(body) if len(body) < LARGE_BODY_BYTES else await run_sync(parse, body)
        if is_mcp(path):
            exchange.rpc_id = _rpc_id_of(document)
        has_changed = localise(document)
        # The body of a call with named arguments holds nothing else: `session_hash` would be an argument.
        session = None if is_mcp(path) or path.startswith(NAMED_CALL) else _session_of(document)
        if session == "":
            raise malformed()  # Gradio would take it for no session, and look for its results under the empty name
        self._rates.charge_request(session, exchange.client_address, is_queued=is_queued(path))
        page = page_of(scope)
        if is_queued(path) and not is_mcp(path):
            await self._storage.check(page)  # the answer may be a file
        check(document, len(body), photo_positions(page, path, document) if page else frozenset())
        if has_changed:
            exchange.body = json.dumps(document).encode()
        if is_mcp(path):
            await self.app(scope, exchange.replay_body, exchange.send)
            return
        response = ApiResponse(exchange)
        if is_queued(path):
            await self.app(scope, exchange.replay_body, response.send)
            return
        if self._concurrent >= MAX_CONCURRENT:
            raise busy()
        self._concurrent += 1
        try:
            await self.app(scope, exchange.replay_body, response.send)
        finally:
            self._concurrent -= 1

    async def _read_body(self, exchange: Exchange) -> bytes:
        """Read the whole body into `exchange.body`, checking its limits at every chunk."""
        too_large = RequestRefusedError(413, "guard_body_size", limit=MAX_BODY_BYTES // MEGABYTE)
        if (exchange.content_length or 0) > MAX_BODY_BYTES:
            raise too_large
        chunks, values, has_more = [], 0, True
        while has_more:
            message = await exchange.receive()
            chunk, has_more = message.get("body", b""), message.get("more_body", False)
            chunks.append(chunk)
            values += count_structural(chunk)
            exchange.buffered_bytes += len(chunk)
            self._buffered_bytes += len(chunk)
            if exchange.buffered_bytes > MAX_BODY_BYTES:
                raise too_large
            if values > MAX_VALUES:
                raise RequestRefusedError(413, "guard_value_count", limit=MAX_VALUES)
            if exchange.buffered_bytes > LARGE_BODY_BYTES and self._buffered_bytes > self._max_buffered_bytes:
                raise busy()
        exchange.body = b"".join(chunks)
        return exchange.body


def _rpc_id_of(document: Any) -> int | str | None:
    """Return the id of a JSON-RPC request, if a refusal can repeat it."""
    value = document.get("id") if isinstance(document, dict) else None
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        with suppress(UnicodeEncodeError):  # a lone surrogate
            value.encode()
            return value
    return value if type(value) is int else None


def _session_of(document: Any) -> str | None:
    """Return the name that a page, or Gradio's client, has given its session."""
    session = document.get("session_hash") if isinstance(document, dict) else None
    return session[:MAX_TEXT] if isinstance(session, str) else None
