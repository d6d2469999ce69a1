"""uvicorn's HTTP protocol with a bound for all of a request that is not its body; `ending.serve` puts it in place.

Where uvicorn parses with `h11`, it has this bound. Where it parses with `httptools`, it has none, and a header is
copied as a whole with each piece of it that comes: 100 MB of one stop the server for minutes.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 64 * 2**10  # as in `h11`
# For each of so many bytes of a body one more: a body may come in chunks, but not in millions of them.
BODY_PER_BYTE = 16
REFUSAL = b"This request's headers are too long, or its chunks too short; please send other ones.\n"


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection on which more than `HEAD_BYTES` of a request came that are not its body.

    What one call of `data_received` brings is parsed first, and may be some more: its size is the event loop's.
    """

    _received = _body = 0  # bytes of this request

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        if self._received - self._body > HEAD_BYTES + self._body // BODY_PER_BYTE and not self.transport.is_closing():
            head = [STATUS_LINE[431], b"content-type: text/plain\r\nconnection: close\r\n"]
            self.transport.write(b"".join([*head, b"content-length: %d\r\n\r\n" % len(REFUSAL), REFUSAL]))
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._received = self._body = 0
        super().on_message_complete()
