"""The guided lesson in a real Chromium: from the first step to the last, by link, by keyboard, on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from support.paths import EXAMPLES
from support.visitor import Visit

pytestmark = pytest.mark.browser

STEPS = 10


def title(page: Page, number: int) -> None:
    expect(page.locator("#il-lesson-head")).to_contain_text(f"Step {number} of {STEPS}", timeout=15_000)


def predict(page: Page, choice: str) -> None:
    page.locator("#il-lesson-choice").get_by_label(choice, exact=True).check()
    page.locator("#il-lesson-check").click()
    expect(page.locator(".il-lesson-verdict")).to_be_visible(timeout=15_000)


def test_the_whole_lesson_from_start_to_end(visit: Visit) -> None:
    page = visit.page
    visit.upload(EXAMPLES / "red_panda.jpg")
    visit.panels_of("Block 3a")
    page.locator("#il-lesson-start").click()
    verdict = page.locator("#il-lesson-verdict")
    steps = (
        ("59 pixels", "Right", "3a", "One cell"),
        ("about 2 times as many", "387,072", "3a", "Bottleneck"),
        ("512 channels", "Not quite. It is: 24 channels", "4c", "Bottleneck"),
        ("block 5b", "Not quite. It is: block 3a", "5b", "Bottleneck"),
        ("4,944 channels", "Right", "5b", "Bottleneck"),
        ("block 5b", "Right", "5b", "One cell"),
        ("about 50 %", "6,379,728", "4a", "Bottleneck"),
        ("about 10 times as many", "138.4", "5b", "Bottleneck"),
        ("3×3", "Right", "4c", "Votes"),
        ("another class becomes the answer", "ladybug", "5b", "Evidence"),
    )
    for number, (choice, told, block, tab) in enumerate(steps, 1):
        title(page, number)
        expect(verdict).to_have_text("")
        predict(page, choice)
        expect(verdict).to_contain_text(told)
        expect(page.locator(f"#il-block input[value='{block}']")).to_be_checked()
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
        visit.panels_of(f"Block {block}")
        if number < STEPS:
            page.locator("#il-lesson-next").click()
    expect(verdict).to_contain_text("8 of 10 predictions were right")
    expect(page.locator("#il-lesson-next")).to_be_disabled()
    # What was checked stays.
    page.locator("#il-lesson-back").click()
    title(page, 9)
    expect(verdict).to_contain_text("Right")
    expect(page.locator("#il-lesson-choice").get_by_label("3×3")).to_be_checked()
    expect(page.locator("#il-lesson-check")).to_be_hidden()
    expect(page.locator("#il-view input[value='photo']")).to_be_checked()
    # And goes with the photo that it was about.
    page.get_by_label("Remove Image").click()
    expect(page.locator("#il-lesson-head")).to_contain_text("needs a photo")
    visit.upload(EXAMPLES / "espresso.jpg")
    expect(page.locator("#il-lesson-head")).to_contain_text("espresso", timeout=15_000)
    expect(verdict).to_have_text("")
    expect(page.locator("#il-lesson-head")).to_contain_text("5 of 7 right")


def test_a_link_opens_its_step_and_another_visitor_is_elsewhere(
    visit: Visit, browser: Browser, page_address: str
) -> None:
    visit.page.goto(f"{page_address}?lesson=3")
    title(visit.page, 3)
    expect(visit.page.locator("#il-block input[value='4c']")).to_be_checked()
    expect(visit.page.locator("#il-lesson-head a").first).to_have_attribute("href", "?lesson=3")
    predict(visit.page, "24 channels")
    context = browser.new_context(locale="en-US")
    other = Visit(context, page_address)
    other.page.goto(f"{page_address}?lesson=3")
    title(other.page, 3)
    expect(other.page.locator("#il-lesson-verdict")).to_have_text("")
    context.close()


@pytest.mark.parametrize("asked", ["0", "99", "x"])
def test_a_link_to_no_step_leaves_the_card_closed(visit: Visit, page_address: str, asked: str) -> None:
    visit.page.goto(f"{page_address}?lesson={asked}")
    expect(visit.page.locator("#il-lesson-start")).to_be_visible(timeout=15_000)
    visit.page.wait_for_timeout(500)
    expect(visit.page.locator("#il-lesson-body")).to_be_hidden()


def test_without_a_photo_a_step_offers_an_example(visit: Visit, page_address: str) -> None:
    visit.page.goto(f"{page_address}?lesson=9")
    title(visit.page, 9)
    expect(visit.page.locator("#il-lesson-head")).to_contain_text("Choose one on this page")
    expect(visit.page.locator("#il-lesson-check")).to_be_hidden()
    visit.page.locator("#il-lesson-example").click()
    expect(visit.page.locator("#il-lesson-head")).to_contain_text("lesser panda", timeout=15_000)
    visit.panels_of("Block 4c")
    predict(visit.page, "pool")
    expect(visit.page.locator("#il-lesson-verdict")).to_contain_text("Not quite. It is: 3×3")
    expect(visit.page.locator("#il-lesson-example")).to_be_hidden()


def test_the_keyboard_is_enough_and_the_verdict_is_read_aloud(visit: Visit) -> None:
    page = visit.page
    page.locator("#il-lesson-start").focus()
    page.keyboard.press("Enter")
    title(page, 1)
    page.locator("#il-lesson-check").press("Enter")
    expect(page.locator("#il-lesson-verdict")).to_contain_text("Predict first")
    page.locator("#il-lesson-choice input").nth(2).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "il-lesson-check"
    page.keyboard.press("Enter")
    expect(page.locator("#il-lesson-verdict [aria-live=polite]")).to_contain_text("Right")
    page.locator("#il-lesson-next").press("Enter")
    title(page, 2)
    page.locator("#il-lesson-close").press("Enter")
    expect(page.locator("#il-lesson-body")).to_be_hidden()
    page.locator("#il-lesson-start").press("Enter")
    title(page, 2)


@pytest.mark.parametrize("visit", [{"locale": "zh-CN", "viewport": {"width": 390, "height": 844}}], indirect=True)
def test_the_lesson_is_chinese_too_and_fits_a_phone(visit: Visit) -> None:
    page = visit.page
    visit.upload(EXAMPLES / "red_panda.jpg")
    visit.panels_of("模块 3a")
    page.locator("#il-lesson-start").click()
    for number in range(1, STEPS + 1):
        expect(page.locator("#il-lesson-head")).to_contain_text(f"第 {number} 步", timeout=15_000)
        page.locator("#il-lesson-choice input").first.check()
        page.locator("#il-lesson-check").click()
        expect(page.locator(".il-lesson-verdict")).to_be_visible(timeout=15_000)
        text = page.locator("#il-lesson").inner_text()
        assert not re.search(r"(?:\b[a-z]+ ){4}|[{}]", text)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        if number < STEPS:
            page.locator("#il-lesson-next").click()
    # The same results, in the other language.
    visit.choose("language", "English")
    expect(page.locator("#il-lesson-verdict")).to_contain_text("That was the last step", timeout=15_000)
    title(page, STEPS)
    expect(page.locator("#il-lesson-close")).to_have_text("Close")
