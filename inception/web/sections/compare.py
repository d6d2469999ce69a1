"""Two photos, or two networks on one photo, side by side on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from ...prediction import Prediction
from ...render.branches import render_side_by_side
from ...service.query import Query
from ...service.service import InferenceService
from ...vision.preprocessing import CENTRE_CROP
from ..class_names import class_names
from ..handlers import Handlers, alert, as_source
from ..panels.block import branch_name, data_url, message_html, short
from ..photo_input import PhotoInput
from ..scene import followed
from ..text import say

SHOWN_CLASSES, MAP_SIDE = 3, 224  # pixels


@dataclass(frozen=True)
class Side:
    """One of the two: what it is called, and what was seen."""

    title: str
    prediction: Prediction
    names: Mapping[str, str]  # of its branches
    classes: Sequence[str]  # what they are called


class CompareSection:
    """Placed into the page that is being built; `connect` binds it to the page's events."""

    def __init__(self, service: InferenceService) -> None:
        self.service = service
        self.handlers = Handlers(service)
        words = self.wording("en")
        with gr.Accordion(open=False, elem_id="il-compare", **words["compare"]) as self.whole:
            with gr.Row():
                self.photo = PhotoInput(
                    sources=["upload", "clipboard"],
                    height=220,
                    format="png",
                    elem_id="il-other-photo",
                    buttons=[],
                    **words["compare_photo"],
                )
                self.model = gr.Dropdown(value=service.models[0], elem_id="il-other-model", **words["compare_model"])
            self.shown = gr.HTML(elem_id="il-compared")
        self.open = gr.Checkbox(False, visible="hidden")  # nothing is computed for what nobody looks at

    def wording(self, language: str) -> dict[str, dict[str, Any]]:
        """What each component says in a language."""
        return {
            "compare": {"label": say(language, "compare")},
            "compare_photo": {"label": say(language, "compare_photo"), "placeholder": say(language, "photo_hint")},
            "compare_model": {
                "label": say(language, "compare_model"),
                "choices": self.handlers.model_choices(language),
            },
        }

    @property
    def worded(self) -> list[Any]:
        """All that another language changes at once."""
        return [self.whole, self.photo, self.model]

    def in_language(self, language: str) -> dict[Any, Any]:
        """The section's words, after the visitor chose another language."""
        return dict(zip(self.worded, (gr.update(**words) for words in self.wording(language).values()), strict=True))

    def connect(
        self, query: gr.State, subject: gr.Textbox, photo: PhotoInput, block: gr.Radio, language: gr.Radio
    ) -> None:
        """Bind the handler: whatever changes, one tells what is to be seen."""
        self.query, self.own_photo, self.block, self.language = query, photo, block, language
        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
        self.whole.expand(None, None, self.open, js="() => true", **hidden)
        self.whole.collapse(None, None, self.open, js="() => false", **hidden)
        shown = [subject, block, language, self.photo, self.model]
        gr.on(
            [followed("il-compare-scene", shown, {"open": self.open}, "open").change],
            self._on_change,
            {query, photo, block, language, self.photo, self.model},
            self.shown,
            trigger_mode="always_last",
            **hidden,
        )

    def _on_change(self, data: dict[Any, Any]) -> Any:
        query, photo, model = data[self.query], data[self.photo], data[self.model]
        if query is not None and not photo and model == query.model:
            return message_html(say(data[self.language], "compare_same"))
        return self.compared(query, photo or data[self.own_photo], model, data[self.block], data[self.language])

    def compared(self, query: Query | None, photo: str | None, model: str, block: str, language: str) -> str:
        """The HTML of `query` beside `photo` as `model` sees it: the same photo in the same crop."""
        if query is None or photo is None:
            return message_html(say(language, "compare_waiting"))
        try:
            prepared = self.service.prepare(as_source(photo))
            other = self.service.query(model, prepared, query.crop if prepared.snapshot == query.photo else CENTRE_CROP)
            sides = [
                self._side(say(language, title), one, block, language)
                for title, one in (("compare_first", query), ("compare_second", other))
            ]
            return compared_html(sides, block, language)
        except Exception as error:
            return alert(error, language)

    def _side(self, title: str, query: Query, block: str, language: str) -> Side:
        facts = self.service.facts(query.model)[block]
        labels = {name: label for label, name in self.handlers.model_choices(language)}
        names = {fact.branch: branch_name(fact, language) for fact in facts}
        classes = class_names(self.service.pretrained(query.model), language, short=True)
        return Side(f"{title}: {labels[query.model]}", self.service.prediction(query), names, classes)


def compared_html(sides: Sequence[Side], block: str, language: str) -> str:
    """A row for each side with its best classes and its four mean maps, all on one scale."""
    bounds, panels = render_side_by_side([side.prediction for side in sides], block, MAP_SIDE)
    rows = []
    for side, row in zip(sides, panels, strict=True):
        figures = []
        for branch, panel in row.items():
            told = say(
                language,
                "compare_numbers",
                mean=short(panel.numbers.mean),
                silent=panel.numbers.silent,
                channels=panel.numbers.channels,
            )
            alt = say(language, "compare_map", which=side.title, branch=side.names[branch], block=block)
            figures.append(
                f'<figure class="il-{branch}"><img src="{data_url(panel.image)}" alt="{escape(alt)}">'
                f"<figcaption><b>{escape(side.names[branch])}</b> {escape(told)}</figcaption></figure>"
            )
        guesses = "".join(
            f"<li>{escape(side.classes[guess.index])} {guess.probability:.0%}</li>"
            for guess in side.prediction.top(SHOWN_CLASSES)
        )
        rows.append(
            f'<section class="il-side"><div><h3>{escape(side.title)}</h3><ol>{guesses}</ol></div>'
            f"{''.join(figures)}</section>"
        )
    title = say(language, "compare_title", block=block, highest=short(bounds.high))
    return f'<p class="il-compare-title">{escape(title)}</p>{"".join(rows)}'
