"""Errors that a user may see: one sentence, and a kind by which a page can say it in another language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from reprlib import Repr

QUOTED_CHARACTERS = 80  # of a value, in an error sentence

# Bounded in depth and length: the whole `repr` of a value of megabytes is never made.
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 2 * QUOTED_CHARACTERS
_SHORT.maxlevel = 3


def quoted(value: object) -> str:
    """`repr(value)` for an error sentence: one line of at most `QUOTED_CHARACTERS`, with "…" where it was cut."""
    try:
        # A string's two ends would be put together by `Repr`, which reads as if it were whole.
        text = repr(value[: QUOTED_CHARACTERS + 1]) if isinstance(value, str) else _SHORT.repr(value)
    except Exception:
        # Python refuses to write integers of more than 4300 digits, and objects may do as they like.
        text = f"<{type(value).__name__}>"
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[: QUOTED_CHARACTERS - 1]}…"


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
