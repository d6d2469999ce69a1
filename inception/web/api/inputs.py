"""Arguments that several endpoints share: photo, network, view, language."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

from ...errors import PhotoError
from ...explain.registry import BLOCK as ANY_BLOCK
from ...explain.registry import BLOCK_NAMES, BRANCH_NAMES, Argument
from ...explain.registry import BRANCH as ANY_BRANCH
from ...explain.registry import CLASS_NAME as ANY_CLASS
from ...render.maps import COLOURS, SCALES
from ...render.views import VIEW_CONTENTS, VIEWS
from ...service.query import Query
from ...service.service import InferenceService
from ...vision.photo import Source
from ..http.uploads import missing_as_expired
from ..words import LANGUAGES
from .endpoint import Photo

PHOTO = Argument(
    "Your photo", "the photo, in any common format and size; the network sees its centre square", type=Photo
)
BLOCK = replace(ANY_BLOCK, default=BLOCK_NAMES[0])
BRANCH = replace(ANY_BRANCH, default=BRANCH_NAMES[0])
CLASS_NAME = replace(ANY_CLASS, default="")
VIEW = Argument(
    "View",
    f"what is drawn: {', '.join(f'{name} for {content}' for name, content in VIEW_CONTENTS.items())}",
    choices=VIEWS,
    default=VIEWS[0],
)
SCALE = Argument(
    "Colour scale",
    "the colour scale: shared for one for all branches, branch for one per branch, channel for one per channel",
    choices=tuple(SCALES),
    default=SCALES[0],
)
COLOUR_MAP = Argument("Colours", "the colour map of the pictures", choices=tuple(COLOURS), default=next(iter(COLOURS)))


def model_of(service: InferenceService, text: str = "which network, as `models` lists them") -> Argument:
    """Return the argument for one of a service's networks."""
    return Argument("Network", text, choices=service.models, default=service.models[0])


def classifying_model(service: InferenceService) -> Argument:
    """Return the argument for the network that classifies a photo."""
    return model_of(service, "which network classifies the photo, as `models` lists them")


def language(text: str) -> Argument:
    """Return the argument for a language."""
    return Argument("Language", text, choices=LANGUAGES, default=LANGUAGES[0])


def as_source(photo: str) -> Source:
    """Return a path as it is, and the bytes of a `data:` address, which some clients send."""
    if not photo.startswith("data:"):
        return photo
    try:
        return b64decode(photo.partition(",")[2], validate=True)
    except ValueError:
        return photo.encode(errors="replace")  # not a picture, and refused as such


def query_of(service: InferenceService, photo: str | None, model: str) -> Query:
    """Return the query for a caller's photo to the network called `model`.

    Raises:
        PhotoError, WeightsError: as `InferenceService.query`, or if there is no photo.
    """
    if not photo:
        raise PhotoError("photo_needed", "A photo is needed; please send one.")
    with missing_as_expired():
        return service.query(model, as_source(photo))
