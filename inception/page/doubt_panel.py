"""The HTML that says when an answer is to be doubted, and how good that rule is."""

from __future__ import annotations

from html import escape

from ..observation import Observation
from ..unknown import Doubt
from ..weights import Pretrained
from .text import say


def doubt_html(observation: Observation, language: str) -> str:
    """A calm sentence where the photo is probably of none of the classes, with the rule's own figures; else nothing."""
    if observation.doubt is None or not observation.doubted:
        return ""
    best = f"{observation.probabilities.max():.1%}"
    told = say(language, "doubt", classes=len(observation.labels), probability=best)
    return (
        f'<p class="il-doubt" role="status"><strong>{escape(told)}</strong><br>'
        f"{escape(_rule(observation.doubt, language))}</p>"
    )


def limits(pretrained: Pretrained, language: str) -> str:
    """What may not be expected of a network, in sentences."""
    sentences = [say(language, "limits_always", classes=f"{len(pretrained.labels):,}")]
    doubt = pretrained.doubt
    if doubt is None:
        sentences.append(say(language, "limits_unmeasured"))
    else:
        sentences.append(_rule(doubt, language))
        if doubt.caught or doubt.doubted:
            right = _of_hundred(doubt.caught / (doubt.caught + doubt.doubted))
            sentences.append(say(language, "limits_right", right=right))
        # Of the number shown, so that the two add up to a hundred.
        sentences.append(say(language, "limits_missed", missed=100 - _of_hundred(doubt.caught)))
        if doubt.outside_photos:
            sentences.append(say(language, "limits_outside", photos=doubt.outside_photos))
    return say(language, "honest_between").join(sentences)


def _rule(doubt: Doubt, language: str) -> str:
    return say(
        language,
        "doubt_rule",
        threshold=f"{doubt.threshold:.1%}",
        caught=_of_hundred(doubt.caught),
        doubted=_of_hundred(doubt.doubted),
        inside=f"{doubt.inside:,}",
        outside=f"{doubt.outside:,}",
    )


def _of_hundred(share: float) -> int:
    return round(100 * share)
