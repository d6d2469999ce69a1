"""Exception for a request that the server refuses."""

from __future__ import annotations


class RequestRefusedError(Exception):
    """A refused request.

    Starlette's `HTTPException` carries a finished text; here the sentence is chosen later, in the visitor's language.

    Args:
        status: HTTP status of the response.
        key: name of the sentence in `web/words`.
        details: values for the sentence's placeholders; `seconds` also becomes the `Retry-After` header.
    """

    def __init__(self, status: int, key: str, **details: object) -> None:
        super().__init__(status, key)
        self.status, self.key, self.details = status, key, details


def malformed() -> RequestRefusedError:
    """Return the refusal of a request that cannot be parsed."""
    return RequestRefusedError(400, "guard_malformed")
