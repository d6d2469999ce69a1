"""Class names in the visitor's language; the API and all files keep the English label."""

from __future__ import annotations

from ..pretrained.labels import chinese_names
from ..pretrained.pretrained import PretrainedModel
from .text import say


def class_name(pretrained: PretrainedModel, index: int, language: str, *, short: bool = False) -> str:
    """The class's name in a language: "斑马 (zebra)", or `short`, within a sentence, "斑马".

    The English label stays, and is marked as that, where no Chinese name is sure. The classes of a user's
    own checkpoint are called what the checkpoint calls them, whatever the language.
    """
    label = pretrained.labels[index]
    if language != "zh" or not pretrained.imagenet:
        return label
    name = chinese_names().get(label)
    if name is None:
        return say(language, "class_english", label=label)
    # The English name is what the API, the files and most books say; some names (iPod) are the same in both.
    return name if short or name == label else f"{name} ({label})"


def class_names(pretrained: PretrainedModel, language: str, *, short: bool = False) -> tuple[str, ...]:
    """The names of all classes, as `class_name` says them, in the order of the logits."""
    return tuple(class_name(pretrained, index, language, short=short) for index in range(len(pretrained.labels)))
