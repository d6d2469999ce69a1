"""What the page's events do. Each method answers one event; all of a visitor's choices come as arguments."""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from ..errors import PhotoError, UserError
from ..network.blocks import BLOCKS
from ..prediction import Prediction
from ..pretrained.zoo import MODEL_NAMES
from ..render.branches import ViewOptions, render_branches
from ..render.maps import SMALL_TILE
from ..service.query import Query
from ..service.service import InferenceService
from ..vision.photo import Source, is_unknown_to_browsers, open_photo
from .class_names import class_names
from .crop_words import crop_of_photo
from .http.uploads import expired_photo_error
from .panels.block import about_html, block_html, branch_name, message_html, seen_html
from .panels.channel import ribbon_html
from .panels.network_map import network_html
from .panels.part import part_html
from .text import say, say_error

CLASSES_SHOWN = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """What the page shows after an event."""

    query: Query | None
    answer: dict[str, float] | None
    seen: str
    block: str
    alarm: str = ""


class Handlers:
    """Bound to a service; holds nothing else."""

    def __init__(self, service: InferenceService) -> None:
        self.service = service

    def answer(
        self, photo: str | None, model: str, top_k: int, picture: ViewOptions, language: str, part: str = ""
    ) -> Shown:
        """A photo was chosen, or another network for it, or another part of it."""
        if not photo:
            return Shown(None, None, "", message_html(say(language, "waiting")))
        try:
            prepared = self.service.prepare(as_source(photo))
            query = self.service.query(model, prepared, crop_of_photo(part, prepared.snapshot))
            prediction = self.service.prediction(query)
            return Shown(
                query,
                self._top(query, prediction, top_k, language),
                self.seen(query, language),
                self.block(query, picture, language),
            )
        except Exception as error:
            if isinstance(error, PhotoError) and error.kind == "photo_missing":
                error = expired_photo_error()  # the page that names it was left open for longer than photos are kept
            return Shown(None, None, "", message_html(say(language, "waiting")), alert(error, language))

    def viewable(self, photo: str | None) -> Image.Image | None:
        """A photo of a kind that browsers cannot show, made one that they can; else nothing."""
        if not photo or not is_unknown_to_browsers(as_source(photo)):
            return None
        try:
            return open_photo(as_source(photo))
        except UserError:
            return None  # said when it is looked at

    def block(self, query: Query | None, picture: ViewOptions, language: str) -> str:
        """Another block, view, scale or colour map: no new photo, and no forward pass if it was lately seen."""
        if query is None:
            return message_html(say(language, "waiting"))
        prediction = self.service.prediction(query)
        facts = self.service.facts(query.model)[picture.block]
        given = BLOCKS[picture.block].in_channels
        names = {fact.branch: branch_name(fact, language) for fact in facts}
        reading = self.service.readout(query.model, picture.block)
        with self.service.io_slots:
            panels = render_branches(prediction, picture, SMALL_TILE)
            handed_on = ribbon_html(prediction, reading, names, language)
            return block_html(panels, facts, given, picture, language) + handed_on

    def network(self, query: Query | None, model: str, block: str, language: str) -> str:
        """The drawn network, with a photo's maps where there is one."""
        try:
            prediction = None if query is None else self.service.prediction(query)
            name = model if query is None else query.model
            classes = class_names(self.service.pretrained(name), language, short=True)
            facts = self.service.facts(name)
            with self.service.io_slots:
                return network_html(facts, prediction, block, classes, language)
        except Exception as error:
            return alert(error, language)

    def top(self, query: Query | None, top_k: int, language: str) -> dict[str, float] | None:
        """More or fewer classes of the same answer, or the same in another language."""
        return None if query is None else self._top(query, self.service.prediction(query), top_k, language)

    def _top(self, query: Query, prediction: Prediction, top_k: int, language: str) -> dict[str, float]:
        names = class_names(self.service.pretrained(query.model), language)
        return top_classes(replace(prediction, labels=names), top_k)

    def seen(self, query: Query | None, language: str) -> str:
        """The square that the network saw, said in another language."""
        if query is None:
            return ""
        prediction, pretrained = self.service.prediction(query), self.service.pretrained(query.model)
        figure = seen_html(prediction, pretrained, query.crop, self.service.device.name, language)
        return figure + part_html(query, pretrained.preprocessing, language)

    def about(self, model: str, language: str) -> str:
        """The network's provenance, or a sentence that says why it cannot be had."""
        try:
            return about_html(self.service.pretrained(model), language)
        except Exception as error:
            return alert(error, language)

    def model_choices(self, language: str) -> list[tuple[str, str]]:
        """Labels and names of the networks that this page offers."""
        return [
            (say(language, f"model_{name}") if name in MODEL_NAMES else self._own_model(name, language), name)
            for name in self.service.models
        ]

    def _own_model(self, name: str, language: str) -> str:
        """A user's own network is known by what it tells apart."""
        labels = [label.split(",")[0] for label in self.service.pretrained(name).labels]
        shown, more = ", ".join(labels[:CLASSES_SHOWN]), len(labels) - CLASSES_SHOWN
        classes = say(language, "and_more", shown=shown, more=more) if more > 0 else shown
        return say(language, "own_model", name=name, classes=classes)

    def device_notice(self, language: str) -> str:
        """Where the device's memory was full and the CPU replaces it, a sentence that says so."""
        full = self.service.device.fell_back_from
        return message_html(say(language, "notice_memory", wish=full)) if full else ""


def top_classes(prediction: Prediction, top_k: int) -> dict[str, float]:
    """Label to probability. Two of ImageNet's classes may share a name (crane): their number tells them apart."""
    guesses = prediction.top(top_k)
    labels = [guess.label for guess in guesses]
    return {
        guess.label if labels.count(guess.label) == 1 else f"{guess.label} ({guess.index})": guess.probability
        for guess in guesses
    }


def source_of(payload: Mapping[str, Any] | None) -> str | None:
    """What the browser says of its photo: the path of the uploaded file, or a `data:` address."""
    if payload is None:
        return None
    url = payload.get("url")
    return url if url and url.startswith("data:") else payload.get("path")


def as_source(photo: str) -> Source:
    """A path stays a path; a `data:` address, as some clients send, becomes its bytes."""
    if not photo.startswith("data:"):
        return photo
    try:
        return b64decode(photo.partition(",")[2], validate=True)
    except ValueError:
        return photo.encode(errors="replace")  # which is no picture, and refused as such


def alert(error: Exception, language: str) -> str:
    """One sentence for the visitor; what was not foreseen goes to the log, whole."""
    if isinstance(error, UserError):
        return message_html(say_error(language, error), alarm=True)
    log.exception("unforeseen error while answering", exc_info=error)
    return message_html(say(language, "went_wrong"), alarm=True)
