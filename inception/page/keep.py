"""The files that a visitor may take away, and what a link may ask for; no Gradio here."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..keep import maps_zip, table_csv, table_json
from ..model import BLOCKS
from ..observation import Observation
from ..photo import open_photo
from ..pictures import VIEWS, Picture, draw
from ..render import COLOURS, COLUMNS, SCALES
from ..sheet import BranchCaption, Caption, as_png, sheet
from .class_names import class_name
from .panels import branch_name, legend_of, numbers_of, short
from .runner import Look
from .snapshot import frame_said, snapshot_of
from .studio import Studio
from .text import LANGUAGES, say

KINDS = ("sheet", "maps", "csv", "json")
OWN = "*"  # in place of an example's name: no file is called that
CLASS_DIGITS = 5  # of the number of a class
ADDRESS_LETTERS = 255  # of one parameter; the longest is the name of a checkpoint's file


@dataclass(frozen=True)
class Made:
    """A file by its name, its media type and its bytes."""

    name: str
    kind: str
    data: bytes

    @property
    def size(self) -> str:
        """For people: "12 kB", "3.4 MB"."""
        megabytes = len(self.data) / 1e6
        return f"{megabytes:.1f} MB" if megabytes >= 1 else f"{max(1, round(megabytes * 1000))} kB"

    def payload(self) -> dict[str, str]:
        """As the browser is told it, which makes the file itself: on the server there is none."""
        return {"name": self.name, "kind": self.kind, "data": b64encode(self.data).decode()}


@dataclass(frozen=True)
class Wish:
    """What an address asks for, each only where it is one of those that there are; else None."""

    model: str | None = None
    example: str | None = None
    block: str | None = None
    view: str | None = None
    scale: str | None = None
    colours: str | None = None
    part: str | None = None  # of the example, in the words of `snapshot.frame_said`
    wanted: int | None = None  # a class by its number; whether the network has it, only the network knows
    language: str | None = None


def wish_of(address: Mapping[str, Any], models: Sequence[str], examples: Sequence[str]) -> Wish:
    """Of the query parameters of an address. What is unknown or too long is left out, without a word."""
    address = {
        name: value for name, value in address.items() if isinstance(value, str) and len(value) <= ADDRESS_LETTERS
    }
    chosen: dict[str, Any] = {
        name: address[name]
        for name, allowed in (
            ("model", models),
            ("example", examples),
            ("block", tuple(BLOCKS)),
            ("view", VIEWS),
            ("scale", SCALES),
            ("colours", COLOURS),
        )
        if address.get(name) in allowed
    }
    number, language, part = (address.get(name) for name in ("class", "lang", "part"))
    if part is not None and frame_said(part) is not None:
        chosen["part"] = part
    if number is not None and number.isascii() and number.isdecimal() and len(number) <= CLASS_DIGITS:
        chosen["wanted"] = int(number)
    if language in LANGUAGES:
        chosen["language"] = language
    return Wish(**chosen)


class Keep:
    """Bound to a studio and the example photos, which it knows by their content: also one that was uploaded."""

    def __init__(self, studio: Studio, photos: Sequence[Path]) -> None:
        self.studio = studio
        self.photos = {path.stem: path for path in photos}
        self._known: dict[str, str] = {}

    def example(self, look: Look | None) -> str:
        """Which of the example photos it is; `OWN` if none, "" without a photo."""
        if look is None:
            return ""
        return OWN if look.photo is None else self._fingerprints().get(look.photo.fingerprint, OWN)

    def part(self, example: str, words: str) -> str:
        """Those words, said of an example photo, as the page's choice of a part says them."""
        fingerprint = {name: fingerprint for fingerprint, name in self._fingerprints().items()}[example]
        return f"{words} {fingerprint}"

    def _fingerprints(self) -> dict[str, str]:
        if not self._known:
            self._known = {snapshot_of(open_photo(path)).fingerprint: name for name, path in self.photos.items()}
        return self._known

    def photo(self, example: str) -> Any:
        """An example photo, opened."""
        return open_photo(self.photos[example])

    def make(self, kind: str, look: Look, picture: Picture, date: str, language: str) -> Made:
        """One of `KINDS`; `date` is what the caption says."""
        observation, name = self.studio.observation(look), self.example(look)
        photo = "photo" if name == OWN else name
        stem = re.sub(r"[^\w.-]+", "_", look.model, flags=re.ASCII).lstrip(".") + f"-{photo}"
        told = {"model": look.model, "photo": None if name == OWN else name, "date": date}
        makers: dict[str, Callable[[], Made]] = {
            "sheet": lambda: Made(
                f"{stem}-{picture.block}-{picture.view}.png",
                "image/png",
                self._sheet(look, observation, picture, date, language),
            ),
            "maps": lambda: Made(
                f"{stem}-maps.zip",
                "application/zip",
                maps_zip(observation, told, self._readme(look, name, date, language), picture),
            ),
            "csv": lambda: Made(f"{stem}.csv", "text/csv", table_csv(observation)),
            "json": lambda: Made(f"{stem}.json", "application/json", table_json(observation, told)),
        }
        return makers[kind]()

    def _sheet(self, look: Look, observation: Observation, picture: Picture, date: str, language: str) -> bytes:
        from ..fonts import face_for

        panels = draw(observation, picture)
        caption = self.caption(look, observation, picture, panels, date, language)
        if face_for(caption.text) is None:
            # This machine cannot write Chinese: better English than a row of empty boxes.
            caption = self.caption(look, observation, picture, panels, date, "en")
        return as_png(sheet(observation.seen, panels, caption, picture.colours))

    def caption(
        self,
        look: Look,
        observation: Observation,
        picture: Picture,
        panels: Mapping[str, Any],
        date: str,
        language: str,
    ) -> Caption:
        """Model, answer, date, how to read the colours, and each branch with its numbers."""
        best = observation.top(1)[0]
        label = class_name(self.studio.pretrained(look.model), best.index, language)
        answer = say(language, "keep_answer", label=label, probability=f"{best.probability:.1%}")
        facts = {fact.branch: fact for fact in self.studio.facts(look.model)[picture.block]}
        bounds = {branch: panel.bounds for branch, panel in panels.items()}
        ends = {branch: (short(b.low), short(b.high)) if b else None for branch, b in bounds.items()}
        shared = picture.scale == "shared"
        lines = [" · ".join((say(language, "keep_network", name=look.model), answer, date, say(language, "title")))]
        if observation.doubted:
            sure = f"{observation.probabilities.max():.1%}"
            lines.append(say(language, "doubt", classes=len(observation.labels), probability=sure))
        return Caption(
            title=f"{say(language, 'block_title', block=picture.block)} · {say(language, f'view_{picture.view}')}",
            lines=(*lines, " · ".join(legend_of(panels, picture, language))),
            branches={
                branch: BranchCaption(
                    heading=f"{branch_name(fact, language)} · {say(language, 'channels', channels=fact.channels)}",
                    numbers=numbers_of(panels[branch], picture, language),
                    ends=None if shared else ends[branch],
                )
                for branch, fact in facts.items()
            },
            ends=next(iter(ends.values())) if shared else None,
        )

    def _readme(self, look: Look, example: str, date: str, language: str) -> str:
        photo = say(language, "keep_photo") if example == OWN else example
        return say(language, "keep_readme", date=date, model=look.model, photo=photo, columns=COLUMNS) + "\n"
