"""Serve a page on a socket that listens already, so that no request is lost between two servers of one port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from gradio import http_server
from starlette.types import ASGIApp


@contextmanager
def launching_on(listener: socket.socket) -> Iterator[None]:
    """Within, have Gradio's `launch` serve on `listener`, which its server closes at the end.

    `launch` has no option for it: it binds a socket of its own.
    """

    def start_server(
        app: ASGIApp, server_name: str, server_port: int, **ssl: None
    ) -> tuple[str, int, str, http_server.Server]:
        server = http_server.Server(uvicorn.Config(app, log_level="warning"))
        server.run = partial(server.run, sockets=[listener])
        server.run_in_thread()
        local = "localhost" if server_name == "0.0.0.0" else server_name
        return server_name, server_port, f"http://{local}:{server_port}/", server

    original = http_server.start_server
    http_server.start_server = start_server
    try:
        yield
    finally:
        http_server.start_server = original
