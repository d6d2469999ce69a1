"""Graceful shutdown: accepted requests are answered, new ones refused, and the server ends within ten seconds.

uvicorn's own graceful shutdown closes the listening socket at once and knows nothing of Gradio's queue, whose results
are fetched by further requests.
"""

from __future__ import annotations

import logging
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import gradio as gr
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..words import language_of, say
from .listener import launching_on
from .routes import HEALTH, path_within_app
from .security_headers import HEADERS

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Together below the ten seconds after which Docker, Kubernetes and Spaces kill a server.
DRAIN_SECONDS, CLOSE_SECONDS = 7.0, 1
# Without requests, before the server counts as drained: a result is fetched by a request of its own.
QUIET_SECONDS = 0.5
# Connections that an open page, or an MCP client, holds for hours without waiting for a result.
LONG_LIVED_PATHS = ("/heartbeat/", "/mcp/")

log = logging.getLogger(__name__)


@dataclass
class DrainState:
    """State that `DrainMiddleware` shares with the code that stops the server.

    Attributes:
        in_flight: requests that are being answered; changed in the server's event loop only.
        is_draining: whether new requests are refused.
    """

    in_flight: int = 0
    is_draining: bool = False


class DrainMiddleware:
    """ASGI middleware: count requests in flight; while draining, refuse new ones with status 503.

    GET requests still pass, as they fetch results of earlier ones, but not the health check: by that, load balancers
    learn to send visitors elsewhere.
    """

    def __init__(self, app: ASGIApp, state: DrainState) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (
            scope["method"] == "GET" and any(path in scope["path"] for path in LONG_LIVED_PATHS)
        ):
            await self.app(scope, receive, send)
        elif self.state.is_draining and (scope["method"] == "POST" or path_within_app(scope) == HEALTH):
            headers = {**HEADERS, "Retry-After": "60", "Cache-Control": "no-store"}
            sentence = say(language_of(Headers(scope=scope).get("accept-language", "")), "stopping")
            refusal = JSONResponse({"status": "stopping", "detail": sentence}, status_code=503, headers=headers)
            await refusal(scope, receive, send)
        else:
            self.state.in_flight += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.state.in_flight -= 1


def serve(page: gr.Blocks, listener: socket.socket, **options: Any) -> bool:
    """Launch the page on a listening socket and serve it until SIGINT or SIGTERM, then answer all accepted requests.

    A second signal has its usual effect, without waiting.

    Args:
        listener: closed at the end.
        options: of `page.launch`.

    Returns:
        Whether all requests were answered within `DRAIN_SECONDS`; the others are abandoned.
    """
    state = DrainState()
    app_options = options.pop("app_kwargs", {})
    # The first of ours, so that it counts whatever the others answer.
    middleware = [Middleware(DrainMiddleware, state=state), *app_options.get("middleware", ())]
    with _stop_event() as stop:
        try:
            # Quiet, because Gradio would advise `share=True`, which this command does not have.
            with launching_on(listener):
                page.launch(
                    **options,
                    prevent_thread_lock=True,
                    quiet=True,
                    app_kwargs={**app_options, "middleware": middleware},
                )
            print(f"The page is at {page.local_url}", flush=True)
            # With a timeout: on some systems a signal does not interrupt a waiting thread.
            while not stop.wait(1):
                pass
            state.is_draining = True
            is_drained = drain(page, state)
        finally:
            if page.is_running:
                # Without a timeout, uvicorn would wait for every open page to be closed.
                page.server.config.timeout_graceful_shutdown = CLOSE_SECONDS
                page.close(verbose=False)
    if not is_drained:
        log.warning(
            "Some requests were abandoned: they were still running %g seconds after the signal to stop.", DRAIN_SECONDS
        )
    return is_drained


@contextmanager
def _stop_event() -> Iterator[Event]:
    """Yield an event that the first signal to stop sets; the next signal is handled as before."""
    stop = Event()
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(number: int, frame: object) -> None:
        restore()
        stop.set()

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()


def drain(page: gr.Blocks, state: DrainState) -> bool:
    """Wait until nothing has been in flight or queued for a while; return whether nothing is at the deadline."""
    now = time.monotonic()
    deadline, last_busy = now + DRAIN_SECONDS, now
    while now < deadline:
        if _is_busy(page, state):
            last_busy = now
        elif now - last_busy >= QUIET_SECONDS:
            return True
        time.sleep(0.02)
        now = time.monotonic()
    return not _is_busy(page, state)


def _is_busy(page: gr.Blocks, state: DrainState) -> bool:
    return bool(state.in_flight or len(page._queue) or page._queue.get_active_worker_count())
