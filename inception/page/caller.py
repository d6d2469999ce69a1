"""What all endpoints share: a caller brings a photo, and hears in a sentence what cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from ..errors import UserError
from .handlers import as_source
from .runner import Look
from .studio import Studio


@contextmanager
def said_to_the_caller() -> Iterator[None]:
    """Turns what the caller can mend into a `gr.Error` with the sentence; anything else stays unsaid."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error


def look_at(studio: Studio, photo: str | None, model: str) -> Look:
    """What the network called `model` sees of a caller's photo.

    Raises:
        gr.Error: if there is no photo.
        PhotoError, WeightsError: as `Studio.look`.
    """
    if not photo:
        raise gr.Error("A photo is needed; please send one.", print_exception=False)
    return studio.look(model, as_source(photo))


def whole(value: object, what: str, least: int, most: int) -> int:
    """A whole number that a caller told; `what` is its name.

    Raises:
        UserError: if it is none, or is out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in range(least, most + 1):
        raise UserError(
            "number",
            "{what} is {value}; it must be a whole number from {least} to {most}.",
            what=what,
            value=repr(value),
            least=least,
            most=most,
        )
    return int(value)
