"""The HTML of the guided lesson: a step's head, and what the network says to a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ...network.anatomy import BranchFacts
from ...pretrained.pretrained import PretrainedModel
from ..class_names import class_name
from ..lesson.steps import STEPS, Choice, ClassNumber, Found, Posed, Scene
from ..text import say
from .block import branch_name


def sentence(key: str, details: Mapping[str, object], pretrained: PretrainedModel, language: str) -> str:
    """The sentence called `key`, where branches and classes among the details are said by name."""
    return say(language, key, **{name: _named(value, pretrained, language) for name, value in details.items()})


def _named(value: object, pretrained: PretrainedModel, language: str) -> object:
    if isinstance(value, BranchFacts):
        return branch_name(value, language)
    return class_name(pretrained, value.index, language, short=True) if isinstance(value, ClassNumber) else value


def choice_text(choice: Choice, pretrained: PretrainedModel, language: str) -> str:
    """What a choice says."""
    if choice.branch is not None:
        return branch_name(choice.branch, language)
    return sentence(choice.text, choice.details, pretrained, language)


def invitation_html(language: str) -> str:
    """What the closed card says."""
    title, lead = say(language, "lesson_title"), say(language, "lesson_lead", steps=len(STEPS))
    return f"<h2>{escape(title)}</h2><p>{escape(lead)}</p>"


def head_html(
    number: int,
    posed: Posed | None,
    scene: Scene,
    results: Sequence[bool | None],
    pretrained: PretrainedModel,
    language: str,
) -> str:
    """Where the student is, the step's text, and what the page shows. `results` are those of all steps so far.

    Without `posed`, for want of a photo, the text waits too, as it speaks of that photo.
    """
    key = STEPS[number - 1].key
    checked = [result for result in results if result is not None]
    count = say(language, "lesson_count", step=number, steps=len(STEPS))
    score = say(language, "lesson_score", right=sum(checked), checked=len(checked)) if checked else ""
    dots = "".join(f'<li class="{_dot(result, here=place == number)}"></li>' for place, result in enumerate(results, 1))
    text = (
        say(language, "lesson_no_photo")
        if posed is None
        else sentence(f"lesson_{key}_text", posed.details, pretrained, language)
    )
    block = say(language, "lesson_where_block", block=scene.block, view=say(language, f"view_{scene.view}"))
    tab = say(language, "lesson_where_tab", tab=say(language, f"tab_{scene.tab}"))
    return (
        f'<div class="il-lesson-bar"><strong>{escape(count)}</strong><ol aria-hidden="true">{dots}</ol>'
        f"<span>{escape(score)}</span>"
        # In a tab of its own, as this one holds a photo.
        f'<a href="?lesson={number}" target="_blank" rel="noopener">{escape(say(language, "lesson_link"))}</a></div>'
        f"<h2>{escape(say(language, f'lesson_{key}_title'))}</h2><p>{escape(text)}</p>"
        f'<p class="il-lesson-where">{escape(say(language, "lesson_where"))} <a href="#il-panels">{escape(block)}</a>'
        f' · <a href="#il-tabs">{escape(tab)}</a></p>'
    )


def _dot(result: bool | None, *, here: bool) -> str:
    kind = "" if result is None else "il-right" if result else "il-wrong"
    return f"{kind} il-here".strip() if here else kind


def verdict_html(
    number: int, chosen: str, found: Found, choices: Sequence[Choice], pretrained: PretrainedModel, language: str
) -> str:
    """Whether the prediction was right, and the numbers that say so."""
    key, right = STEPS[number - 1].key, found.right == chosen
    answer = next(choice_text(choice, pretrained, language) for choice in choices if choice.key == found.right)
    verdict = say(language, "lesson_right") if right else say(language, "lesson_not_quite", answer=answer)
    sentences = [sentence(f"lesson_{key}_told", found.details, pretrained, language)]
    if found.why:
        sentences.append(sentence(found.why, found.details, pretrained, language))
    told = "".join(f"<p>{escape(one)}</p>" for one in sentences)
    kind = "il-right" if right else "il-wrong"
    return f'<div class="il-lesson-verdict {kind}"><p><strong>{escape(verdict)}</strong></p>{told}</div>'
