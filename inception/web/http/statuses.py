"""HTTP status 400 for errors of the caller, which Gradio answers with 500, and a sentence for wrong argument names."""

from __future__ import annotations

from threading import Event
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import UserError, quoted
from ..words import language_of, say_error
from .routes import NAMED_CALL

CALLER_ERROR = "inception.caller_error"  # key in a request's scope: an event that is set if the caller made an error


class ErrorStatusMiddleware:
    """ASGI middleware: status 400 in place of 500 if `mark_caller_error` was called for the request.

    Errors in Gradio's queue are events and have no status; all other errors have status 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # An object that changes, because routing copies the scope, and both copies must share it.
        has_erred = scope[CALLER_ERROR] = Event()

        async def send_with_status(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 500 and has_erred.is_set():
                message["status"] = 400
            await send(message)

        await self.app(scope, receive, send_with_status)


def mark_caller_error(scope: Scope) -> None:
    """Note for `ErrorStatusMiddleware` that a request fails because of its own arguments."""
    if CALLER_ERROR in scope:
        scope[CALLER_ERROR].set()


async def argument_name_error(request: Request, error: Exception) -> Response:
    """FastAPI exception handler for the `TypeError` that Gradio raises at unknown or missing named arguments."""
    path = request.url.path
    if NAMED_CALL not in path:
        raise error
    endpoint = path.rpartition(NAMED_CALL)[2].rstrip("/")
    parameters = request.app.api_info["named_endpoints"][f"/{endpoint}"]["parameters"]
    user_error = _check_names(endpoint, parameters, await request.json())
    if user_error is None:
        raise error
    sentence = say_error(language_of(request.headers.get("accept-language", "")), user_error)
    return JSONResponse({"detail": sentence, "error": sentence}, 400)


def _check_names(endpoint: str, parameters: list[dict[str, Any]], arguments: dict[str, Any]) -> UserError | None:
    names = [row["parameter_name"] for row in parameters]
    unknown = [name for name in arguments if name not in names]
    if unknown:
        return UserError(
            "argument_unknown",
            "{endpoint} has no argument {name}; its arguments are: {names}. Please send no others.",
            endpoint=endpoint,
            name=quoted(unknown[0]),
            names=", ".join(names) or "–",
        )
    required = [row["parameter_name"] for row in parameters if not row["parameter_has_default"]]
    missing = [name for name in required if name not in arguments]
    if missing:
        return UserError(
            "argument_missing",
            "{endpoint} needs the argument {name}, which was not sent; please send it.",
            endpoint=endpoint,
            name=missing[0],
        )
    return None
