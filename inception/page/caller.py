"""The photo that a caller of an endpoint sends."""

from __future__ import annotations

from ..errors import PhotoError
from .handlers import as_source
from .runner import Look
from .studio import Studio
from .uploads import gone


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
