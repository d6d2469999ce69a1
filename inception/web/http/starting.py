"""A page that says that the app is starting, served within half a second, while torch and Gradio are being imported.

The standard library serves it: uvicorn and Starlette would have to be imported first. The app takes over the listening
socket when it is ready, and the page reloads itself until the app answers.
"""

from __future__ import annotations

import errno
import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Thread
from typing import Any

from ...runtime.address import PORTS, Address, allow_reuse, no_free_port, refusal

STATIC = Path(__file__).parent / "static"
HEALTH, SCRIPT = "/healthz", "/starting.js"
RETRY_SECONDS = 2
REQUEST_SECONDS = 5  # that a connection may take to send its request
MAX_CONNECTIONS = 40  # open at once, each with a thread; further ones are closed
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'",
    "Retry-After": str(RETRY_SECONDS),
    "X-Content-Type-Options": "nosniff",
}


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        # 503, so that load balancers send no visitors yet and nothing is cached.
        if path == HEALTH:
            self._answer(503, "application/json", json.dumps({"status": "starting"}, separators=(",", ":")).encode())
        elif path == SCRIPT:
            self._answer(200, "text/javascript; charset=utf-8", (STATIC / "starting.js").read_bytes())
        else:
            self._answer(503, "text/html; charset=utf-8", (STATIC / "starting.html").read_bytes())

    do_HEAD = do_GET  # noqa: N815 - the base class calls it so

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": media_type, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "InceptionLens"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: addresses are the visitors' own."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a slow client must not delay the app
    request_queue_size = 64  # connections that wait to be accepted; a class may open the page at once

    def __init__(self, host: str, port: int) -> None:
        self._free = BoundedSemaphore(MAX_CONNECTIONS)
        # A name may have an IPv6 address only.
        found: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family, place = found[0], found[4]
        super().__init__(place, _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may take seconds."""
        allow_reuse(self.socket)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread: browsers also open connections that they send nothing on."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a connection that broke off."""


class StartingPage:
    """The page on an address, until `stop`.

    Attributes:
        address: with the port that it listens on.
        listener: the listening socket, which the app then takes: who connects in between waits for the app.

    Raises:
        UserError: if no allowed port is free, or this machine or user may not listen there.
    """

    def __init__(self, wanted: Address) -> None:
        self._server = _listening(wanted)
        self.listener = self._server.socket
        self.address = Address(wanted.host, self._server.server_address[1])
        Thread(target=self._server.serve_forever, args=(0.01,), name="starting", daemon=True).start()

    def stop(self) -> None:
        """Accept no further connections; those that are open are still answered. A second call does nothing."""
        self._server.shutdown()

    def close(self) -> None:
        """Stop, and close the socket if it is still open."""
        self.stop()
        self._server.server_close()


def _listening(wanted: Address) -> _Server:
    host = wanted.host.strip("[]")
    # For a port that another program holds exclusively, Windows raises EACCES.
    taken = {errno.EADDRINUSE} if wanted.port is not None else {errno.EADDRINUSE, errno.EACCES}
    for port in (wanted.port,) if wanted.port is not None else PORTS:
        try:
            return _Server(host, port)
        except OSError as error:
            if error.errno not in taken:
                raise refusal(Address(wanted.host, port), error) from error
    raise no_free_port(wanted.port)
