"""HTTP statuses for a caller's faults, where Gradio answers with 500."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import UserError, quoted
from ..text import language_of, say_error

REFUSED = "inception.refused"  # in a request's scope: a list, not empty once the caller's arguments were refused
NAMED = "/call/v2/"  # where arguments come by their names


class RefusalStatus:
    """ASGI middleware: what Gradio answers with 500 has status 400 where `refused` was called meanwhile.

    In Gradio's queue, errors are events and have no status; outside of it, all of them are 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusals = scope[REFUSED] = list[str]()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 500 and refusals:
                message["status"] = 400
            await send(message)

        await self.app(scope, receive, answer)


def refused(scope: Scope, sentence: str) -> None:
    """Note that a request's own arguments were refused, for `RefusalStatus`."""
    if REFUSED in scope:
        scope[REFUSED].append(sentence)


async def wrong_names(request: Request, error: Exception) -> Response:
    """FastAPI exception handler: a sentence for the `TypeError` of Gradio's route that takes arguments by name."""
    path = request.url.path
    if NAMED not in path:
        raise error
    name = path.rpartition(NAMED)[2].rstrip("/")
    fault = _fault_of(name, request.app.api_info["named_endpoints"][f"/{name}"]["parameters"], await request.json())
    if fault is None:
        raise error
    sentence = say_error(language_of(request.headers.get("accept-language", "")), fault)
    return JSONResponse({"detail": sentence, "error": sentence}, 400)


def _fault_of(endpoint: str, parameters: list[dict[str, Any]], sent: dict[str, Any]) -> UserError | None:
    names = [row["parameter_name"] for row in parameters]
    unknown = [name for name in sent if name not in names]
    if unknown:
        return UserError(
            "argument_unknown",
            "{endpoint} has no argument {name}; its arguments are: {names}. Please send no others.",
            endpoint=endpoint,
            name=quoted(unknown[0]),
            names=", ".join(names) or "–",
        )
    needed = [row["parameter_name"] for row in parameters if not row["parameter_has_default"]]
    missing = [name for name in needed if name not in sent]
    if missing:
        return UserError(
            "argument_missing",
            "{endpoint} needs the argument {name}, which was not sent; please send it.",
            endpoint=endpoint,
            name=missing[0],
        )
    return None
