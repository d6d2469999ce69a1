"""Checks of the arguments of the stage's events, before anything is done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from ...checks import choice, is_whole
from ...errors import UserError, quoted
from ...explain.registry import (
    ABLATIONS,
    ATTRIBUTIONS,
    BLOCK,
    BLOCK_NAMES,
    BRANCH,
    BRANCH_NAMES,
    CHANNEL,
    COLUMN,
    MAX_CHANNELS,
    ROW,
    Argument,
)
from ...service.query import Query
from ...service.service import InferenceService
from ...service.visualizations import GOALS
from ...units.size_tuning import SHAPES
from ...vision.preprocessing import CENTRE_CROP
from ..http.upload_paths import MAX_PATH, is_uploaded
from ..http.uploads import foreign_photo_error, missing_as_expired
from .scene import PhotoCrop

CAMERA_FRAME = "camera-frame.jpg"  # name of the files that are deleted once they have been read
EXAMPLE = "example:"  # before the name of an example photo
MAX_CLASSES = 8  # whose worth is computed at once, with one backward pass for each
FURTHEST = 1000.0  # of a crop's numbers, which are fractions of the photo's sides

SUBJECT_FORM = (
    '{"photo": "example:NAME" / "PATH", "model": "NAME", "crop": null / [left, top, side], "fill": "zero" / "mean"}'
)
CROP_FORM = "null / [left, top, side]"
OFF_FORM = '{"4b": ["1x1", 117], ...}'

Check = Callable[[str, Any], Any]  # of an argument's name and its value, as JSON


def form_error(what: str, value: object, form: str) -> UserError:
    """Return the error for a value of another form; `form` shows it as JSON."""
    return UserError(
        "argument_form", "{what} is {value}; it must be {form}.", what=what, value=quoted(value), form=form
    )


@dataclass(frozen=True)
class Subject:
    """A photo, as an example or an uploaded file, seen by a network.

    Args:
        photo: "example:" and an example's name, or a path.
        path: of the file.
        crop: the part of the photo; None is the centre square.
        fill: what replaces the output of branches and channels that are off, one of `ABLATIONS`.
    """

    photo: str
    path: str
    model: str
    crop: PhotoCrop | None
    fill: str


class SubjectCheck:
    """Reads subjects, of a service's networks and of some example photos."""

    def __init__(self, service: InferenceService, examples: Mapping[str, Path]) -> None:
        self._models = service.models
        self._examples = {f"{EXAMPLE}{stem}": str(path) for stem, path in examples.items()}

    def check(self, what: str, value: Any) -> dict[str, Any]:
        """Return the JSON of a subject if it is one.

        Raises:
            UserError: if it is not, or names an unknown network or example, or a file that was not uploaded.
        """
        self.read(value, what)
        return dict(value)

    def read(self, value: Any, what: str = "subject") -> Subject:
        """Return the subject of its JSON; raises as `check`."""
        keys = {"photo", "model", "crop", "fill"}
        if not isinstance(value, dict) or not {"photo", "model"} <= value.keys() <= keys:
            raise form_error(what, value, SUBJECT_FORM)
        model, crop = choice("model", value["model"], self._models), _crop(value.get("crop"))
        fill = choice("fill", value.get("fill", ABLATIONS[0]), ABLATIONS)
        photo = value["photo"]
        if not isinstance(photo, str) or len(photo) > MAX_PATH:
            raise form_error("photo", photo, '"example:NAME" / "PATH"')
        if photo.startswith(EXAMPLE):
            return Subject(photo, self._examples[choice("photo", photo, tuple(self._examples))], model, crop, fill)
        if not is_uploaded(photo):
            raise foreign_photo_error(photo)
        return Subject(photo, photo, model, crop, fill)


def _crop(value: Any) -> PhotoCrop | None:
    if value is None:
        return None
    numbers = value if isinstance(value, list) and len(value) == 3 else [None]
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or not -FURTHEST <= number <= FURTHEST:
            raise form_error("crop", value, CROP_FORM)  # also for NaN, which fails every comparison
    left, top, side = map(float, numbers)
    if not side > 0 or not all(map(isfinite, (left, top, side))):
        raise form_error("crop", value, CROP_FORM)
    return PhotoCrop(left, top, side)


def query_of(service: InferenceService, subject: Subject) -> Query:
    """Return the query of a subject, from the cache if it was requested recently.

    Raises:
        PhotoError: if the file is not a photo, or has expired.
        WeightsError: if the network cannot be loaded.
    """
    preprocessing = service.pretrained(subject.model).preprocessing

    def crop_of(width: int, height: int) -> Any:
        crop = subject.crop
        return CENTRE_CROP if crop is None else crop.for_network(preprocessing, width, height)

    try:
        with missing_as_expired():
            return service.query_of_file(subject.model, subject.path, subject.crop, crop_of)
    finally:
        # Several arrive each second; further requests about one are served from the cache.
        if Path(subject.path).name == CAMERA_FRAME and is_uploaded(subject.path):
            Path(subject.path).unlink(missing_ok=True)


def check_off(what: str, value: Any) -> dict[str, list[str | int]]:
    """Return by block the branches and channels that are off, in the network's order, without blocks where all are on.

    Channels are numbers in the block's output; whether the block has them, the network says itself.

    Raises:
        UserError: if a value is of another form, or there is no such block or branch.
    """
    if not isinstance(value, dict):
        raise form_error(what, value, OFF_FORM)
    chosen: dict[str, list[str | int]] = {}
    for block, members in value.items():
        choice("block", block, BLOCK_NAMES)
        if not isinstance(members, list) or len(members) > len(BRANCH_NAMES) + MAX_CHANNELS:
            raise form_error(what, value, OFF_FORM)
        channels = [member for member in members if is_whole(member)]
        branches = [member for member in members if not is_whole(member)]
        if len(branches) > len(BRANCH_NAMES) or len(channels) > MAX_CHANNELS:
            raise form_error(what, value, OFF_FORM)
        for branch in branches:
            choice("branch", branch, BRANCH_NAMES)
        chosen[block] = [*(branch for branch in BRANCH_NAMES if branch in branches), *sorted(set(channels))]
    return {block: chosen[block] for block in BLOCK_NAMES if chosen.get(block)}


def check_classes(what: str, value: Any) -> list[int]:
    """Return the numbers of at most `MAX_CLASSES` classes; whether the network has them, it says itself.

    Raises:
        UserError: if it is not a list of so few whole numbers.
    """
    if not isinstance(value, list) or len(value) > MAX_CLASSES or not all(map(is_whole, value)):
        raise UserError(
            "argument_numbers",
            "{what} is {value}; it must be a list of whole numbers, at most {most}, for instance [3, 17].",
            what=what,
            value=quoted(value),
            most=MAX_CLASSES,
        )
    return list(dict.fromkeys(value))


def check_class(what: str, value: Any) -> int | None:
    """Return the number of a class, or None for the most probable one; whether there is one, the network says.

    Raises:
        UserError: if it is neither.
    """
    return None if value is None else int(Argument("", "", name=what, type=int).check(value))


def by(argument: Argument) -> Check:
    """Return the check of a declared argument."""
    return lambda what, value: replace(argument, name=what).check(value)


CHECKS: Mapping[str, Check] = {
    "off": check_off,
    "classes": check_classes,
    "class": check_class,
    "block": by(BLOCK),
    "branch": by(BRANCH),
    "channel": by(replace(CHANNEL, type=int)),
    "row": by(replace(ROW, type=int)),
    "column": by(replace(COLUMN, type=int)),
    "method": by(Argument("Method", "the attribution method", choices=ATTRIBUTIONS)),
    "goal": by(Argument("Goal", "the goal", choices=tuple(GOALS))),
    "step": by(Argument("Step", "the step", type=int)),
    "shape": by(Argument("Shape", "the shape", choices=SHAPES)),
}
