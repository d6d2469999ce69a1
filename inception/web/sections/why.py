"""The part of the page that answers "why?": its components, and which function answers which event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...errors import UserError
from ...explain.registry import ABLATIONS
from ...network.blocks import BLOCKS, BRANCHES
from ...network.cost import WORKED_EXAMPLE
from ...render.branches import ViewOptions
from ...service.query import Query
from ...service.service import InferenceService
from ..class_names import class_names, sort_key
from ..explanations import Cell, Question, Why
from ..handlers import alert
from ..panels.block import message_html
from ..panels.bottleneck import calculator_html
from ..panels.votes import nothing_off_html
from ..scene import followed
from ..text import say

ANSWER = -1  # in the list of classes: whichever is the most probable
CALCULATOR = {
    "in": WORKED_EXAMPLE[0],
    "reduced": WORKED_EXAMPLE[1],
    "out": WORKED_EXAMPLE[2],
    "kernel": 3,
    "cells": 784,
}

# A click into a map tells which branch it shows and where; the enlarged channel appears below the maps.
PICK = """
element.addEventListener('click', event => {
  const image = event.target.closest('.il-panel > img');
  if (!image) return;
  const box = image.getBoundingClientRect();
  const lens = document.getElementById('il-lens');
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const before = lens.querySelector('img')?.src;
  new MutationObserver((_, observer) => {
    const shown = lens.querySelector('img');
    if (!shown || shown.src === before) return;
    observer.disconnect();
    requestAnimationFrame(() => lens.scrollIntoView({block: 'nearest', behavior: calm ? 'auto' : 'smooth'}));
  }).observe(lens, {childList: true, subtree: true});
  trigger('pick', {
    branch: image.parentElement.dataset.branch,
    across: (event.clientX - box.left) / box.width,
    down: (event.clientY - box.top) / box.height,
  });
});
"""

JUMP = """
element.addEventListener('click', event => {
  const cell = event.target.closest('button[data-block]');
  if (cell) trigger('jump', {block: cell.dataset.block});
});
"""

# An explanation costs several forward passes: none is made for a visitor who has not come near it. Before
# there is a photo the page is short and everything is near, so that is asked again when its pictures are there.
NEAR = """
const nearby = new IntersectionObserver(entries => {
  if (!entries.at(-1).isIntersecting || !document.querySelector('#il-panels img')) return;
  nearby.disconnect();
  document.removeEventListener('load', again, true);
  trigger('near', {});
}, {rootMargin: '0px 0px 300px 0px'});
const again = () => {
  nearby.unobserve(element);
  nearby.observe(element);
};
document.addEventListener('load', again, true);
nearby.observe(element);
"""


@dataclass(frozen=True)
class Around:
    """The components of the page that the section depends on."""

    query: gr.State
    subject: gr.Textbox  # a short name of the look, whose change is easily seen
    model: gr.Dropdown
    block: gr.Radio
    view: gr.Radio
    scale: gr.Radio
    colours: gr.Dropdown
    panels: gr.HTML
    language: gr.Radio


class WhySection:
    """Placed into the page that is being built; `connect` binds it to the page's events."""

    def __init__(self, service: InferenceService, around: Around) -> None:
        self.why = Why(service)
        self.service = service
        self.around = around
        words = self.wording(service.models[0], "en")
        self.lens = gr.HTML(elem_id="il-lens")
        with gr.Row(elem_id="il-switches", equal_height=True):
            self.switches = gr.CheckboxGroup(
                value=list(BRANCHES), elem_id="il-switch", min_width=320, scale=4, **words["switches"]
            )
            self.off = gr.Radio(value=ABLATIONS[0], elem_id="il-off", min_width=260, scale=3, **words["off"])
            self.all_on = gr.Button(elem_id="il-all-on", size="md", min_width=120, scale=1, **words["all_on"])
        self.result = gr.HTML(elem_id="il-switched")
        self.title = gr.HTML(js_on_load=NEAR, elem_id="il-why", **words["title"])
        self.wanted = gr.Dropdown(value=ANSWER, filterable=True, elem_id="il-class", **words["wanted"])
        self.tabs, self.tab, self.shown = gr.Tabs(elem_id="il-tabs"), {}, {}
        with self.tabs:
            for name in self.why.tabs:
                with gr.Tab(id=name, elem_id=f"il-tab-{name}", **words[f"tab_{name}"]) as self.tab[name]:
                    if name == "cam":
                        self.rectified = gr.Checkbox(elem_id="il-rectified", **words["rectified"])
                    if name == "cell":
                        self._place_cell(words)
                    script = JUMP if name == "network" else None
                    self.shown[name] = gr.HTML(js_on_load=script, elem_id=f"il-{name}")
                    if name == "bottleneck":
                        self._place_calculator(words)
        # Set by the browser itself. A `gr.State` could not be, and needs the queue to be noticed.
        self.open = gr.Textbox(self.why.tabs[0], visible="hidden", elem_id="il-open")
        self.near = gr.Checkbox(False, visible="hidden", elem_id="il-near")  # to the explanations
        self.picked = gr.Textbox(visible="hidden")  # which cell was clicked, told anew by each click
        self.channels_off = gr.State(())
        self.told: gr.State = gr.State({})  # for each place what it tells at present

    def _place_cell(self, words: dict[str, dict[str, Any]]) -> None:
        self.how = gr.HTML(elem_id="il-cell-how", **words["cell_how"])
        with gr.Row():
            self.branch = gr.Radio(
                value="1x1", elem_id="il-cell-branch", min_width=300, scale=4, **words["cell_branch"]
            )
            whole: dict[str, Any] = {"precision": 0, "minimum": 0, "value": 0, "min_width": 90, "scale": 1}
            self.channel = gr.Number(elem_id="il-cell-channel", **whole, **words["cell_channel"])
            self.row = gr.Number(elem_id="il-cell-row", **whole, **words["cell_row"])
            self.column = gr.Number(elem_id="il-cell-column", **whole, **words["cell_column"])
            self.flip = gr.Button(elem_id="il-cell-switch", size="md", min_width=160, scale=2, **words["cell_switch"])
        self.flipped = gr.HTML(elem_id="il-cell-switched")

    def _place_calculator(self, words: dict[str, dict[str, Any]]) -> None:
        self.calc_title = gr.HTML(**words["calc_title"])
        with gr.Row():
            self.calc = {
                name: gr.Number(
                    value=value,
                    precision=0,
                    minimum=1,
                    min_width=110,
                    elem_id=f"il-calc-{name}",
                    **words[f"calc_{name}"],
                )
                for name, value in CALCULATOR.items()
            }
        self.worked = gr.HTML(worked_out(list(CALCULATOR.values()), "en"), elem_id="il-worked")

    def wording(self, model: str, language: str) -> dict[str, dict[str, Any]]:
        """What each component says in a language; the classes are those of `model`."""
        branches = [(say(language, "pool") if name == "pool" else name.replace("x", "×"), name) for name in BRANCHES]
        return {
            "switches": {"label": say(language, "switches"), "choices": branches},
            "all_on": {"value": say(language, "all_on")},
            "off": {
                "label": say(language, "off"),
                "choices": [(say(language, f"off_{kind}"), kind) for kind in ABLATIONS],
            },
            "title": {"value": f"<h2>{say(language, 'why_title')}</h2><p>{say(language, 'why_lead')}</p>"},
            "wanted": {
                "label": say(language, "why_class"),
                "info": say(language, "why_class_info"),
                "choices": self._classes(model, language),
            },
            **{f"tab_{name}": {"label": say(language, f"tab_{name}")} for name in self.why.tabs},
            "rectified": {"label": say(language, "rectified")},
            "cell_how": {"value": f"<p>{say(language, 'cell_how')}</p>"},
            "cell_branch": {"label": say(language, "cell_branch"), "choices": branches},
            **{f"cell_{part}": {"label": say(language, f"cell_{part}")} for part in ("channel", "row", "column")},
            "cell_switch": {"value": say(language, "cell_switch")},
            "calc_title": {"value": f"<h3>{say(language, 'bottleneck_calc_title')}</h3>"},
            **{f"calc_{name}": {"label": say(language, f"calc_{name}")} for name in CALCULATOR},
        }

    def _classes(self, model: str, language: str) -> list[tuple[str, int]]:
        labels = class_names(self.service.pretrained(model), language)
        uses = Counter(labels)
        # Two of ImageNet's classes may share a name: their number tells them apart.
        named = [(label if uses[label] == 1 else f"{label} ({index})", index) for index, label in enumerate(labels)]
        return [(say(language, "why_class_top"), ANSWER), *sorted(named, key=lambda pair: sort_key(pair[0]))]

    def _worded(self) -> dict[str, Any]:
        """Which component each entry of `wording` belongs to."""
        return {
            "switches": self.switches,
            "all_on": self.all_on,
            "off": self.off,
            "title": self.title,
            "wanted": self.wanted,
            **{f"tab_{name}": tab for name, tab in self.tab.items()},
            "rectified": self.rectified,
            "cell_how": self.how,
            "cell_branch": self.branch,
            "cell_channel": self.channel,
            "cell_row": self.row,
            "cell_column": self.column,
            "cell_switch": self.flip,
            "calc_title": self.calc_title,
            **{f"calc_{name}": number for name, number in self.calc.items()},
        }

    @property
    def worded(self) -> list[Any]:
        """All that another language changes at once."""
        return [*self._worded().values(), self.worked]

    @property
    def asked(self) -> set[Any]:
        """What the handlers read."""
        around = self.around
        return {
            *(around.query, around.subject, around.model, around.block, around.view, around.scale, around.colours),
            *(around.language, self.wanted, self.off, self.switches, self.channels_off, self.open, self.rectified),
            *(self.near, self.branch, self.channel, self.row, self.column, self.told),
            *self.calc.values(),
        }

    def connect(self) -> None:
        """Bind the handlers.

        Whatever changes, one handler tells what is not told yet. As the browser never runs it twice
        at once, and once more after the last change, no slow answer can overwrite a later one.
        """
        around = self.around
        address = [self.branch, self.channel, self.row, self.column]
        latest: dict[str, Any] = {
            "api_visibility": "private",
            "show_progress": "hidden",
            "trigger_mode": "always_last",
        }
        # As long as nobody has come near and nothing is switched or enlarged, there is nothing to tell.
        scene = followed(
            "il-why-scene",
            [around.subject, around.block, around.scale, around.colours, around.language],
            {"near": self.near, "on": self.switches, "lens": self.lens},
            f"near || on.length < {len(BRANCHES)} || lens",
        )
        changed = [
            *(scene, self.wanted, self.off, self.switches, self.channels_off, self.open, self.near, self.rectified),
            self.picked,
        ]
        # Not their changes: `_refresh` itself chooses a cell in each new block, and need not be told.
        typed = [component.input for component in address]
        shown = [
            self.told,
            self.switches,
            self.channels_off,
            *address,
            *self.shown.values(),
            self.result,
            self.flipped,
            self.lens,
        ]
        light = {**latest, "queue": False}
        gr.on([component.change for component in changed] + typed, self._refresh, self.asked, shown, **latest)
        for name, tab in self.tab.items():
            tab.select(None, None, self.open, js=f"() => '{name}'", **light)
        self.title.near(None, None, self.near, js="() => true", **light)
        self.all_on.click(all_on, None, [self.switches, self.channels_off], **latest)
        self.flip.click(self._on_flip, self.asked, [self.channels_off, self.flipped], **latest)
        picked = [self.told, self.tabs, self.open, self.picked, self.lens, *address]
        around.panels.pick(self._on_pick, self.asked, picked, **light)
        self.shown["network"].jump(on_jump, None, around.block, **light)
        for number in self.calc.values():
            number.change(self._calculated, self.asked, self.worked, **light)

    def invitation(self, query: Query | None, block: str, language: str) -> dict[Any, Any]:
        """For another photo or block, whose branches are all on: said at once, while `_refresh` may not be asked."""
        return {self.result: "" if query is None else nothing_off_html(block, language)}

    def is_whole(self, data: dict[Any, Any]) -> bool:
        """Whether nothing is switched off."""
        return len(data[self.switches]) == len(BRANCHES) and not data[self.channels_off]

    def in_language(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """The section's words, after the visitor chose another language; `_refresh` tells the rest."""
        words = self.wording(data[self.around.model], data[self.around.language])
        return {
            **{component: gr.update(**words[name]) for name, component in self._worded().items()},
            self.worked: self._calculated(data),
        }

    def of_network(self, model: str, language: str) -> dict[Any, Any]:
        """Another network has other classes."""
        return {self.wanted: gr.update(value=ANSWER, **self.wording(model, language)["wanted"])}

    def _question(self, data: dict[Any, Any]) -> Question:
        around = self.around
        numbers = (data[self.channel], data[self.row], data[self.column])
        whole = all(isinstance(number, int | float) and number >= 0 for number in numbers)
        return Question(
            picture=ViewOptions(data[around.block], data[around.view], data[around.scale], data[around.colours]),
            wanted=None if data[self.wanted] in (None, ANSWER) else data[self.wanted],
            off=data[self.off],
            branches_off=tuple(branch for branch in BRANCHES if branch not in data[self.switches]),
            channels_off=tuple(data[self.channels_off]),
            cell=Cell(data[self.branch], *(int(number) for number in numbers)) if whole else None,
            rectified=bool(data[self.rectified]),
        )

    def _refresh(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """Tell what has changed; an explanation that is not open is taken away until it is opened."""
        around, told = self.around, dict(data[self.told])
        subject, language = (data[around.subject], data[around.block]), data[around.language]
        changes: dict[Any, Any] = {}
        query, question = data[around.query], self._question(data)
        if told.get("subject") != subject:
            # Another photo, network or block. What was switched off before is on again; as this may be told late,
            # it is not what has been switched or picked since.
            told["subject"] = subject
            if told.get("switched", ())[3:] == (question.branches_off, question.channels_off):
                changes.update({self.switches: list(BRANCHES), self.channels_off: ()})
            if told.get("picked") != subject:
                changes[self.lens] = ""
                changes.update(self._address(self.why.brightest(query, data[around.block], data[self.branch])))
            question = self._question({**data, **changes})
        for name, place in self.shown.items():
            key = (subject, language, self.why.depends(name, question))
            if told.get(name) == key:
                continue
            if name == data[self.open] and data[self.near]:
                changes[place], told[name] = self.why.tab(name, query, question, language), key
            elif told.pop(name, None):
                changes[place] = ""
        switched = (subject, language, question.off, question.branches_off, question.channels_off)
        if told.get("switched") != switched:
            told["switched"] = switched
            changes[self.result] = self.why.switched(query, question, language)
            # Also below the button that switches a channel, as the other place may be out of sight.
            changes[self.flipped] = changes[self.result] if question.channels_off else ""
        return {**changes, self.told: told}

    def _on_flip(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """Switch the chosen cell's channel off, or on again."""
        around, cell = self.around, self._question(data).cell
        query, language = data[around.query], data[around.language]
        if query is None:
            return {self.flipped: message_html(say(language, "why_waiting"))}
        if cell is None:
            return {self.flipped: message_html(say(language, "whole_numbers"), alarm=True)}
        try:
            number = self.why.channel_in_block(query, data[around.block], cell)
        except UserError as error:
            return {self.flipped: alert(error, language)}
        return {self.channels_off: tuple(sorted({number} ^ set(data[self.channels_off])))}

    def _on_pick(self, data: dict[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        """A click into a map: its cell is opened."""
        picture, point = self._question(data).picture, point_of(event)
        # Not sent by this page, or between two channels' maps.
        cell = None if point is None else self.why.picked(data[self.around.query], picture, *point)
        if cell is None:
            return {self.open: gr.skip()}
        query, language = data[self.around.query], data[self.around.language]
        return {
            self.lens: self.why.channel(query, picture, cell, language),
            self.told: {**data[self.told], "picked": (data[self.around.subject], picture.block)},
            self.tabs: gr.Tabs(selected="cell"),
            self.open: "cell",
            self.picked: repr(cell),
            **self._address(cell),
        }

    def _calculated(self, data: dict[Any, Any]) -> str:
        return worked_out([data[number] for number in self.calc.values()], data[self.around.language])

    def _address(self, cell: Cell | None) -> dict[Any, Any]:
        """The fields that name a cell."""
        if cell is None:
            return {}
        return {self.branch: cell.branch, self.channel: cell.channel, self.row: cell.row, self.column: cell.column}


def worked_out(numbers: Sequence[float | None], language: str) -> str:
    """The calculator's answer for its five fields, in their order."""
    given, reduced, out, kernel, cells = numbers
    return calculator_html(given, reduced, out, kernel, cells, language)


def all_on() -> tuple[list[str], tuple[int, ...]]:
    """Every branch and every channel back on."""
    return list(BRANCHES), ()


def on_jump(event: gr.EventData) -> Any:
    """A cell of the table was clicked: its block is chosen."""
    block = getattr(event, "block", None)
    return block if block in tuple(BLOCKS) else gr.skip()


def point_of(event: gr.EventData) -> tuple[str, float, float] | None:
    """Where a branch's picture was clicked: the branch, and shares of the width and height, 0 to 1."""
    branch, across, down = (getattr(event, name, None) for name in ("branch", "across", "down"))
    if branch not in tuple(BRANCHES) or not isinstance(across, int | float) or not isinstance(down, int | float):
        return None
    # At the picture's edge the browser's rounding may leave it by a little.
    if not (-1 < across < 2 and -1 < down < 2):
        return None
    return branch, min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0)
