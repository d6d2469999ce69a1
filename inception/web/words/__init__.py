"""Message catalogues of the server: refusals, errors and captions of files.

Errors carry their English text where they are raised, so `en.json` has no key beginning with `error_`. The stage's own
catalogues are in `stage/static/words`.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import UserError

DEFAULT = "en"
MAX_ACCEPT_LANGUAGE = 200  # characters that are read of the header
WORDS: dict[str, dict[str, str]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(Path(__file__).parent.glob("*.json"))
}
LANGUAGES = (DEFAULT, *(language for language in WORDS if language != DEFAULT))


def say(language: str, key: str, **details: object) -> str:
    """Return the sentence called `key` in a language, in English where the language is unknown."""
    return WORDS.get(language, WORDS[DEFAULT])[key].format(**details)


def say_error(language: str, error: UserError) -> str:
    """Return the sentence of an error in a language, in English where it is not translated."""
    template = WORDS.get(language, {}).get(f"error_{error.kind}")
    return str(error) if template is None else template.format(**error.details)


def language_of(accept_language: str) -> str:
    """Return the best of `LANGUAGES` for a browser's Accept-Language header, English if none fits."""
    wishes = []
    for position, part in enumerate(accept_language[:MAX_ACCEPT_LANGUAGE].split(",")):
        tag, _, parameter = part.partition(";")
        name, _, quality = parameter.strip().lower().partition("=")
        try:
            weight = float(quality) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        if weight > 0:  # 0 stands for a language that is not wanted
            wishes.append((-weight, position, tag.strip().split("-")[0].lower()))
    return next((language for _, _, language in sorted(wishes) if language in LANGUAGES), DEFAULT)
