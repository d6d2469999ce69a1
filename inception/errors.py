"""Errors shown to users: one English sentence, and a `kind` by which the page translates it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from reprlib import Repr

QUOTED_CHARACTERS = 80  # of a value, in an error sentence

# Bounded in depth and length, so that the whole `repr` of a large value is never built.
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 2 * QUOTED_CHARACTERS
_SHORT.maxlevel = 3


def quoted(value: object) -> str:
    """Return `repr(value)` as one line of at most `QUOTED_CHARACTERS` characters, with "…" where it was cut."""
    try:
        # `Repr` would join a long string's two ends, which reads as if it were the whole.
        text = repr(value[: QUOTED_CHARACTERS + 1]) if isinstance(value, str) else _SHORT.repr(value)
    except Exception:
        # Python refuses to write integers of more than 4300 digits, and a `__repr__` may raise anything.
        text = f"<{type(value).__name__}>"
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[: QUOTED_CHARACTERS - 1]}…"


class UserError(Exception):
    """An error that the user can correct. `str()` is the English sentence.

    Args:
        kind: stable identifier, for instance "photo_large".
        message: English template that says what happened, what is allowed and what to do next.
        details: values for the template; a translation of `kind` uses the same names.
    """

    def __init__(self, kind: str, message: str, **details: object) -> None:
        super().__init__(message.format(**details))
        self.kind = kind
        self.details = details

    def __reduce__(self) -> tuple[Callable[..., UserError], tuple[object, ...]]:
        # Subclasses have other constructor arguments, so unpickling restores the attributes instead of calling it.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(error_type: type[UserError], arguments: tuple[object, ...], attributes: dict[str, object]) -> UserError:
    error = error_type.__new__(error_type, *arguments)
    error.__dict__.update(attributes)
    return error


class PhotoError(UserError):
    """A photo that cannot be opened."""


class WeightsError(UserError):
    """Weights that are unavailable, damaged or of another network."""


class DeviceError(UserError):
    """A device that does not exist."""


class ArgumentError(UserError, ValueError):
    """An argument of a Python function that is not allowed."""

    def __init__(self, message: str) -> None:
        super().__init__("value", "{sentence}", sentence=message)


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
