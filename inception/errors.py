"""Errors that a user may see: one sentence, and a kind by which a page can say it in another language."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 1000  # cut before `repr` spells them out, whatever their length


def quoted(value: object, limit: int = 80) -> str:
    """`repr` of a value for an error message, cut to `limit` characters with an ellipsis."""
    try:
        text = _SHORT.repr(value)
    except ValueError:
        text = f"<{type(value).__name__}>"  # Python refuses to spell out an int of more than 4300 digits
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class UserError(Exception):
    """Something that the user can mend. `str()` is the English sentence.

    Args:
        kind: stable name of what happened, for instance "photo_too_large".
        message: English template that says what happened, what is allowed and what to do next.
        details: values for the template; a translation of `kind` takes the same names.
    """

    def __init__(self, kind: str, message: str, **details: object) -> None:
        super().__init__(message.format(**details))
        self.kind = kind
        self.details = details

    def __reduce__(self) -> tuple[Callable[..., UserError], tuple[object, ...]]:
        # Each kind is made of other arguments: what comes out of another process is put together from its parts.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[UserError], arguments: tuple[object, ...], parts: dict[str, object]) -> UserError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(parts)
    return error


class PhotoError(UserError):
    """A photo that cannot be shown."""


class WeightsError(UserError):
    """Weights that cannot be had or do not fit."""


class DeviceError(UserError):
    """A device that does not exist."""


class ChoiceError(UserError, ValueError):
    """A value that is not among those allowed."""

    def __init__(self, what: str, value: object, allowed: Sequence[str]) -> None:
        super().__init__(
            "choice",
            "{what} is {value}; it must be one of: {allowed}.",
            what=what,
            value=quoted(value),
            allowed=", ".join(allowed),
        )
