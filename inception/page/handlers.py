"""What the page's events do. Each method answers one event; all of a visitor's choices come as arguments."""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from ..errors import PhotoError, UserError
from ..model import BLOCKS
from ..observation import Observation
from ..photo import Source, is_unknown_to_browsers, open_photo
from ..pictures import Picture, draw
from ..render import SMALL_TILE
from ..weights import NAMES
from .channel_panel import ribbon_html
from .class_names import class_names
from .network_map import network_html
from .panels import about_html, block_html, branch_name, message_html, seen_html
from .part_panel import part_html
from .runner import Look
from .studio import Studio
from .text import say, say_error
from .uploads import gone

CLASSES_SHOWN = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """What the page shows after an event."""

    look: Look | None
    answer: dict[str, float] | None
    seen: str
    block: str
    alarm: str = ""


class Handlers:
    """Bound to a studio; holds nothing else."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def answer(
        self, photo: str | None, model: str, top_k: int, picture: Picture, language: str, part: str = ""
    ) -> Shown:
        """A photo was chosen, or another network for it, or another part of it."""
        if not photo:
            return Shown(None, None, "", message_html(say(language, "waiting")))
        try:
            look = self.studio.look(model, as_source(photo), part)
            observation = self.studio.observation(look)
            return Shown(
                look,
                self._top(look, observation, top_k, language),
                self.seen(look, language),
                self.block(look, picture, language),
            )
        except Exception as error:
            if isinstance(error, PhotoError) and error.kind == "photo_missing":
                error = gone()  # the page that names it was left open for longer than photos are kept
            return Shown(None, None, "", message_html(say(language, "waiting")), alert(error, language))

    def viewable(self, photo: str | None) -> Image.Image | None:
        """A photo of a kind that browsers cannot show, made one that they can; else nothing."""
        if not photo or not is_unknown_to_browsers(as_source(photo)):
            return None
        try:
            return open_photo(as_source(photo))
        except UserError:
            return None  # said when it is looked at

    def block(self, look: Look | None, picture: Picture, language: str) -> str:
        """Another block, view, scale or colour map: no new photo, and no forward pass if it was lately seen."""
        if look is None:
            return message_html(say(language, "waiting"))
        observation = self.studio.observation(look)
        facts = self.studio.facts(look.model)[picture.block]
        given = BLOCKS[picture.block].in_channels
        names = {fact.branch: branch_name(fact, language) for fact in facts}
        reading = self.studio.reading(look.model, picture.block)
        with self.studio.desk:
            panels = draw(observation, picture, SMALL_TILE)
            handed_on = ribbon_html(observation, reading, names, language)
            return block_html(panels, facts, given, picture, language) + handed_on

    def network(self, look: Look | None, model: str, block: str, language: str) -> str:
        """The drawn network, with a photo's maps where there is one."""
        try:
            observation = None if look is None else self.studio.observation(look)
            name = model if look is None else look.model
            classes = class_names(self.studio.pretrained(name), language, short=True)
            facts = self.studio.facts(name)
            with self.studio.desk:
                return network_html(facts, observation, block, classes, language)
        except Exception as error:
            return alert(error, language)

    def top(self, look: Look | None, top_k: int, language: str) -> dict[str, float] | None:
        """More or fewer classes of the same answer, or the same in another language."""
        return None if look is None else self._top(look, self.studio.observation(look), top_k, language)

    def _top(self, look: Look, observation: Observation, top_k: int, language: str) -> dict[str, float]:
        names = class_names(self.studio.pretrained(look.model), language)
        return top_classes(replace(observation, labels=names), top_k)

    def seen(self, look: Look | None, language: str) -> str:
        """The square that the network saw, said in another language."""
        if look is None:
            return ""
        observation, pretrained = self.studio.observation(look), self.studio.pretrained(look.model)
        figure = seen_html(observation, pretrained, look.frame, self.studio.device.name, language)
        return figure + part_html(look, pretrained.preprocessing, language)

    def about(self, model: str, language: str) -> str:
        """The network's provenance, or a sentence that says why it cannot be had."""
        try:
            return about_html(self.studio.pretrained(model), language)
        except Exception as error:
            return alert(error, language)

    def model_choices(self, language: str) -> list[tuple[str, str]]:
        """Labels and names of the networks that this page offers."""
        return [
            (say(language, f"model_{name}") if name in NAMES else self._own_model(name, language), name)
            for name in self.studio.models
        ]

    def _own_model(self, name: str, language: str) -> str:
        """A user's own network is known by what it tells apart."""
        labels = [label.split(",")[0] for label in self.studio.pretrained(name).labels]
        shown, more = ", ".join(labels[:CLASSES_SHOWN]), len(labels) - CLASSES_SHOWN
        classes = say(language, "and_more", shown=shown, more=more) if more > 0 else shown
        return say(language, "own_model", name=name, classes=classes)

    def device_notice(self, language: str) -> str:
        """Where the device's memory was full and the CPU replaces it, a sentence that says so."""
        full = self.studio.device.fell_back_from
        return message_html(say(language, "notice_memory", wish=full)) if full else ""


def top_classes(observation: Observation, top_k: int) -> dict[str, float]:
    """Label to probability. Two of ImageNet's classes may share a name (crane): their number tells them apart."""
    guesses = observation.top(top_k)
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
