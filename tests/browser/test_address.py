"""The page's address and the browser's history."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.paths import EXAMPLES
from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser


@pytest.fixture
def stage(visit: StageVisit) -> StageVisit:
    """A visit to an address without parameters."""
    visit.open("")
    return visit


def expect_block(stage: StageVisit, block: str) -> None:
    expect(stage.page.locator(f"[data-block='{block}']")).to_have_attribute("aria-selected", "true")
    expect(stage.page.locator("[data-stage=block] h2").first).to_contain_text(block)


def test_choosing_a_block_adds_a_history_entry(stage: StageVisit) -> None:
    stage.unfold("3a")
    stage.unfold("5b")
    stage.page.go_back()
    expect_block(stage, "3a")
    stage.page.go_back()
    expect_block(stage, "4c")  # the default, which the address of a first visit does not name
    stage.page.go_forward()
    expect_block(stage, "3a")


def test_back_restores_the_initial_photo(stage: StageVisit) -> None:
    label = stage.page.locator(".photo-examples [aria-pressed=true]").get_attribute("aria-label")
    stage.page.locator(".photo-examples [aria-pressed=false]").first.click()
    expect(stage.page.locator(".photo-examples [aria-pressed=true]")).not_to_have_attribute("aria-label", str(label))
    stage.page.go_back()
    expect(stage.page.locator(".photo-examples [aria-pressed=true]")).to_have_attribute("aria-label", str(label))


def test_back_restores_the_sort_order_of_channels(stage: StageVisit) -> None:
    stage.unfold("3a")
    stage.page.locator(".block-tools select").first.select_option("mean")
    expect(stage.page).to_have_url(re.compile("sort=mean"))
    stage.page.go_back()
    expect(stage.page.locator(".block-tools select").first).to_have_value("worth")
    assert "sort=" not in stage.page.url


def test_back_closes_a_view_opened_in_the_header(stage: StageVisit) -> None:
    stage.page.get_by_role("button", name="Compare", exact=True).click()
    expect(stage.page.locator("#deeper-compare")).to_be_visible()
    stage.page.go_back()
    expect(stage.page.locator("#deeper-compare")).to_be_hidden()


def test_back_keeps_the_chosen_language(stage: StageVisit) -> None:
    stage.unfold("3a")
    stage.page.get_by_role("button", name="中文").click()
    expect(stage.page.locator("html")).to_have_attribute("lang", "zh-CN")
    stage.page.go_back()
    expect_block(stage, "4c")
    expect(stage.page.locator("html")).to_have_attribute("lang", "zh-CN")
    stage.page.get_by_role("button", name="EN", exact=True).click()
    expect(stage.page.locator("html")).to_have_attribute("lang", "en")


@pytest.mark.parametrize("visit", [{"locale": "zh-CN"}], indirect=True)
def test_english_chosen_in_a_chinese_browser_survives_a_reload(stage: StageVisit) -> None:
    stage.page.get_by_role("button", name="EN", exact=True).click()
    expect(stage.page).to_have_url(re.compile("lang=en"))
    stage.page.reload()
    stage.settle()
    expect(stage.page.locator("html")).to_have_attribute("lang", "en")


@pytest.mark.parametrize("visit", [{"locale": "zh-CN"}], indirect=True)
def test_a_language_in_the_address_stays_there(stage: StageVisit) -> None:
    stage.unfold("3a")
    assert "lang=" not in stage.page.url  # the browser's own language
    stage.open("?block=4c&lang=zh")
    stage.unfold("3a")
    expect(stage.page).to_have_url(re.compile("block=3a.*lang=zh"))


def test_without_its_words_the_page_uses_those_of_the_other_language_or_says_so(visit: StageVisit) -> None:
    visit.expects_rejections = True
    visit.page.route("**/words/en.json", lambda route: route.fulfill(status=404))
    visit.open("")
    expect(visit.page.locator("html")).to_have_attribute("lang", "zh-CN")
    visit.page.route("**/words/zh.json", lambda route: route.fulfill(status=404))
    visit.page.goto(visit.address)
    expect(visit.page.locator("#notice")).to_have_text(re.compile("could not be loaded.*未能加载"))


def test_a_cell_outside_the_block_is_ignored(stage: StageVisit) -> None:
    stage.open("?photo=bison&block=5b&lens=5x5:3:20:4")
    expect(stage.page.locator(".lens")).to_be_hidden()
    assert "NaN" not in stage.page.locator("body").inner_text()


def test_back_and_forward_restore_an_uploaded_photo(stage: StageVisit) -> None:
    picture = stage.page.locator("[data-stage=photo] img").first
    answer = stage.page.locator("[data-stage=answer] h2")
    stage.upload(EXAMPLES / "espresso.jpg")
    expect(answer).to_contain_text("espresso")
    stage.page.get_by_role("button", name="Example: bison").click()
    expect(answer).to_contain_text("bison")
    stage.page.go_back()
    expect(answer).to_contain_text("espresso")
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    stage.page.go_back()
    expect(answer).not_to_contain_text("espresso")
    stage.page.go_forward()
    expect(answer).to_contain_text("espresso")


def test_a_reload_keeps_an_uploaded_photo_and_a_link_to_it_shows_an_example_as_it_is(stage: StageVisit) -> None:
    page, answer = stage.page, stage.page.locator("[data-stage=answer] h2")
    picture, whole = page.locator("[data-stage=photo] img").first, page.get_by_role("button", name="Whole", exact=True)
    initial_answer = stage.headline
    stage.upload(EXAMPLES / "espresso.jpg")
    expect(answer).to_contain_text("espresso")
    whole.click()
    page.locator("[data-stage=answer] .rows button").nth(1).click()
    page.locator("[data-lane='1x1'] .tile").first.click()
    expect(page).to_have_url(re.compile("crop=.*class=.*lens="))
    link = page.url
    page.reload()
    stage.settle()
    expect(picture).to_have_attribute("src", re.compile("file=.*espresso"))
    expect(whole).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".lens")).to_be_visible()
    assert page.url == link

    def expect_initial() -> None:
        expect(picture).to_have_attribute("src", re.compile("/examples/"))
        assert stage.headline == initial_answer
        expect(whole).to_have_attribute("aria-pressed", "false")
        expect(page.locator("[data-stage=answer] .rows button").first).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".lens")).to_be_hidden()
        expect(page.locator("#notice")).to_be_hidden()

    page.evaluate("history.replaceState({ photo: '/deleted.jpg' }, '')")
    stage.expects_rejections = True
    page.reload()
    stage.settle()
    expect_initial()
    page.goto("about:blank")
    page.goto(link)
    stage.settle()
    expect_initial()
    stage.open("?unit=tiny-imagenet/4c/3x3/17")
    expect(page.locator("#deeper-unit h3").first).to_have_text("Block 4c, 3×3, channel 17")


def test_sharing_moves_nothing_and_says_what_the_link_leaves_out(stage: StageVisit) -> None:
    page = stage.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    share = page.get_by_role("button", name="Share")
    status = page.locator("header [role=status]")
    before = share.bounding_box()
    share.click()
    expect(status).to_have_text("Link to this view copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert share.bounding_box() == before
    expect(status).to_be_empty()
    stage.upload(EXAMPLES / "espresso.jpg")
    expect(page.locator("[data-stage=answer] h2")).to_contain_text("espresso")
    share.click()
    expect(status).to_have_text("Link copied, without your photo")
    for lab, text in (("disc", "Link to this view copied"), ("pen", "Link copied, without your drawing")):
        stage.open(f"?lab={lab}:20:0:0")
        expect(page.locator("#lab")).to_be_visible()
        share.click()
        expect(status).to_have_text(text)


def test_a_rejected_photo_adds_no_history_entry(stage: StageVisit, tmp_path: Path) -> None:
    invalid = tmp_path / "bad.jpg"
    invalid.write_bytes(b"no picture")
    stage.expects_rejections = True
    stage.unfold("3a")
    entry_count = stage.page.evaluate("history.length")
    stage.upload(invalid)
    expect(stage.page.locator("#notice")).to_be_visible()
    expect(stage.page).to_have_url(re.compile("photo="))
    stage.unfold("5b")
    assert stage.page.evaluate("history.length") == entry_count + 1
    stage.page.go_back()
    expect_block(stage, "3a")
    stage.page.go_back()
    expect_block(stage, "4c")
