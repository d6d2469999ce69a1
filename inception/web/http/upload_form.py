"""Limits on an upload while it is streamed to Gradio: form type, bytes, number of parts and time without a byte.

Gradio's parser, python-multipart, limits the size of a file but not their number, and stores each in a temporary file.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from anyio import fail_after
from starlette.formparsers import MultiPartException
from starlette.types import Message

from ...vision.photo import MAX_BYTES
from .errors import RequestRefusedError, malformed
from .exchange import Exchange

MEGABYTE = 2**20
MAX_UPLOAD_BYTES = MAX_BYTES + MEGABYTE  # of the whole request: the photo, and the form around it
MAX_PARTS = 8  # the page sends one
IDLE_SECONDS = 30  # that may pass without a byte, before the connection is closed
# No parameter but the boundary: Gradio decodes a form's texts by whichever codec is named, and with some of them the
# time grows with the square of the length.
CONTENT_TYPE = re.compile(
    r"""multipart/form-data\s*;\s*boundary=("?)(?P<boundary>[\w'()+,./:=? -]{1,70})\1""", re.ASCII | re.I
)


def too_large() -> RequestRefusedError:
    """Return the refusal of an upload that is too large."""
    return RequestRefusedError(413, "guard_upload_size", limit=MAX_BYTES // MEGABYTE)


class UploadForm:
    """A multipart form on its way to Gradio.

    Args:
        exchange: the upload.
        add: is called with the size of each chunk, and raises `RequestRefusedError` if there is no room for it.

    Attributes:
        received: bytes that have come so far.

    Raises:
        RequestRefusedError: if the content type is not a plain multipart form, or the announced size is too large.
    """

    def __init__(self, exchange: Exchange, add: Callable[[int], None]) -> None:
        match = CONTENT_TYPE.fullmatch(exchange.headers.get("content-type", ""))
        if match is None:
            raise malformed()
        if (exchange.content_length or 0) > MAX_UPLOAD_BYTES:
            raise too_large()
        self._exchange, self._add = exchange, add
        self._delimiter = b"--" + match["boundary"].encode()
        self.received = self._delimiters = 0
        self._is_complete = False
        self._tail = b""  # of the bytes received so far: a delimiter may begin in it
        self._refusal: RequestRefusedError | None = None
        self._is_replaced = False  # whether an error of Gradio's was replaced by a refusal

    @property
    def size(self) -> int:
        """Bytes that the form may take: the announced size, or the limit if none was announced."""
        return self._exchange.content_length or MAX_UPLOAD_BYTES

    async def receive(self) -> Message:
        """Receive the next chunk.

        Raises:
            MultiPartException: if a limit is exceeded, or the client has gone or sends nothing; Gradio's parser then
                deletes what it has stored.
        """
        try:
            with fail_after(None if self._is_complete else IDLE_SECONDS):
                message = await self._exchange.receive()
        except TimeoutError:
            self._refusal = RequestRefusedError(408, "guard_upload_idle", limit=IDLE_SECONDS)
            raise MultiPartException("refused") from None
        if message["type"] == "http.disconnect":
            raise MultiPartException("The photo was not sent to its end.")
        chunk, self._is_complete = message.get("body", b""), not message.get("more_body", False)
        self.received += len(chunk)
        self._delimiters += (self._tail + chunk).count(self._delimiter)
        self._tail = (self._tail + chunk)[-len(self._delimiter) + 1 :]
        try:
            self._add(len(chunk))
        except RequestRefusedError as refusal:
            self._refusal = refusal
        if self.received > MAX_UPLOAD_BYTES:
            self._refusal = too_large()
        elif self._delimiters > MAX_PARTS + 1:  # the last one ends the form
            self._refusal = RequestRefusedError(413, "guard_part_count", limit=MAX_PARTS)
        if self._refusal:
            raise MultiPartException("refused")
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the response, with a sentence of ours in place of the parser's errors."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._is_replaced = True
            # A 413 of fewer bytes is about a header of the form.
            is_large = message["status"] == 413 and self.received > MAX_BYTES
            await self._exchange.refuse(self._refusal or (too_large() if is_large else malformed()))
        elif not self._is_replaced:
            await self._exchange.send(message)
