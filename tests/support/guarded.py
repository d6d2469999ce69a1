"""The guard around an app that answers at once."""

from __future__ import annotations

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from inception.web.http.guard import RequestGuard

JOIN, LIGHT, UPLOAD = "/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload"
FORM = {"Content-Type": "multipart/form-data; boundary=part"}


class Clock:
    """A clock that the test moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def answer(request: Request) -> Response:
    return JSONResponse({"answered": request.url.path, "bytes": len(await request.body())})


def guarded(clock: Clock, *routes: Route) -> httpx.AsyncClient:
    # Every route exists in the app, so that only the guard refuses.
    app = Starlette(routes=[*routes, Route("/{rest:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])])
    return client_at("127.0.0.1", RequestGuard(app, clock))


def client_at(address: str, app: ASGIApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://page")
