"""The square of the photo that the network sees, dragged with a pointer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser

STEP_MILLISECONDS = 60


@pytest.fixture
def stage(browser: Browser, page_address: str) -> Iterator[StageVisit]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    visit = StageVisit(context, page_address, "?photo=espresso&block=4c")
    yield visit
    context.close()
    assert visit.complaints == []
    assert visit.foreign == []


def drag(stage: StageVisit, offsets: list[int]) -> None:
    """Move the square through horizontal offsets in pixels, and leave the button pressed."""
    box = stage.page.locator(".photo-crop").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    stage.page.mouse.move(x, y)
    stage.page.mouse.down()
    for offset in offsets:
        stage.page.mouse.move(x + offset, y)
        stage.page.wait_for_timeout(STEP_MILLISECONDS)


def scenes(stage: StageVisit) -> int:
    return len([url for url in stage.requests if "stage_scene" in url])


def test_the_square_is_dragged_and_answered_on_the_way(stage: StageVisit) -> None:
    box, asked = stage.page.locator(".photo-crop").bounding_box(), scenes(stage)
    assert box
    drag(stage, [-2 * step for step in range(12)])
    stage.page.mouse.up()
    expect(stage.page).to_have_url(re.compile("crop="))
    assert scenes(stage) - asked >= 3
    moved = stage.page.locator(".photo-crop").bounding_box()
    assert moved
    assert moved["x"] < box["x"] - 5


def test_while_the_square_moves_no_number_of_an_earlier_crop_is_shown(stage: StageVisit) -> None:
    drag(stage, [-2 * step for step in range(12)])
    for part in (".worth", ".tile b"):
        expect(stage.page.locator(f"[data-lane='1x1'] {part}").first).to_have_css("opacity", "0")
    stage.page.mouse.up()
    for part in (".worth", ".tile b"):
        expect(stage.page.locator(f"[data-lane='1x1'] {part}").first).to_have_css("opacity", "1")


def test_a_square_that_comes_back_to_its_place_is_answered_as_before(stage: StageVisit) -> None:
    drag(stage, [-10, -20, -30])
    stage.page.mouse.up()
    expect(stage.page).to_have_url(re.compile("crop="))
    stage.settle()
    rows = stage.page.locator("[data-stage=answer] .rows")
    expect(stage.page.locator("[data-lane='1x1'] .worth")).to_have_css("opacity", "1")
    before, address = rows.inner_text(), stage.page.url
    drag(stage, [10, 20, 30])
    expect(rows).not_to_have_text(before, use_inner_text=True)
    box = stage.page.locator(".photo-crop").bounding_box()
    assert box
    stage.page.mouse.move(box["x"] + box["width"] / 2 - 30, box["y"] + box["height"] / 2)
    stage.page.mouse.up()
    expect(rows).to_have_text(before, use_inner_text=True)
    expect(stage.page.locator("[data-lane='1x1'] .worth")).to_have_css("opacity", "1")
    assert stage.page.url == address


def test_a_branch_that_is_off_stays_off_while_the_square_moves(stage: StageVisit) -> None:
    stage.switch("3x3")
    was = stage.page.locator("[data-stage=answer] .was").first
    expect(was).to_be_visible()
    drag(stage, [-2 * step for step in range(12)])
    with_all_on = stage.page.evaluate("document.querySelectorAll('[data-block].changed').length")
    assert with_all_on > 0  # later blocks differ from the run with everything on
    stage.page.mouse.up()
    expect(was).to_be_visible()
