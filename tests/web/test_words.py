"""The server's sentences and their translations."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from inception.errors import PhotoError
from inception.web.words import LANGUAGES, WORDS, language_of, say, say_error
from support.paths import ROOT


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_both_languages_have_the_same_sentences_with_the_same_placeholders() -> None:
    english, chinese = WORDS["en"], {key: text for key, text in WORDS["zh"].items() if not key.startswith("error_")}
    assert english.keys() == chinese.keys()
    assert {key: placeholders(text) for key, text in english.items()} == {
        key: placeholders(text) for key, text in chinese.items()
    }
    assert not [key for key, text in chinese.items() if text == english[key] and key not in ("title",)]
    assert LANGUAGES == ("en", "zh")
    assert say("fr", "fault") == english["fault"]


def test_every_error_shown_to_visitors_has_a_chinese_translation() -> None:
    package = ROOT / "inception"
    paths = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in ("cli", "training")]
    raised: dict[str, set[str]] = {}
    for path in paths:
        for kind, message in re.findall(
            r'\(\s*"((?:photo|weights|device|explain|serving|argument|page)_\w+|choice|number)",\s*((?:["\'].*["\']\s*)+)',
            path.read_text(),
        ):
            names = placeholders("".join(re.findall(r'["\'](.*)["\']', message)))
            # A kind has one translation, so its placeholders must be the same wherever it is raised.
            assert raised.setdefault(kind, names) == names
    assert len(raised) >= 35
    assert {"explain_class", "explain_class_number", "explain_channel", "explain_cell", "explain_means"} <= set(raised)
    chinese = {
        key.removeprefix("error_"): placeholders(text) for key, text in WORDS["zh"].items() if key.startswith("error_")
    }
    assert chinese == raised


def test_an_error_is_translated_into_the_visitors_language() -> None:
    error = PhotoError("photo_large", "too many, at most {limit}", limit=50)
    assert say_error("en", error) == "too many, at most 50"
    assert "50 百万像素" in say_error("zh", error)
    assert say_error("fr", error) == "too many, at most 50"


def test_every_sentence_is_used() -> None:
    code = "".join(path.read_text() for path in (ROOT / "inception" / "web").rglob("*.py"))
    prefixes = {f"{kind}_" for kind in ("view", "legend")}
    keys = [
        key for key in WORDS["en"] if not re.search(f"[\"']{key}[\"']", code) and not key.startswith(tuple(prefixes))
    ]
    assert keys == []


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.5", "en"),
        ("de-DE,de;q=0.9,zh-TW;q=0.8,en;q=0.7", "zh"),
        ("en;q=0.2,zh;q=0.9", "zh"),
        ("de", "en"),
        ("", "en"),
        ("zh;q=nonsense", "en"),
    ],
)
def test_the_accept_language_header_chooses_the_language(header: str, language: str) -> None:
    assert language_of(header) == language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("en; q=0.2, zh; q=0.9", "zh"),
        ("en ;q=0.2, zh ; q = 0.9", "zh"),
        ("zh;q=0,de", "en"),
        ("zh;q=0.0, en;q=0.1", "en"),
        ("en;Q=0.2,zh", "zh"),
        ("zh;level=1", "zh"),
        ("zh;q=nan,en;q=0.1", "en"),
    ],
)
def test_spaces_around_a_wishs_weight_are_allowed_and_none_of_weight_0_is_chosen(header: str, language: str) -> None:
    assert language_of(header) == language
