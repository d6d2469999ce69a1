"""The HTML that says when an answer is to be doubted, and how good that rule is."""

from __future__ import annotations

from html import escape

from ...prediction import Prediction
from ...pretrained.pretrained import PretrainedModel
from ...pretrained.rejection import RejectionRule
from ..text import say


def doubt_html(prediction: Prediction, language: str) -> str:
    """A calm sentence where the photo is probably of none of the classes, with the rule's own figures; else nothing."""
    if prediction.rejection is None or not prediction.rejected:
        return ""
    best = f"{prediction.probabilities.max():.1%}"
    told = say(language, "doubt", classes=len(prediction.labels), probability=best)
    return (
        f'<p class="il-doubt" role="status"><strong>{escape(told)}</strong><br>'
        f"{escape(_rule(prediction.rejection, language))}</p>"
    )


def limits(pretrained: PretrainedModel, language: str) -> str:
    """What may not be expected of a network, in sentences."""
    sentences = [say(language, "limits_always", classes=f"{len(pretrained.labels):,}")]
    rejection = pretrained.rejection
    if rejection is None:
        sentences.append(say(language, "limits_unmeasured"))
    else:
        sentences.append(_rule(rejection, language))
        if rejection.caught or rejection.doubted:
            right = _of_hundred(rejection.caught / (rejection.caught + rejection.doubted))
            sentences.append(say(language, "limits_right", right=right))
        # Of the number shown, so that the two add up to a hundred.
        sentences.append(say(language, "limits_missed", missed=100 - _of_hundred(rejection.caught)))
        if rejection.outside_photos:
            sentences.append(say(language, "limits_outside", photos=rejection.outside_photos))
    return say(language, "honest_between").join(sentences)


def _rule(rejection: RejectionRule, language: str) -> str:
    return say(
        language,
        "doubt_rule",
        threshold=f"{rejection.threshold:.1%}",
        caught=_of_hundred(rejection.caught),
        doubted=_of_hundred(rejection.doubted),
        inside=f"{rejection.inside:,}",
        outside=f"{rejection.outside:,}",
    )


def _of_hundred(share: float) -> int:
    return round(100 * share)
