"""The photo that a caller of an endpoint sends."""

from __future__ import annotations

from ...errors import PhotoError
from ...service.query import Query
from ...service.service import InferenceService
from ..handlers import as_source
from ..http.uploads import expired_photo_error


def look_at(service: InferenceService, photo: str | None, model: str) -> Query:
    """What the network called `model` sees of a caller's photo.

    Raises:
        PhotoError, WeightsError: as `InferenceService.query`, or if there is no photo.
    """
    if not photo:
        raise PhotoError("photo_needed", "A photo is needed; please send one.")
    try:
        return service.query(model, as_source(photo))
    except PhotoError as error:
        if error.kind == "photo_missing":
            raise expired_photo_error() from error
        raise
