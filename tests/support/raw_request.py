"""Requests whose paths are not normalised."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit


def request(address: str, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Send a request without normalising its path, as other clients would; return status and body of the response."""
    server = urlsplit(address)
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=60)
    connection.putrequest(method, path, skip_accept_encoding=True)
    if body is not None:
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    try:
        return response.status, response.read()
    except http.client.IncompleteRead as error:
        return response.status, error.partial  # Gradio drops the connection if the session is unknown
    finally:
        connection.close()
