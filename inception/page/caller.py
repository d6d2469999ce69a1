"""What all endpoints share: how they are described, and a caller's photo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradio.components import Component
from gradio.utils import get_function_description

from ..errors import PhotoError
from .handlers import as_source
from .runner import Look
from .studio import Studio
from .uploads import gone

# A function with its inputs and outputs. Its name is the endpoint's; its docstring is what people and machines
# read of it. Gradio takes each argument's sentence from one line, so it must fit there. Its arguments are checked by
# what their components allow (`arguments.checked`); a `UserError` that it raises is what the caller is told.
Endpoint = tuple[Callable[..., Any], list[Component], list[Component]]


def described(function: Callable[..., Any]) -> str:
    """What is told of an endpoint, from its docstring: what it does and what it returns, without the arguments."""
    what, _, returned = get_function_description(function)
    return f"{what} Returns: {' '.join(returned)}."


def look_at(studio: Studio, photo: str | None, model: str) -> Look:
    """What the network called `model` sees of a caller's photo.

    Raises:
        PhotoError, WeightsError: as `Studio.look`, or if there is no photo.
    """
    if not photo:
        raise PhotoError("photo_needed", "A photo is needed; please send one.")
    try:
        return studio.look(model, as_source(photo))
    except PhotoError as error:
        if error.kind == "photo_missing":
            raise gone() from error
        raise
