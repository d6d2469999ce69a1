"""Class names on the page: in Chinese where a reliable name is known. The API and all files use the English labels."""

from __future__ import annotations

from ..pretrained.labels import chinese_names
from ..pretrained.pretrained import PretrainedModel
from .text import say


def class_name(pretrained: PretrainedModel, index: int, language: str, *, short: bool = False) -> str:
    """Return a class name in a language: "斑马 (zebra)", or, if `short`, "斑马".

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
    return name if short or name == label else f"{name} ({label})"


def class_names(pretrained: PretrainedModel, language: str, *, short: bool = False) -> tuple[str, ...]:
    """Return the names of all classes in the order of the logits, as `class_name` gives them."""
    return tuple(class_name(pretrained, index, language, short=short) for index in range(len(pretrained.labels)))


def sort_key(name: str) -> bytes:
    """Return a sort key: alphabetical, and by pronunciation for Chinese names."""
    # GB 18030 orders the common characters by pinyin, after the letters.
    return name.lower().encode("gb18030", errors="replace")
