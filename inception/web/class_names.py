"""Class names for people: in Chinese where a reliable name is known. All numbers in files use the English labels."""

from __future__ import annotations

from ..pretrained.labels import chinese_names
from ..pretrained.pretrained import PretrainedModel
from .words import say


def class_name(pretrained: PretrainedModel, index: int, language: str) -> str:
    """Return a class name in a language: "zebra" or "斑马 (zebra)".

    A class without a reliable Chinese name keeps its English label, marked as such. Classes of a user's checkpoint
    keep their labels in every language.
    """
    label = pretrained.labels[index]
    if language != "zh" or not pretrained.imagenet:
        return label
    name = chinese_names().get(label)
    if name is None:
        return say(language, "class_english", label=label)
    # The English label follows, as the API and files use it; some names (iPod) are the same in both.
    return name if name == label else f"{name} ({label})"


def class_names(pretrained: PretrainedModel, language: str) -> tuple[str, ...]:
    """Return the names of all classes in the order of the logits, as `class_name` gives them."""
    return tuple(class_name(pretrained, index, language) for index in range(len(pretrained.labels)))
