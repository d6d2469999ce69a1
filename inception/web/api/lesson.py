"""The lesson as two endpoints: a step's question, and what the network says to a prediction."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from ... import checks
from ...service.service import InferenceService
from ..lesson.material import material_of
from ..lesson.steps import STEPS, Material, Posed, Step
from ..panels.lesson import choice_text, sentence
from ..text import LANGUAGES
from .endpoint import Endpoint
from .errors import look_at

KEY_LETTERS = 100


def lesson_endpoints(
    service: InferenceService, photo: Component, model: Component, language: Component, data: Component
) -> list[Endpoint]:
    """The endpoints; the components say what each argument may be."""

    def opened(photo: str | None, step: int, model: str, language: str) -> tuple[Step, Material, Posed]:
        chosen = STEPS[step - 1]
        query = look_at(service, photo, model) if chosen.needs_photo else None
        material = material_of(service, query, model)
        return chosen, material, chosen.pose(material)

    def lesson_step(step: int, model: str, language: str, photo: str | None = None) -> dict[str, Any]:
        """One step of the lesson, in which students predict what the network computes: its text, question and choices.

        Args:
            step: which step, from 1 to 10
            model: which network it is about, as `models` lists them
            language: of the sentences, en for English or zh for Chinese
            photo: the picture that the steps 6, 9 and 10 need

        Returns:
            the step's title, text and question, and its choices by key and text; `lesson_check` takes the key
        """
        chosen, material, posed = opened(photo, step, model, language)
        return {
            "step": step,
            "steps": len(STEPS),
            "needs_photo": chosen.needs_photo,
            "title": sentence(f"lesson_{chosen.key}_title", {}, material.pretrained, language),
            "text": sentence(f"lesson_{chosen.key}_text", posed.details, material.pretrained, language),
            "question": sentence(f"lesson_{chosen.key}_ask", posed.details, material.pretrained, language),
            "choices": [
                {"key": choice.key, "text": choice_text(choice, material.pretrained, language)}
                for choice in posed.choices
            ],
        }

    def lesson_check(step: int, choice: str, model: str, language: str, photo: str | None = None) -> dict[str, Any]:
        """Whether a prediction in the lesson was right, computed now and told with the numbers that say so.

        Args:
            step: which step, from 1 to 10
            choice: the key of one of the choices that `lesson_step` gives
            model: which network it is about, as `models` lists them
            language: of the sentences, en for English or zh for Chinese
            photo: the picture that `lesson_step` was given

        Returns:
            whether the choice was right, the key of the one that is, and the sentences that tell why
        """
        chosen, material, posed = opened(photo, step, model, language)
        checks.choice("choice", choice, [one.key for one in posed.choices])
        found = chosen.check(material)
        told = [f"lesson_{chosen.key}_told", *([found.why] if found.why else [])]
        return {
            "step": step,
            "choice": choice,
            "right": choice == found.right,
            "answer": found.right,
            "sentences": [sentence(key, found.details, material.pretrained, language) for key in told],
        }

    step = gr.Number(1, precision=0, minimum=1, maximum=len(STEPS), visible=False, label=f"Step, 1 to {len(STEPS)}")
    choice = gr.Textbox(visible=False, label="Key of the choice", max_length=KEY_LETTERS)
    own = type(photo)(visible=False, label="Photo, for the steps that need one")
    example = opened(None, 1, service.models[0], next(iter(LANGUAGES)))[2].choices[0].key
    return [
        Endpoint(lesson_step, [step, model, language, own], [data]),
        Endpoint(lesson_check, [step, choice, model, language, own], [data], {"choice": example}),
    ]
