"""The square of the photo that the network sees, dragged with a pointer."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser

STEP_MILLISECONDS = 60


def drag(visit: StageVisit, offsets: list[int]) -> None:
    """Move the square through horizontal offsets in pixels, and leave the button pressed."""
    box = visit.page.locator(".photo-crop").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    for offset in offsets:
        visit.page.mouse.move(x + offset, y)
        visit.page.wait_for_timeout(STEP_MILLISECONDS)


def scenes(visit: StageVisit) -> int:
    return len([url for url in visit.requests if "stage_scene" in url])


def test_the_square_is_dragged_and_answered_on_the_way(visit: StageVisit) -> None:
    box, asked = visit.page.locator(".photo-crop").bounding_box(), scenes(visit)
    assert box
    drag(visit, [-2 * step for step in range(12)])
    visit.page.mouse.up()
    expect(visit.page).to_have_url(re.compile("crop="))
    assert scenes(visit) - asked >= 3
    moved = visit.page.locator(".photo-crop").bounding_box()
    assert moved
    assert moved["x"] < box["x"] - 5


def test_while_the_square_moves_no_number_of_an_earlier_crop_is_shown(visit: StageVisit) -> None:
    drag(visit, [-2 * step for step in range(12)])
    for part in (".worth", ".tile b"):
        expect(visit.page.locator(f"[data-lane='1x1'] {part}").first).to_have_css("opacity", "0")
    visit.page.mouse.up()
    for part in (".worth", ".tile b"):
        expect(visit.page.locator(f"[data-lane='1x1'] {part}").first).to_have_css("opacity", "1")


def test_a_square_that_comes_back_to_its_place_is_answered_as_before(visit: StageVisit) -> None:
    drag(visit, [-10, -20, -30])
    visit.page.mouse.up()
    expect(visit.page).to_have_url(re.compile("crop="))
    visit.settle()
    rows = visit.page.locator("[data-stage=answer] .rows")
    expect(visit.page.locator("[data-lane='1x1'] .worth")).to_have_css("opacity", "1")
    before, address = rows.inner_text(), visit.page.url
    drag(visit, [10, 20, 30])
    expect(rows).not_to_have_text(before, use_inner_text=True)
    box = visit.page.locator(".photo-crop").bounding_box()
    assert box
    visit.page.mouse.move(box["x"] + box["width"] / 2 - 30, box["y"] + box["height"] / 2)
    visit.page.mouse.up()
    expect(rows).to_have_text(before, use_inner_text=True)
    expect(visit.page.locator("[data-lane='1x1'] .worth")).to_have_css("opacity", "1")
    assert visit.page.url == address


def test_a_branch_that_is_off_stays_off_while_the_square_moves(visit: StageVisit) -> None:
    visit.switch("3x3")
    was = visit.page.locator("[data-stage=answer] .was").first
    expect(was).to_be_visible()
    drag(visit, [-2 * step for step in range(12)])
    with_all_on = visit.page.evaluate("document.querySelectorAll('[data-block].changed').length")
    assert with_all_on > 0  # later blocks differ from the run with everything on
    visit.page.mouse.up()
    expect(was).to_be_visible()
