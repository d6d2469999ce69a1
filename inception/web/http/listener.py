"""Serve a page on a socket that listens already, so that no request is lost between two servers of one port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec

import uvicorn
from gradio import http_server
from gradio.exceptions import ServerFailedToStartError
from starlette.types import ASGIApp

from ...errors import UserError

# For want of httptools, uvicorn's other protocol, which limits a request's head by itself. By name: importing the first
# one imports httptools.
HTTP = "inception.web.http.protocol:BoundedProtocol" if find_spec("httptools") else "h11"


def local_url(host: str, port: int) -> str:
    """Return the address by which this machine reaches a server that listens on `host`."""
    name = host.strip("[]")
    name = {"0.0.0.0": "localhost", "::": "::1"}.get(name, name)
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


@contextmanager
def launching_on(listener: socket.socket) -> Iterator[None]:
    """Within, have Gradio's `launch` serve on `listener`, which its server closes at the end.

    `launch` has no option for it: it binds a socket of its own.

    Raises:
        UserError: if the server has not started after five seconds, Gradio's limit.
    """

    def start_server(
        app: ASGIApp, server_name: str, server_port: int, **_: object
    ) -> tuple[str, int, str, http_server.Server]:
        server = http_server.Server(uvicorn.Config(app, http=HTTP, log_level="warning"))
        server.run = partial(server.run, sockets=[listener])
        try:
            server.run_in_thread()
        except ServerFailedToStartError:
            server.close()  # a thread that still starts while Python ends would crash it
            raise
        return server_name, server_port, local_url(server_name, server_port), server

    original = http_server.start_server
    http_server.start_server = start_server
    try:
        yield
    except ServerFailedToStartError as error:
        raise UserError("server", "The server did not start within five seconds; please try again.") from error
    finally:
        http_server.start_server = original
