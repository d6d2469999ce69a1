"""Keyboard operation of the stage: focus and tab order."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser

COUNT_TAB_STOPS = 'group => group.querySelectorAll(\'.tile[tabindex="0"], .more[tabindex="0"]\').length'


def press(control: Locator, key: str = "Enter") -> None:
    control.focus()
    control.press(key)


def test_controls_keep_the_focus_when_they_are_redrawn(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    row = page.locator("[data-stage=answer] .rows button").nth(1)
    press(row)
    expect(row).to_have_attribute("aria-pressed", "true")
    expect(row).to_be_focused()
    example = page.get_by_role("button", name="Example: bison")
    press(example)
    expect(page.locator("[data-stage=answer] h2")).to_contain_text("bison")
    expect(example).to_be_focused()
    page.locator("[data-lane='1x1'] [data-channel]").first.focus()
    page.keyboard.press("q")
    page.keyboard.press("w")
    chips = page.locator("[data-stage=answer] .chips button")
    expect(chips).to_have_count(3)
    press(chips.last)
    expect(chips).to_have_count(1)
    expect(chips.first).to_be_focused()
    press(chips.first)
    expect(chips).to_have_count(0)
    expect(page.locator("[data-stage=answer] .rows button").first).to_be_focused()
    select = page.locator(".block-tools select").first
    select.focus()
    select.select_option("mean")
    expect(page).to_have_url(re.compile("sort=mean"))
    expect(select).to_be_focused()
    chinese = page.get_by_role("button", name="中文")
    press(chinese)
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(chinese).to_be_focused()


def test_leaving_the_lesson_focuses_its_button(visit: StageVisit) -> None:
    visit.open()
    lesson = visit.page.get_by_role("button", name="Lesson", exact=True)
    press(lesson)
    dock = visit.page.locator("[data-stage=lesson]")
    expect(dock).to_contain_text("Step 1 of 8")
    press(dock.get_by_role("button", name="Leave the lesson"))
    expect(dock).to_be_hidden()
    expect(lesson).to_be_focused()


def test_the_lanes_are_a_single_tab_stop(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    lanes = page.locator(".lanes")
    more = page.locator("[data-lane='1x1'] .more")
    page.locator("[data-lane='1x1'] [data-channel]").last.focus()
    page.keyboard.press("ArrowRight")
    expect(more).to_be_focused()
    expect(more).to_have_attribute("tabindex", "0")
    assert lanes.evaluate(COUNT_TAB_STOPS) == 1
    switch = page.locator("[data-switch='3x3']")
    press(switch)
    expect(page.locator("[data-stage=answer] .was").first).to_be_visible()
    visit.wait_until_idle()
    expect(switch).to_be_focused()
    assert lanes.evaluate(COUNT_TAB_STOPS) == 1


def test_the_dialog_of_all_channels_is_a_single_tab_stop(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.locator("[data-lane='1x1'] .more").click()
    tiles = page.locator("dialog.all .tile")
    expect(tiles.first).to_be_visible()
    assert page.locator("dialog.all").evaluate(COUNT_TAB_STOPS) == 1
    tiles.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(1)).to_be_focused()
    expect(tiles.nth(1)).to_have_attribute("tabindex", "0")


def test_a_channel_chosen_by_key_in_the_dialog_takes_the_focus(visit: StageVisit) -> None:
    visit.open()
    page, dialog = visit.page, visit.page.locator("dialog.all")
    press(page.locator("[data-lane='1x1'] .more"))
    expect(dialog).to_be_visible()
    page.keyboard.press("Tab")
    press(dialog.locator(".tile").nth(1))
    expect(dialog).to_be_hidden()
    expect(page.locator(".lens-map")).to_be_focused()


@pytest.mark.parametrize("method", ["Escape", "button"])
def test_closing_the_lens_focuses_its_tile_and_unmarks_it(visit: StageVisit, method: str) -> None:
    visit.open()
    page = visit.page
    tile = page.locator("[data-lane='5x5'] [data-channel]").nth(1)
    press(tile)
    expect(tile).to_have_attribute("aria-pressed", "true")
    close = page.locator(".lens").get_by_role("button", name="Close")
    press(close, "Escape" if method == "Escape" else "Enter")
    expect(page.locator(".lens")).to_be_hidden()
    expect(tile).to_be_focused()
    expect(page.locator(".tile[aria-pressed=true]")).to_have_count(0)


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_arrow_keys_skip_buttons_hidden_on_a_phone(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    lesson = page.get_by_role("button", name="Lesson", exact=True)
    share = page.get_by_role("button", name="Share")
    expect(page.get_by_role("button", name="Compare")).to_be_hidden()
    lesson.focus()
    page.keyboard.press("ArrowRight")
    expect(share).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(lesson).to_be_focused()
    expect(lesson).to_have_attribute("tabindex", "0")


def test_a_channel_opened_by_key_takes_the_focus_and_announces_its_cells(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    tile = page.locator("[data-lane='5x5'] [data-channel]").nth(1)
    press(tile)
    cells = page.locator(".lens-map")
    value = page.locator(".lens-value")
    expect(cells).to_be_focused()
    expect(cells).to_have_attribute("aria-label", value.inner_text())
    before = value.inner_text()
    page.keyboard.press("ArrowDown" if "Row 0" in before else "ArrowUp")
    expect(value).not_to_have_text(before)
    expect(page.locator("#live")).to_have_text(value.inner_text())
    expect(cells).to_have_attribute("aria-label", value.inner_text())
    expect(cells).to_be_focused()
    page.keyboard.press("Escape")
    expect(tile).to_be_focused()


def test_a_channel_opened_by_pointer_leaves_the_focus_on_its_tile_and_its_map_off_the_photo(visit: StageVisit) -> None:
    visit.open()
    tile = visit.page.locator("[data-lane='5x5'] [data-channel]").nth(1)
    tile.click()
    expect(visit.page.locator(".lens")).to_be_visible()
    expect(visit.page.locator(".lens-map")).not_to_be_focused()
    visit.page.locator(".lens-map").click()
    visit.page.mouse.move(0, 0)
    visit.page.evaluate("document.querySelector('.lens-head button').click()")
    expect(tile).to_be_focused()
    overlay = visit.page.locator(".photo-frame canvas")
    expect(overlay).to_be_hidden()  # the map of a hovered tile
    visit.page.keyboard.press("ArrowLeft")
    expect(overlay).to_be_visible()
