"""The tabs of Go deeper, and the files that its views offer."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from benchmarks.browser import wait_until
from support.stage_visitor import StageVisit


def expect_tabs_at_the_top(page: Page) -> None:
    wait_until(page, "Math.abs(document.querySelector('.deeper').getBoundingClientRect().top - 8) < 2", timeout=10_000)


@pytest.mark.parametrize("name", ["census", "compare", "about"])
def test_a_tab_scrolls_its_view_into_the_window(visit: StageVisit, name: str) -> None:
    visit.open()
    page = visit.page
    page.locator(f"#deeper-tab-{name}").click()
    expect_tabs_at_the_top(page)
    expect(page.locator(f"#deeper-{name}")).to_be_in_viewport()


def test_the_header_scrolls_to_a_view_before_it_has_loaded(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.route("**/js/views/compare.js", lambda route: None)  # it never loads
    page.get_by_role("banner").get_by_role("button", name="Compare").click()
    expect_tabs_at_the_top(page)


def test_the_picture_of_all_maps_shows_them_as_the_page_does(visit: StageVisit, tmp_path: Path) -> None:
    off = [(block, branch) for block in ("4b", "4e", "5b") for branch in ("1x1", "3x3", "5x5", "pool")]
    visit.open("?photo=espresso&off=4b:1x1+3x3+5x5+pool,4e:1x1+3x3+5x5+pool,5b:1x1+3x3+5x5+pool&deeper=numbers")
    page = visit.page
    with page.expect_download(timeout=60_000) as download:
        page.locator("[data-keep=maps]").click()
    download.value.save_as(tmp_path / "maps.png")
    picture = np.asarray(Image.open(tmp_path / "maps.png").convert("RGB"), dtype=float)
    left, top, step, side = 64, 64, 124, 112
    branches = ("1x1", "3x3", "5x5", "pool")
    for column, block in enumerate(("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")):
        for row, branch in enumerate(branches):
            tile = picture[top + row * step :, left + column * step :][:side, :side]
            if (block, branch) in off:
                assert tile[0, 0].tolist() == [255, 255, 255]
                assert (tile[..., 0] - tile[..., 1] > 100).any(), "a red cross"
                continue
            canvas = page.locator(f".strip [data-block='{block}'] [data-branch='{branch}'] canvas")
            url = canvas.evaluate("canvas => canvas.toDataURL()")
            shown = np.asarray(
                Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"), dtype=int
            )
            cells = np.asarray(
                Image.fromarray(tile.astype(np.uint8)).resize(shown.shape[1::-1], Image.Resampling.NEAREST)
            )
            assert np.abs(cells.astype(int) - shown).max() <= 2, (block, branch)
    caption = picture[top + len(branches) * step :].min(axis=2) < 128
    written = caption.any(axis=1)
    assert (written[1:] > written[:-1]).sum() == 2, "the caption has two lines"
    assert not caption[:, -step // 8 :].any(), "which end before the edge"


def test_the_picture_of_a_block_is_large_and_leaves_out_a_branch_that_is_off(visit: StageVisit, tmp_path: Path) -> None:
    heights = []
    for off in ("", "&off=4c:3x3"):
        visit.open(f"?photo=espresso&block=4c&deeper=numbers{off}")
        with visit.page.expect_download(timeout=60_000) as download:
            visit.page.locator("[data-keep=sheet]").click()
        download.value.save_as(tmp_path / "block.png")
        with Image.open(tmp_path / "block.png") as picture:
            assert picture.width > 24 * 56
            heights.append(picture.height)
    assert heights[0] - heights[1] > 10 * 56  # 3x3 has eleven rows


def test_the_biases_are_the_same_number_in_two_views(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=evidence")
    page = visit.page
    biases = page.locator(".deeper-sum .deeper-bars li").filter(has_text="biases").locator(".number")
    number = biases.inner_text(timeout=30_000).replace(" ", "")
    page.locator("#deeper-tab-unit").click()
    page.get_by_role("button", name="Begin with the answer").click(timeout=30_000)
    constant = page.locator(".circuit-terms li").filter(has_text="from the biases").locator(".number")
    expect(page.locator(".circuit-path")).to_contain_text("logit")
    expect(constant).to_have_text(number)
    expect(page.locator(".circuit-terms .deeper-signed")).to_have_count(10)  # of the named channels


@pytest.mark.parametrize(("name", "photos"), [("cell", ["espresso", "bison"]), ("unit", ["espresso"])])
def test_a_view_of_a_channel_shows_the_first_tile_of_the_best_branch(
    visit: StageVisit, name: str, photos: list[str]
) -> None:
    visit.open()
    page = visit.page
    page.locator(f"#deeper-tab-{name}").click()
    title = page.locator(f"#deeper-{name} h3").first
    for photo in photos:
        page.get_by_role("button", name=f"Example: {photo}").click()
        expect(page.locator("[data-stage=answer] h2")).to_contain_text(photo)
        expect(page.locator("#block")).not_to_have_class(re.compile("no-votes|no-worth"))
        best = page.locator(".carried").inner_text().split()[0]
        lane = page.locator(f"[data-lane='{best.replace('×', 'x')}']")
        channel = lane.locator("[data-channel]").first.get_attribute("data-channel")
        expect(title).to_contain_text(f"channel {channel}", timeout=30_000)
        expect(title).to_contain_text(best)


def test_the_bars_of_the_dial_are_labelled_with_their_heights(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=dial")
    bars = visit.page.locator(".dial-bar")
    expect(bars).to_have_count(4, timeout=60_000)
    visit.page.set_viewport_size({"width": 390, "height": 844})
    for bar in bars.all():
        number, column = bar.locator("b").first.bounding_box(), bar.bounding_box()
        assert number is not None
        assert column is not None
        assert number["height"] < 30, "it stands on one line"
        assert number["width"] <= column["width"]
        height = bar.locator("i").evaluate("bar => parseFloat(bar.style.height)")
        expect(bar.locator("b").first).to_have_text(f"{round(height)} %")


def test_the_curves_of_the_dial_have_two_labelled_axes(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=dial")
    texts = visit.page.locator(".dial-curves text")
    expect(texts.filter(has_text="%")).to_have_text(["0 %", "50 %", "100 %"], timeout=60_000)
    expect(texts.filter(has_text="logarithmic scale")).to_have_count(1)


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_the_chart_of_the_dial_fits_the_window_after_a_rotation(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=dial")
    page, chart = visit.page, visit.page.locator(".dial-curves svg")
    expect(chart).to_have_attribute("viewBox", "0 0 300 230", timeout=60_000)
    mark = page.locator(".dial-now")
    for width, height, view in ((844, 390, "0 0 560 280"), (390, 844, "0 0 300 230")):
        page.set_viewport_size({"width": width, "height": height})
        expect(chart).to_have_attribute("viewBox", view)
        expect(mark).to_have_attribute("x1", re.compile(r"\d"))
        box = chart.bounding_box()
        assert box
        assert box["width"] <= width
        assert box["height"] <= height


@pytest.mark.parametrize("visit", [{"viewport": {"width": 320, "height": 700}}], indirect=True)
def test_choices_are_separate_buttons_where_they_need_several_rows(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=dial")
    page = visit.page
    expect(page.locator(".dial-bar")).to_have_count(4, timeout=60_000)
    buttons = page.locator("[data-dial-block]")
    tops = {button.bounding_box()["y"] for button in buttons.all()}  # type: ignore[index]
    assert len(tops) > 1
    borders = buttons.evaluate_all("all => all.map(button => getComputedStyle(button).borderTopWidth)")
    assert set(borders) == {"1px"}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("visit", [{}, {"forced_colors": "active"}], indirect=True, ids=["usual", "forced colours"])
def test_a_pressed_choice_looks_the_same_under_the_pointer(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=cell")
    pressed = visit.page.locator("#deeper-cell .deeper-choices [aria-pressed=true]").first
    colours = "button => [getComputedStyle(button).backgroundColor, getComputedStyle(button).color]"
    before = pressed.evaluate(colours)
    pressed.hover()
    assert pressed.evaluate(colours) == before


def test_the_kernel_view_shows_the_cell_of_the_lens_also_when_opened_again(visit: StageVisit) -> None:
    for first in (True, False):
        if first:
            visit.open("?photo=espresso&block=4c&deeper=cell&lens=5x5:3:2:1")
        else:
            visit.page.locator("[data-deeper=evidence]").click()
            visit.page.locator("[data-lane='1x1'] [data-channel]").first.click()
            visit.page.get_by_role("button", name="The kernel on real numbers").click()
        lens = re.search(r"lens=(\w+):(\d+):(\d+):(\d+)", visit.page.url)
        assert lens is not None
        expect(visit.page.locator("#deeper-cell [aria-pressed=true][data-branch]")).to_have_attribute(
            "data-branch", lens[1]
        )
        for name, number in zip(("channel", "row", "column"), lens.groups()[1:], strict=True):
            expect(visit.page.locator(f"[data-cell={name}]")).to_have_value(number)


def test_compare_waits_for_the_networks_and_photos_to_choose_from(visit: StageVisit) -> None:
    page = visit.page
    held_routes: list[Route] = []
    page.route("**/stage/first.json", lambda route: route.fulfill(json={"answers": []}))
    page.route("**/run/stage_start", lambda route: held_routes.append(route))
    page.goto(f"{visit.address}?photo=espresso&model=tiny-imagenet&deeper=compare")
    expect(page.locator("#deeper-compare .deeper-skeleton")).to_be_visible(timeout=30_000)
    expect(page.locator("#deeper-compare select")).to_have_count(0)
    for route in held_routes:
        route.continue_()
    expect(page.locator(".compare-side")).to_have_count(2, timeout=60_000)
    expect(page.locator("#deeper-compare h3").first).to_contain_text(re.compile(r"^Block \d\w, compared with"))
    photo = page.locator(".compare-choice select").nth(1)
    assert photo.input_value() != "", "with a single network, another photo is the default"


def test_the_guide_mentions_only_what_the_network_offers(visit: StageVisit) -> None:
    def offer_less(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["data"][0].update(threshold=None, rejection=None, has_means=False)
        route.fulfill(response=response, json=body)

    page, guide = visit.page, visit.page.locator("#deeper-about ul")
    visit.open("?photo=espresso&model=tiny-imagenet&deeper=about")
    expect(guide).to_contain_text("or its average over training photos")
    expect(guide).to_contain_text("“Not sure” means")
    expect(page.locator("#deeper-about dl")).not_to_contain_text("`")
    page.route("**/stage/first.json", lambda route: route.fulfill(json={"answers": []}))
    page.route("**/run/stage_network", offer_less)
    visit.open("?photo=espresso&model=tiny-imagenet&deeper=about")
    expect(guide).to_contain_text("A branch or channel that is off gives zeros. The rest")
    expect(guide).not_to_contain_text("Not sure")


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_the_lens_does_not_cover_a_view_opened_on_a_phone(visit: StageVisit) -> None:
    visit.open()
    visit.page.locator("[data-lane='1x1'] [data-channel]").first.click()
    lens = visit.page.locator(".lens")
    expect(lens).to_be_visible()
    visit.page.locator("[data-deeper=numbers]").evaluate("tab => tab.click()")
    expect(lens).to_be_hidden()
    # Views of one channel show that of the lens.
    visit.page.locator("[data-lane='5x5'] [data-channel]").first.click()
    expect(lens).to_be_visible()
    visit.page.locator("[data-deeper=unit]").evaluate("tab => tab.click()")
    expect(visit.page.locator("#deeper-unit")).to_contain_text("5×5")
