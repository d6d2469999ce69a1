"""Clients of an app that responds at once, behind the request guard."""

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
    """A clock that the test advances."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def echo(request: Request) -> Response:
    """Respond with the path and the number of bytes of the body."""
    return JSONResponse({"answered": request.url.path, "bytes": len(await request.body())})


def guarded_client(clock: Clock, *routes: Route) -> httpx.AsyncClient:
    """Return a client of a guarded app with these routes; all other paths echo."""
    # Every path has a route, so that only the guard rejects requests.
    app = Starlette(routes=[*routes, Route("/{rest:path}", echo, methods=["GET", "POST", "PUT", "DELETE"])])
    return client_at("127.0.0.1", RequestGuard(app, clock))


def client_at(address: str, app: ASGIApp) -> httpx.AsyncClient:
    """Return a client of the app with this IP address."""
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://page")
