"""uvicorn's httptools protocol with a limit on everything in a request but its body; `listener` has uvicorn use it.

uvicorn's `h11` protocol has such a limit. With `httptools` it has none and copies a whole header at each chunk that
arrives: one header of 100 MB blocks the server for minutes.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 2**10  # as in `h11`
# One more for each so many bytes of the body: chunked transfer is allowed, but not in millions of chunks.
BODY_BYTES_PER_HEAD_BYTE = 16
REFUSAL = b"This request's headers are too long, or its chunks too short; please send other ones.\n"


class BoundedProtocol(HttpToolsProtocol):
    """HTTP protocol that answers 431 and closes above `MAX_HEAD_BYTES` of headers, chunk sizes and trailers.

    The data of one `data_received` call is parsed before it is counted; the event loop limits its size.
    """

    _received = _body = 0  # bytes of the current request

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        limit = MAX_HEAD_BYTES + self._body // BODY_BYTES_PER_HEAD_BYTE
        if self._received - self._body > limit and not self.transport.is_closing():
            head = [STATUS_LINE[431], b"content-type: text/plain\r\nconnection: close\r\n"]
            self.transport.write(b"".join([*head, b"content-length: %d\r\n\r\n" % len(REFUSAL), REFUSAL]))
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """Count a part of the body; called by the parser."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin to count the next request; called by the parser."""
        self._received = self._body = 0
        super().on_message_complete()
