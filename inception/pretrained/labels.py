"""What the page calls a class: in Chinese where a sure name is known. The API and all files say the English label."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..web.text import say
from .pretrained import PretrainedModel

FILE = Path(__file__).with_name("labels_zh.json")  # with its source and licence


@cache
def chinese_names() -> Mapping[str, str | None]:
    """ImageNet's English labels, in the order of its 1000 classes, to Chinese names; None where none is sure."""
    names: dict[str, str | None] = json.loads(FILE.read_text(encoding="utf-8"))["names"]
    return names


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


def sort_key(name: str) -> bytes:
    """Sorts names by their letters, and Chinese ones by their pronunciation."""
    # GB 18030 numbers the common characters in the order of pinyin; letters come before them.
    return name.lower().encode("gb18030", errors="replace")


def first_name(label: str) -> str:
    """By what a class is recognised: of "Goldfish, Carassius auratus" it is "goldfish"."""
    return label.split(",")[0].strip().lower()
