"""The guided lesson on the page: its components, and which function answers which event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
from PIL import Image

from ...pretrained.pretrained import PretrainedModel
from ...runtime.resources import resource
from ...service.query import Query
from ...service.service import InferenceService
from ...vision.photo import open_photo
from ..handlers import alert
from ..lesson.material import material_of
from ..lesson.steps import STEPS, Found, Posed, Scene, Step, step_number
from ..panels.block import message_html
from ..panels.lesson import choice_text, head_html, invitation_html, sentence, verdict_html
from ..scene import followed
from ..text import say
from .why import Around, WhySection

EXAMPLE = resource("examples/red_panda.jpg")

BUTTONS = ("start", "example", "check", "back", "next", "close")

# Which step is open is told by the browser itself, as a number from 1; what is not above 0 is closed, and
# remembers where to go on.
OPEN = "at => String(Math.abs(Number(at)) || 1)"
CLOSE = "at => String(-Math.abs(Number(at)))"
BACK = "at => String(Math.max(1, Number(at) - 1))"
NEXT = f"at => String(Math.min({len(STEPS)}, Number(at) + 1))"
# The same prediction may be told again, for another photo: the time makes it another text.
GUESS = "(at, choice) => [at, Date.now(), choice ?? ''].join(' ')"
# What appears here is read aloud: the new step, and later what the network says to the prediction.
ALOUD = "element.setAttribute('aria-live', 'polite');"


@dataclass(frozen=True)
class Checked:
    """A prediction that was checked. `about` is the network, and the photo where the step needs one."""

    choice: str
    found: Found
    about: str

    @property
    def right(self) -> bool:
        return self.choice == self.found.right


@dataclass(frozen=True)
class Progress:
    """One visitor's way through the lesson: the scene that the page was brought to, and results by step."""

    scene: tuple[int, Scene] | None = None
    guess: str = ""  # the last one that was heard
    checked: Mapping[int, Checked] = field(default_factory=dict)


class LessonSection:
    """Placed into the page that is being built; `connect` binds it to the page's events."""

    def __init__(self, service: InferenceService) -> None:
        self.service = service
        words = self.wording("en")
        with gr.Column(elem_id="il-lesson"):
            with gr.Row(elem_id="il-lesson-card", equal_height=True) as self.card:
                self.invitation = gr.HTML(elem_id="il-lesson-invitation", **words["invitation"])
                self.start = gr.Button(
                    variant="primary", scale=0, min_width=120, elem_id="il-lesson-start", **words["start"]
                )
            with gr.Column(visible=False, elem_id="il-lesson-body") as self.body:
                self.head = gr.HTML(js_on_load=ALOUD, elem_id="il-lesson-head")
                self.choice = gr.Radio([], elem_id="il-lesson-choice", show_label=True)
                self.verdict = gr.HTML(js_on_load=ALOUD, elem_id="il-lesson-verdict")
                with gr.Row(elem_id="il-lesson-buttons"):
                    small: dict[str, Any] = {"size": "md", "scale": 0, "min_width": 110}
                    self.example = gr.Button(
                        visible=False, variant="primary", elem_id="il-lesson-example", **small, **words["example"]
                    )
                    self.check = gr.Button(variant="primary", elem_id="il-lesson-check", **small, **words["check"])
                    self.back = gr.Button(elem_id="il-lesson-back", **small, **words["back"])
                    self.next = gr.Button(elem_id="il-lesson-next", **small, **words["next"])
                    self.close = gr.Button(elem_id="il-lesson-close", **small, **words["close"])
        # Set by the browser itself, or by a link. A `gr.State` could not be.
        self.at = gr.Textbox("0", visible="hidden", elem_id="il-lesson-at")
        self.guess = gr.Textbox(visible="hidden", elem_id="il-lesson-guess")
        self.progress: gr.State = gr.State(Progress())

    def wording(self, language: str) -> dict[str, dict[str, Any]]:
        """What each component says in a language; a step's own words are told by `_show`."""
        return {
            "invitation": {"value": invitation_html(language)},
            **{name: {"value": say(language, f"lesson_{name}")} for name in BUTTONS},
        }

    def _worded(self) -> dict[str, Any]:
        return {"invitation": self.invitation, **{name: getattr(self, name) for name in BUTTONS}}

    @property
    def worded(self) -> list[Any]:
        """All that another language changes at once."""
        return list(self._worded().values())

    def in_language(self, language: str) -> dict[Any, Any]:
        """The section's words, after the visitor chose another language."""
        words = self.wording(language)
        return {component: gr.update(**words[name]) for name, component in self._worded().items()}

    def connect(self, page: gr.Blocks, around: Around, photo: gr.Image, why: WhySection) -> None:
        """Bind the handlers.

        Whatever changes, one handler tells all: as the browser never runs it twice at once, and once
        more after the last change, a slow check cannot overwrite the step that was opened after it.
        """
        self.around, self.why = around, why
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        latest: dict[str, Any] = {**private, "trigger_mode": "always_last"}
        light = {**latest, "queue": False}
        for button, script in ((self.start, OPEN), (self.close, CLOSE), (self.back, BACK), (self.next, NEXT)):
            button.click(None, self.at, self.at, js=script, **light)
        self.check.click(None, [self.at, self.choice], self.guess, js=GUESS, **light)
        self.example.click(example_photo, None, photo, **light)
        asked = {self.at, self.guess, self.choice, self.progress, around.query, around.model, around.language}
        shown = [self.card, self.body, self.head, self.choice, self.verdict, self.example, self.check, self.back]
        shown += [self.next, self.progress, around.block, around.view, why.tabs, why.open]
        around_it = [around.subject, around.model, around.language]
        changed = [self.at, self.guess, followed("il-lesson-scene", around_it, {"at": self.at}, "at > 0")]
        # Through the queue: a check may cost forward passes, and is to wait for its turn there.
        gr.on([component.change for component in changed], self._show, asked, shown, **latest)
        page.load(on_load, None, self.at, **light)

    def _show(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """The step that is open, with its result where it has been checked; closed, only the card."""
        around, progress, language = self.around, data[self.progress], data[self.around.language]
        number = step_number(data[self.at])
        if number is None:
            # Opened again, the lesson brings the page back to its step.
            progress = replace(progress, scene=None)
            return {self.card: gr.update(visible=True), self.body: gr.update(visible=False), self.progress: progress}
        step, query = STEPS[number - 1], data[around.query]
        model = data[around.model] if query is None else query.model
        try:
            material = material_of(self.service, query, model)
        except Exception as error:
            return {self.verdict: alert(error, language), self.progress: gr.skip()}
        posed = None if step.needs_photo and query is None else step.pose(material)
        heard, no_choice = self._heard(number, posed, data)
        if heard is not None and posed is not None and self._result(progress, number, query, model) is None:
            try:
                checked = Checked(heard, step.check(material), about(step, query, model))
            except Exception as error:
                return {self.verdict: alert(error, language), self.progress: replace(progress, guess=data[self.guess])}
            progress = replace(progress, checked={**progress.checked, number: checked})
        progress = replace(progress, guess=data[self.guess])
        result = self._result(progress, number, query, model)
        scene = step.before if result is None else step.after
        changes: dict[Any, Any] = {
            self.card: gr.update(visible=False),
            self.body: gr.update(visible=True),
            self.example: gr.update(visible=posed is None),
            self.check: gr.update(visible=posed is not None and result is None),
            self.back: gr.update(interactive=number > 1),
            self.next: gr.update(interactive=number < len(STEPS)),
            **self._told(
                number, posed, result, self._results(progress, query, model), scene, material.pretrained, language
            ),
        }
        if result is None and (progress.scene is None or progress.scene[0] != number):
            changes[self.choice] = {**changes[self.choice], "value": None}
        if no_choice:
            changes[self.verdict] = message_html(say(language, "lesson_no_choice"))
        if progress.scene != (number, scene):
            progress = replace(progress, scene=(number, scene))
            changes |= {around.block: scene.block, around.view: scene.view}
            changes |= {self.why.tabs: gr.Tabs(selected=scene.tab), self.why.open: scene.tab}
        return {**changes, self.progress: progress}

    def _told(
        self,
        number: int,
        posed: Posed | None,
        result: Checked | None,
        results: list[bool | None],
        scene: Scene,
        pretrained: PretrainedModel,
        language: str,
    ) -> dict[Any, Any]:
        """The step's text, its question and its verdict."""
        head = head_html(number, posed, scene, results, pretrained, language)
        if posed is None:
            return {self.head: head, self.choice: gr.update(visible=False), self.verdict: ""}
        question = gr.update(
            label=sentence(f"lesson_{STEPS[number - 1].key}_ask", posed.details, pretrained, language),
            choices=[(choice_text(choice, pretrained, language), choice.key) for choice in posed.choices],
            interactive=result is None,
            visible=True,
        )
        if result is None:
            return {self.head: head, self.choice: question, self.verdict: ""}
        verdict = verdict_html(number, result.choice, result.found, posed.choices, pretrained, language)
        if None not in results:
            done = say(language, "lesson_done", right=sum(map(bool, results)), steps=len(results))
            verdict += f'<p class="il-lesson-done">{done}</p>'
        return {self.head: head, self.choice: {**question, "value": result.choice}, self.verdict: verdict}

    def _heard(self, number: int, posed: Posed | None, data: dict[Any, Any]) -> tuple[str | None, bool]:
        """A new prediction for this step, or nothing; and whether "Check" was pressed without one."""
        guess = data[self.guess]
        if posed is None or not guess or guess == data[self.progress].guess:
            return None, False
        told, _, choice = (*guess.split(" ", 2), "", "")[:3]
        if told != str(number):
            return None, False
        known = any(one.key == choice for one in posed.choices)
        return (choice, False) if known else (None, True)

    def _result(self, progress: Progress, number: int, query: Query | None, model: str) -> Checked | None:
        """What came of a step, unless that was about another network or photo."""
        checked = progress.checked.get(number)
        return checked if checked and checked.about == about(STEPS[number - 1], query, model) else None

    def _results(self, progress: Progress, query: Query | None, model: str) -> list[bool | None]:
        results = [self._result(progress, number, query, model) for number in range(1, len(STEPS) + 1)]
        return [None if result is None else result.right for result in results]


def about(step: Step, query: Query | None, model: str) -> str:
    """What a step's result holds for."""
    return f"{model} {query.digest}" if step.needs_photo and query is not None else model


def example_photo() -> Image.Image:
    """A photo for those who have none at hand."""
    return open_photo(EXAMPLE)


def on_load(request: gr.Request) -> Any:
    """A teacher's link opens its step."""
    number = step_number(request.query_params.get("lesson", ""))
    return gr.skip() if number is None else str(number)
