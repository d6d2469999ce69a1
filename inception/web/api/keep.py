"""The files that the endpoint `keep` makes: a captioned picture, all maps of the network, its numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...export.archive import maps_zip, table_csv, table_json
from ...export.figure import BranchCaption, Caption, draw_figure, encode_png
from ...network.anatomy import BranchFacts
from ...prediction import Prediction
from ...render.branches import Panel, ViewOptions, render_branches
from ...render.fonts import face_for
from ...render.maps import COLUMNS
from ...service.query import Query
from ...service.service import InferenceService
from ..class_names import class_name
from ..words import DEFAULT, say


@dataclass(frozen=True)
class Source:
    """A photo seen by a network, and what the caption says of it."""

    service: InferenceService
    query: Query
    picture: ViewOptions
    date: str
    language: str

    @property
    def prediction(self) -> Prediction:
        return self.service.prediction(self.query)

    @property
    def about(self) -> dict[str, str | None]:
        """Header of the files of numbers; `photo` is None because a caller's photo has no name."""
        return {"model": self.query.model, "photo": None, "date": self.date}


def make_file(kind: str, source: Source) -> tuple[str, bytes]:
    """Return the name and the bytes of one of `KINDS`."""
    make, end = _MAKERS[kind]
    stem = re.sub(r"[^\w.-]+", "_", source.query.model, flags=re.ASCII).lstrip(".")
    picture = source.picture
    return f"{stem}-photo{end.format(block=picture.block, view=picture.view)}", make(source)


def _sheet(source: Source) -> bytes:
    prediction, picture = source.prediction, source.picture
    panels = render_branches(prediction, picture)
    caption = caption_of(source, panels, source.language)
    if face_for(caption.text) is None:
        # This machine cannot write Chinese: better English than a row of empty boxes.
        caption = caption_of(source, panels, DEFAULT)
    return encode_png(draw_figure(prediction.image, panels, caption, picture.colours))


def _maps(source: Source) -> bytes:
    text = say(source.language, "keep_readme", date=source.date, model=source.query.model, columns=COLUMNS)
    return maps_zip(source.prediction, source.about, f"{text}\n", source.picture)


def _csv(source: Source) -> bytes:
    return table_csv(source.prediction, imagenet=source.service.pretrained(source.query.model).imagenet)


def _json(source: Source) -> bytes:
    temperature = source.service.pretrained(source.query.model).temperature
    return table_json(source.prediction, {**source.about, "temperature": temperature})


# How each kind is made, and how its file's name ends.
_MAKERS: dict[str, tuple[Callable[[Source], bytes], str]] = {
    "sheet": (_sheet, "-{block}-{view}.png"),
    "maps": (_maps, "-maps.zip"),
    "csv": (_csv, ".csv"),
    "json": (_json, ".json"),
}
KINDS = tuple(_MAKERS)


def caption_of(source: Source, panels: Mapping[str, Panel], language: str) -> Caption:
    """Return model, answer, date, how to read the colours, and each branch with its numbers."""
    query, prediction, picture = source.query, source.prediction, source.picture
    best = prediction.top(1)[0]
    label = class_name(source.service.pretrained(query.model), best.index, language)
    answer = say(language, "keep_answer", label=label, probability=f"{best.probability:.1%}")
    network = say(language, "keep_network", name=query.model)
    lines = [" · ".join((network, answer, source.date, say(language, "title")))]
    if prediction.rejected:
        lines.append(
            say(language, "doubt", classes=len(prediction.labels), probability=f"{prediction.probabilities.max():.1%}")
        )
    bounds = {branch: panel.bounds for branch, panel in panels.items()}
    ends = {branch: (short(b.low), short(b.high)) if b else None for branch, b in bounds.items()}
    is_shared = picture.scale == "shared"
    return Caption(
        title=f"{say(language, 'block_title', block=picture.block)} · {say(language, f'view_{picture.view}')}",
        lines=(*lines, " · ".join(_legend(panels, picture, language))),
        branches={
            fact.branch: BranchCaption(
                heading=f"{branch_name(fact, language)} · {say(language, 'channels', channels=fact.channels)}",
                numbers=_numbers(panels[fact.branch], picture, language),
                ends=None if is_shared else ends[fact.branch],
            )
            for fact in source.service.facts(query.model)[picture.block]
        },
        ends=next(iter(ends.values())) if is_shared else None,
    )


def branch_name(fact: BranchFacts, language: str) -> str:
    """ "5×5", or "5×5 (runs 3×3)" where the layer is not what its name says."""
    if fact.branch == "pool":
        return say(language, "pool")
    name = fact.branch.replace("x", "×")
    return name if fact.label == fact.branch else say(language, "runs", branch=name, kernel=fact.kernel)


def _numbers(panel: Panel, picture: ViewOptions, language: str) -> str:
    if picture.view != "channels":
        return say(language, "numbers_mean", lowest=short(panel.shown_low), highest=short(panel.shown_high))
    numbers = panel.numbers
    return say(
        language,
        "numbers_signed" if numbers.lowest < 0 else "numbers",
        lowest=short(numbers.lowest),
        highest=short(numbers.highest),
        mean=short(numbers.mean),
        silent=numbers.silent,
        channels=numbers.channels,
    )


def _legend(panels: Mapping[str, Panel], picture: ViewOptions, language: str) -> list[str]:
    """Return the sentences that explain the colours."""
    has_bounds = next(iter(panels.values())).bounds is not None
    words = [say(language, f"legend_{'branch' if picture.scale == 'channel' and has_bounds else picture.scale}")]
    if any(panel.signed for panel in panels.values()):
        words.append(say(language, "legend_signed"))
    if picture.view == "channels" and any(panel.numbers.silent for panel in panels.values()):
        words.append(say(language, "legend_silent"))
    return words


def short(value: float) -> str:
    """Return a number with three digits or so, without a power of ten for the sizes that activations have."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
