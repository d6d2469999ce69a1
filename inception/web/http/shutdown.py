"""How a server ends: what it has accepted is finished, nothing new is begun, and it is over within ten seconds."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Event
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from ...errors import UserError
from .guard import HEADERS, HEALTH, route_of

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Together below ten seconds, after which those who stop servers (Docker, Kubernetes, Spaces) kill them.
PATIENCE_SECONDS, CLOSING_SECONDS = 7.0, 1
# Between the end of one request and the next of the same question: an answer is fetched by a request of its own.
QUIET_SECONDS = 0.5
STOPPING = "This server is about to stop and begins nothing new; please try again in a minute."
# What an open page, or a client, holds open for hours without having asked anything.
LISTENING = ("/heartbeat/", "/mcp/")

log = logging.getLogger(__name__)


class DrainMiddleware:
    """Counts the requests that somebody waits for; once closed, it turns away who asks something new.

    Load balancers, which look at `HEALTH`, then send nobody here any more.
    """

    def __init__(self) -> None:
        self.inside = 0  # changed in the server's event loop only
        self.closed = False

    def middleware(self) -> Middleware:
        """What an app lets all its requests through."""
        return Middleware(_Doorkeeper, door=self)


class _Doorkeeper:
    def __init__(self, app: ASGIApp, door: DrainMiddleware) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] == "GET" and any(way in scope["path"] for way in LISTENING)):
            await self.app(scope, receive, send)
        elif self.door.closed and (scope["method"] == "POST" or route_of(scope) == HEALTH):
            headers = {**HEADERS, "Retry-After": "60", "Cache-Control": "no-store"}
            refusal = JSONResponse({"status": "stopping", "detail": STOPPING}, status_code=503, headers=headers)
            await refusal(scope, receive, send)
        else:
            self.door.inside += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.door.inside -= 1


def serve(page: gr.Blocks, **options: Any) -> bool:
    """Launch the page and serve it until SIGINT or SIGTERM, then finish what was asked before.

    A second signal ends the process as it would have without this.

    Args:
        options: of `page.launch`.

    Returns:
        Whether all was finished; what takes longer than `PATIENCE_SECONDS` is given up.

    Raises:
        UserError: if there is no free port of those that it may have.
    """
    door = DrainMiddleware()
    settings = options.pop("app_kwargs", {})
    # The outermost: it answers for all that lies within.
    settings = {**settings, "middleware": [door.middleware(), *settings.get("middleware", ())]}
    if find_spec("httptools") is not None:
        HTTP_PROTOCOLS["auto"] = "inception.web.protocol:BoundedProtocol"
    with _told_to_stop() as stop:
        try:
            page.launch(**options, prevent_thread_lock=True, app_kwargs=settings)
        except OSError as error:
            raise UserError("port", "No port is free that the page may have; please name another: --port N.") from error
        try:
            # With a time limit: some systems tell a thread that waits of no signal.
            while not stop.wait(1):
                pass
            door.closed = True
            finished = _finished(page, door)
        finally:
            # Pages that are open have nothing to wait for; without a limit they would be waited for.
            page.server.config.timeout_graceful_shutdown = CLOSING_SECONDS
            page.close(verbose=False)
    if not finished:
        log.warning("Some questions were not answered: they would have taken longer than a server may take to stop.")
    return finished


@contextmanager
def _told_to_stop() -> Iterator[Event]:
    """An event that is set by the first signal to stop; the next one is treated as before."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def told(number: int, frame: object) -> None:
        restore()
        stop.set()

    for number in SIGNALS:
        signal.signal(number, told)
    try:
        yield stop
    finally:
        restore()


def _finished(page: gr.Blocks, door: DrainMiddleware) -> bool:
    """Wait until nobody waits for an answer; false if that takes too long."""
    now = time.monotonic()
    end, busy = now + PATIENCE_SECONDS, now
    while now < end:
        if door.inside or len(page._queue) or page._queue.get_active_worker_count():
            busy = now
        elif now - busy >= QUIET_SECONDS:
            return True
        time.sleep(0.02)
        now = time.monotonic()
    return False
