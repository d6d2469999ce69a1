"""The page in Chinese: punctuation, names of photos and classes, and notes about the networks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from support.stage_visitor import StageVisit

LATIN_WORDS = re.compile(r"[a-z]+ [a-z]+")
TEXTS = """() =>
  [...document.querySelectorAll("p, li, h2, h3, h4, button, td, th, dt, dd, [aria-label], [title], title")]
  .flatMap((element) => [element.textContent, element.getAttribute("aria-label"), element.getAttribute("title")])"""
# A space beside Chinese punctuation, or European punctuation after a Chinese character or between blocks or numbers.
WRONG_PUNCTUATION = re.compile(
    r"[，。：；！？（）、] | [，。：；！？）、]|[一-鿿）”][,.;:!?](?!\w)|\b([345][a-e]|\d\.\d+), ([345][a-e]|\d\.\d+)"
)
COMMAND = "python -m inception train"


def wrong_texts(page: Page) -> list[str]:
    texts = {text.strip() for text in page.evaluate(TEXTS) if text}
    return sorted(text for text in texts if len(text) < 500 and WRONG_PUNCTUATION.search(text))


@pytest.mark.parametrize("view", ["evidence", "unit", "cell", "cost", "dial", "census", "about"])
def test_punctuation_is_chinese(visit: StageVisit, view: str) -> None:
    unit = "&unit=tiny-imagenet/4b/5x5/3" if view == "unit" else ""
    visit.open(f"?lang=zh&photo=espresso&block=4b&deeper={view}{unit}")
    page = visit.page
    panel = page.locator(f"#deeper-{view}")
    expect(panel.locator("h3, h4").first).not_to_be_empty(timeout=120_000)
    expect(panel.locator(".deeper-skeleton")).to_have_count(0, timeout=120_000)
    if view == "evidence":
        panel.get_by_role("button", name="检验这张图").click()
        expect(panel.locator(".trust-charts")).to_be_visible(timeout=120_000)
    assert wrong_texts(page) == []


def test_classes_of_the_atlas_have_their_chinese_names(visit: StageVisit) -> None:
    visit.open("?lang=zh&unit=tiny-imagenet/4b/5x5/3")
    classes = visit.page.locator("#deeper-unit p", has_text="ROC")
    expect(classes).to_contain_text("管风琴", timeout=60_000)
    assert re.findall("[A-Za-z]+", classes.inner_text()) == ["ROC"]


def test_example_photos_have_chinese_names(visit: StageVisit) -> None:
    visit.open("?lang=zh")
    for button in visit.page.locator(".photo-examples button").all():
        expect(button).to_have_attribute("title", re.compile("^[一-鿿]+$"))


def test_notes_about_the_network_are_translated(visit: StageVisit) -> None:
    visit.open("?lang=zh&model=tiny-imagenet&deeper=about")
    facts = visit.page.locator(".about-list > dd")
    expect(facts.first).to_be_visible()
    texts = [text.replace(COMMAND, "") for text in facts.all_inner_texts()]
    untranslated = [text for text in texts if LATIN_WORDS.search(text)]
    assert untranslated == []


def test_the_tagline_is_not_cut_on_a_phone(visit: StageVisit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.open("?lang=zh")
    tagline = visit.page.locator("header .tagline")
    assert tagline.evaluate("element => element.scrollWidth <= element.clientWidth")
