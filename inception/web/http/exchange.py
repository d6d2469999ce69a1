"""One HTTP request and its response, as the guard passes them to Gradio."""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from ..words import language_of, say
from .errors import RequestRefusedError
from .routes import QUEUE_JOIN, path_within_app
from .security_headers import add_security_headers

RETRY_SECONDS = 10  # after a refusal because the whole server is busy
INVALID_REQUEST = -32600  # JSON-RPC 2.0, section 5.1
PYTHON_CLIENT = "gradio_client/"  # prefix of its User-Agent header


def busy() -> RequestRefusedError:
    """Return the refusal of a request for which the server has no room at the moment."""
    return RequestRefusedError(429, "guard_busy", seconds=RETRY_SECONDS)


class Exchange:
    """One HTTP request and its response.

    Attributes:
        content_length: announced size of the body in bytes; None without a valid Content-Length header.
        client_address: as the server knows it: behind a proxy the proxy's, unless uvicorn trusts its headers.
        body: the whole body, once the guard has read it.
        buffered_bytes: of the body that are in memory.
        rpc_id: id of a JSON-RPC request.
        has_started: whether the response has begun.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.method, self.path = scope["method"], path_within_app(scope)
        self.headers = Headers(scope=scope)
        length = self.headers.get("content-length", "")
        self.content_length = int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else None
        client = scope.get("client")
        self.client_address = client[0] if client else ""
        self._language = language_of(self.headers.get("accept-language", ""))
        self.body, self.buffered_bytes = b"", 0
        self.rpc_id: int | str | None = None
        self.has_started = self._has_replayed = False

    async def send(self, message: Message) -> None:
        """Send a message of the response, with security headers."""
        if message["type"] == "http.response.start":
            self.has_started = True
            add_security_headers(message)
        await self._send(message)

    async def replay_body(self) -> Message:
        """Receive `body` as one message, then what follows it, such as a disconnect."""
        if self._has_replayed:
            return await self.receive()
        self._has_replayed = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def refuse(self, refusal: RequestRefusedError) -> None:
        """Respond with a refusal's sentence, in the form that Gradio's page and clients, or an MCP client, show."""
        sentence, status = say(self._language, refusal.key, **refusal.details), refusal.status
        headers = {"Retry-After": str(refusal.details["seconds"])} if "seconds" in refusal.details else {}
        if status == 408:
            headers["Connection"] = "close"
        if self.rpc_id is not None:
            # MCP clients show the message of a JSON-RPC error; of an HTTP error only the status.
            error = {"code": INVALID_REQUEST, "message": sentence}
            response = JSONResponse({"jsonrpc": "2.0", "id": self.rpc_id, "error": error}, 200, headers)
        else:
            if self.path == QUEUE_JOIN and self.headers.get("user-agent", "").startswith(PYTHON_CLIENT):
                status = 422  # the only status of which Gradio's Python client shows more than the number
            parameter = "photo" if refusal.key == "guard_foreign_file" else "request"
            fault = {"__type__": "validate", "is_valid": False, "parameter_name": parameter, "message": sentence}
            content = {"detail": [fault] if status == 422 else sentence, "error": sentence}
            response = JSONResponse(content, status, headers)
        await response(self.scope, self.receive, self.send)


class ApiResponse:
    """Response of Gradio's API: an error without a sentence, or with one in English only, is replaced by ours."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._error: Message | None = None  # start of an error response, held back until its body is complete
        self._error_body = b""

    async def send(self, message: Message) -> None:
        """Send a message of the response; errors once they are complete."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._error = message
        elif self._error is None:
            await self._exchange.send(message)
        else:
            self._error_body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_error(self._error)

    async def _send_error(self, start: Message) -> None:
        status = start["status"]
        if status == 404:
            await self._exchange.refuse(RequestRefusedError(404, "guard_unknown_function"))
        elif status == 503:  # the queue is full
            await self._exchange.refuse(busy())
        elif _has_sentence(self._error_body):
            await self._exchange.send(start)
            await self._exchange.send({"type": "http.response.body", "body": self._error_body})
        else:
            await self._exchange.refuse(RequestRefusedError(status, "guard_malformed" if status < 500 else "no_answer"))


def _has_sentence(body: bytes) -> bool:
    """Whether the body of an error response says in words what was wrong."""
    try:
        content = json.loads(body)
    except ValueError:
        return False
    return isinstance(content, dict) and any(isinstance(content.get(key), str) for key in ("error", "detail"))
