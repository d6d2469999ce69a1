"""Downloads, and the parameters of links; independent of Gradio."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..export.archive import maps_zip, table_csv, table_json
from ..export.figure import BranchCaption, Caption, draw_figure, encode_png
from ..network.blocks import BLOCKS
from ..prediction import Prediction
from ..render.branches import VIEWS, ViewOptions, render_branches
from ..render.maps import COLOURS, COLUMNS, SCALES
from ..service.query import Query
from ..service.service import InferenceService
from ..service.snapshot import snapshot_of
from ..vision.photo import open_photo
from .class_names import class_name
from .crop_words import parse_crop
from .panels.block import branch_name, legend_of, numbers_of, short
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
        """Return the data from which the browser makes the file; the server stores none."""
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
    part: str | None = None  # of the example, as `parse_crop` takes it
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
    if part is not None and parse_crop(part) is not None:
        chosen["part"] = part
    if number is not None and number.isascii() and number.isdecimal() and len(number) <= CLASS_DIGITS:
        chosen["wanted"] = int(number)
    if language in LANGUAGES:
        chosen["language"] = language
    return Wish(**chosen)


class Keep:
    """Bound to a service and the example photos, which are recognised by their content, even when uploaded."""

    def __init__(self, service: InferenceService, photos: Sequence[Path]) -> None:
        self.service = service
        self.photos = {path.stem: path for path in photos}
        self._known: dict[str, str] = {}

    def example(self, query: Query | None) -> str:
        """Which of the example photos it is; `OWN` if none, "" without a photo."""
        if query is None:
            return ""
        return OWN if query.photo is None else self._fingerprints().get(query.photo.fingerprint, OWN)

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

    def make(self, kind: str, query: Query, picture: ViewOptions, date: str, language: str) -> Made:
        """One of `KINDS`; `date` is what the caption says."""
        prediction, name = self.service.prediction(query), self.example(query)
        photo = "photo" if name == OWN else name
        stem = re.sub(r"[^\w.-]+", "_", query.model, flags=re.ASCII).lstrip(".") + f"-{photo}"
        told = {"model": query.model, "photo": None if name == OWN else name, "date": date}
        makers: dict[str, Callable[[], Made]] = {
            "sheet": lambda: Made(
                f"{stem}-{picture.block}-{picture.view}.png",
                "image/png",
                self._sheet(query, prediction, picture, date, language),
            ),
            "maps": lambda: Made(
                f"{stem}-maps.zip",
                "application/zip",
                maps_zip(prediction, told, self._readme(query, name, date, language), picture),
            ),
            "csv": lambda: Made(f"{stem}.csv", "text/csv", table_csv(prediction)),
            "json": lambda: Made(f"{stem}.json", "application/json", table_json(prediction, told)),
        }
        return makers[kind]()

    def _sheet(self, query: Query, prediction: Prediction, picture: ViewOptions, date: str, language: str) -> bytes:
        from ..export.fonts import face_for

        panels = render_branches(prediction, picture)
        caption = self.caption(query, prediction, picture, panels, date, language)
        if face_for(caption.text) is None:
            # This machine cannot write Chinese: better English than a row of empty boxes.
            caption = self.caption(query, prediction, picture, panels, date, "en")
        return encode_png(draw_figure(prediction.image, panels, caption, picture.colours))

    def caption(
        self,
        query: Query,
        prediction: Prediction,
        picture: ViewOptions,
        panels: Mapping[str, Any],
        date: str,
        language: str,
    ) -> Caption:
        """Model, answer, date, how to read the colours, and each branch with its numbers."""
        best = prediction.top(1)[0]
        label = class_name(self.service.pretrained(query.model), best.index, language)
        answer = say(language, "keep_answer", label=label, probability=f"{best.probability:.1%}")
        facts = {fact.branch: fact for fact in self.service.facts(query.model)[picture.block]}
        bounds = {branch: panel.bounds for branch, panel in panels.items()}
        ends = {branch: (short(b.low), short(b.high)) if b else None for branch, b in bounds.items()}
        shared = picture.scale == "shared"
        lines = [" · ".join((say(language, "keep_network", name=query.model), answer, date, say(language, "title")))]
        if prediction.rejected:
            sure = f"{prediction.probabilities.max():.1%}"
            lines.append(say(language, "doubt", classes=len(prediction.labels), probability=sure))
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

    def _readme(self, query: Query, example: str, date: str, language: str) -> str:
        photo = say(language, "keep_photo") if example == OWN else example
        return say(language, "keep_readme", date=date, model=query.model, photo=photo, columns=COLUMNS) + "\n"
