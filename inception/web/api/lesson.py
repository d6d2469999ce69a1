"""The lesson as two endpoints: a step's question, and what the network says to a prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradio.components import Component

from ... import checks
from ...explain.registry import Argument
from ...service.service import InferenceService
from ..lesson.material import material_of
from ..lesson.steps import STEPS, Material, Posed, Step
from ..panels.lesson import choice_text, sentence
from ..text import LANGUAGES
from .endpoint import Endpoint
from .inputs import PHOTO, language, model_of, query_of

KEY_LETTERS = 100
STEP = Argument(
    f"Step, 1 to {len(STEPS)}",
    f"which step, from 1 to {len(STEPS)}",
    type=int,
    default=1,
    minimum=1,
    maximum=len(STEPS),
)
CHOICE = Argument(
    "Key of the choice", "the key of one of the choices that `lesson_step` returns", max_length=KEY_LETTERS
)


def lesson_endpoints(service: InferenceService, data: Component) -> list[Endpoint]:
    """Return the endpoints; `data` is the component for their JSON."""

    def opened(photo: str | None, step: int, model: str, language: str) -> tuple[Step, Material, Posed]:
        chosen = STEPS[step - 1]
        query = query_of(service, photo, model) if chosen.needs_photo else None
        material = material_of(service, query, model)
        return chosen, material, chosen.pose(material)

    def lesson_step(step: int, model: str, language: str, photo: str | None = None) -> dict[str, Any]:
        """One step of the lesson, in which students predict what the network computes: its text, question and choices.

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
        """Check a student's prediction in the lesson against what the network computes now.

        Returns:
            whether the choice was right, the key of the right one, and the sentences that explain it
        """
        chosen, material, posed = opened(photo, step, model, language)
        checks.choice("choice", choice, [one.key for one in posed.choices])
        result = chosen.check(material)
        texts = [f"lesson_{chosen.key}_told", *([result.why] if result.why else [])]
        return {
            "step": step,
            "choice": choice,
            "right": choice == result.right,
            "answer": result.right,
            "sentences": [sentence(key, result.details, material.pretrained, language) for key in texts],
        }

    model = model_of(service, "which network the questions are about, as `models` lists them")
    spoken = language("language of the sentences, en for English or zh for Chinese")
    steps = [str(number) for number, step in enumerate(STEPS, 1) if step.needs_photo]
    photo = replace(
        PHOTO,
        label="Photo, for the steps that need one",
        help=f"the photo, for the steps {', '.join(steps[:-1])} and {steps[-1]}",
    )
    same_photo = replace(photo, help="the photo that was sent to `lesson_step`")
    example = opened(None, 1, service.models[0], next(iter(LANGUAGES)))[2].choices[0].key
    return [
        Endpoint(lesson_step, [STEP, model, spoken, photo], [data]),
        Endpoint(lesson_check, [STEP, CHOICE, model, spoken, same_photo], [data], {"choice": example}),
    ]
