""" "Why this answer?" in a real Chromium: switches, clicks into maps, tabs, classes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from inception import load, open_photo, predict
from inception.explain.ablation import ablate
from inception.explain.shapley import branch_votes
from support.paths import EXAMPLES
from support.visitor import Visit

pytestmark = pytest.mark.browser

BISON = EXAMPLES / "bison.jpg"


@pytest.fixture
def bison(visit: Visit) -> Visit:
    """A visitor who has uploaded a photo, chosen block 4c, and scrolled down to the explanations."""
    visit.upload(BISON)
    visit.panels_of("Block 3a")
    visit.choose("block", "4c")
    visit.panels_of("Block 4c")
    visit.come_near()
    return visit


def tab(visit: Visit, name: str) -> None:
    visit.page.get_by_role("tab", name=name, exact=True).click()


def click_cell(picture: Locator, across: float, down: float) -> None:
    box = picture.bounding_box()
    assert box is not None
    picture.click(position={"x": box["width"] * across, "y": box["height"] * down})


def test_nothing_is_explained_before_somebody_comes_near(visit: Visit) -> None:
    visit.upload(BISON)
    visit.panels_of("Block 3a")
    expect(visit.page.locator("#il-switched")).to_contain_text("block 3a")  # told in the same answer
    expect(visit.page.locator("#il-votes")).to_have_text("")
    visit.come_near()
    expect(visit.page.locator("#il-votes")).to_contain_text("block 3a", timeout=15_000)


def test_votes_of_the_chosen_block_add_up_on_the_page(bison: Visit) -> None:
    told = branch_votes(load(), predict(load(), open_photo(BISON)), "4c")
    shown = bison.page.locator("#il-votes")
    expect(shown).to_contain_text("4c", timeout=15_000)
    for vote in told.votes.values():
        expect(shown).to_contain_text(f"{abs(vote):.2f}")
    expect(shown).to_contain_text(f"{told.logit:.2f}")
    bison.choose("block", "5a")
    later = branch_votes(load(), predict(load(), open_photo(BISON)), "5a")
    expect(shown).to_contain_text(f"{abs(later.votes['3x3']):.2f}")


def test_another_class_is_found_by_typing_and_explained(bison: Visit) -> None:
    bison.page.locator("#il-class input").fill("goldf")
    bison.page.get_by_role("option", name=re.compile("goldfish")).click()
    expect(bison.page.locator("#il-votes")).to_contain_text("goldfish")


def test_branches_are_switched_off_and_one_press_puts_them_back(bison: Visit) -> None:
    expected = ablate(load(), predict(load(), open_photo(BISON)), "4c", ["1x1", "pool"])
    result = bison.page.locator("#il-switched")
    expect(result).to_contain_text("Everything in block 4c is on", timeout=15_000)
    for branch in ("1×1", "pool"):
        bison.page.locator("#il-switch").get_by_label(branch).uncheck()
    expect(result).to_contain_text(f"{100 * expected.top[0].probability:.1f}")
    bison.page.locator("#il-all-on").click()
    expect(result).to_contain_text("Everything in block 4c is on")
    for branch in ("1×1", "3×3", "5×5", "pool"):
        expect(bison.page.locator("#il-switch").get_by_label(branch)).to_be_checked()


def test_a_click_into_a_map_opens_its_cell_and_its_channel_can_be_switched_off(bison: Visit) -> None:
    picture = bison.page.locator(".il-block .il-panel[data-branch='3x3'] > img")
    click_cell(picture, 0.5 / 12, 0.5 / 22)  # 256 channels: 22 rows of twelve
    expect(bison.page.get_by_role("tab", name="One cell")).to_have_attribute("aria-selected", "true")
    fields = [bison.page.locator(f"#il-cell-{part} input").first for part in ("channel", "row", "column")]
    expect(fields[0]).to_have_value("0")
    side = predict(load(), open_photo(BISON)).block("4c").shape[1]
    assert {field.input_value() for field in fields[1:]} <= {str(side // 2 - 1), str(side // 2)}
    expect(bison.page.locator("#il-cell img").first).to_be_visible()
    expect(bison.page.locator("#il-cell-branch").get_by_label("3×3")).to_be_checked()
    bison.page.locator("#il-cell-switch").click()
    for where in ("#il-cell-switched", "#il-switched"):
        expect(bison.page.locator(where)).to_contain_text("3×3")
        expect(bison.page.locator(where)).to_contain_text("0")
    bison.page.locator("#il-all-on").click()
    expect(bison.page.locator("#il-cell-switched")).to_have_text("")


def test_a_cell_can_be_chosen_without_a_mouse_and_a_wrong_one_is_told(bison: Visit) -> None:
    tab(bison, "One cell")
    expect(bison.page.locator("#il-cell img").first).to_be_visible()
    row = bison.page.locator("#il-cell-row input").first
    row.fill("77")
    row.press("Tab")
    expect(bison.page.locator("#il-cell [role=alert]")).to_contain_text("There is no cell at row 77")
    row.fill("1")
    row.press("Tab")
    expect(bison.page.locator("#il-cell [role=alert]")).to_have_count(0)
    expect(bison.page.locator("#il-cell img").first).to_be_visible()


def test_the_table_of_the_whole_network_is_the_way_to_a_block(bison: Visit) -> None:
    tab(bison, "Whole network")
    cells = bison.page.locator("#il-network button[data-block]")
    expect(cells).to_have_count(36)
    bison.page.locator("#il-network button[data-block='5b'][data-branch='3x3']").press("Enter")
    bison.panels_of("Block 5b")
    expect(bison.page.locator("#il-block input[value='5b']")).to_be_checked()


def test_evidence_grad_cam_and_bottleneck_open_with_their_pictures(bison: Visit) -> None:
    for name, place in (("Evidence", "#il-evidence"), ("Grad-CAM", "#il-cam"), ("Bottleneck", "#il-bottleneck")):
        tab(bison, name)
        expect(bison.page.locator(f"{place} img").nth(2)).to_be_visible(timeout=15_000)
        expect(bison.page.locator(f"{place} [role=alert]")).to_have_count(0)
    bison.page.locator("#il-calc-reduced input").fill("16")
    bison.page.locator("#il-calc-reduced input").press("Tab")
    # 1x1x128x16 + 3x3x16x256
    expect(bison.page.locator("#il-worked")).to_contain_text("38,912")


def test_grad_cam_can_show_only_what_speaks_for_the_class(bison: Visit) -> None:
    tab(bison, "Grad-CAM")
    picture = bison.page.locator("#il-cam img:not([alt=''])").first
    expect(picture).to_be_visible()
    signed = picture.get_attribute("src") or ""
    bison.page.locator("#il-rectified input").check()
    expect(picture).not_to_have_attribute("src", signed)


def test_another_photo_closes_nothing_and_explains_itself(bison: Visit) -> None:
    tab(bison, "Evidence")
    first = bison.page.locator("#il-evidence img:not([alt=''])").first
    expect(first).to_be_visible()
    before = first.get_attribute("src") or ""
    bison.page.locator("#il-switch").get_by_label("3×3").uncheck()
    bison.page.get_by_label("Remove Image").click()
    bison.upload(EXAMPLES / "red_panda.jpg")
    expect(bison.page.locator("#il-evidence")).to_contain_text("lesser panda", timeout=15_000)
    expect(first).not_to_have_attribute("src", before)
    expect(bison.page.locator("#il-switch").get_by_label("3×3")).to_be_checked()


@pytest.mark.parametrize("visit", [{"locale": "zh-CN", "viewport": {"width": 390, "height": 844}}], indirect=True)
def test_explanations_are_chinese_too_and_fit_a_phone(visit: Visit) -> None:
    visit.upload(BISON)
    visit.panels_of("模块 3a")
    visit.come_near()
    expect(visit.page.locator("#il-votes")).to_contain_text("分支", timeout=15_000)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    # Latin letters stay in names of classes, branches, people and units only: no whole English sentence.
    text = visit.page.locator("#il-votes").inner_text()
    assert not re.search(r"(?:[a-z]+ ){5}", text)
    assert "{" not in text


def test_what_is_switched_before_anybody_came_near_stays_switched_and_is_on_again_for_the_next_photo(
    visit: Visit,
) -> None:
    page = visit.page
    page.set_viewport_size({"width": 1440, "height": 500})
    for name in ("bison.jpg", "espresso.jpg"):
        visit.upload(EXAMPLES / name)
        expect(page.locator("#il-answer")).to_contain_text(name.removesuffix(".jpg"))
        boxes = page.locator("#il-switch input")
        expect(page.locator("#il-switch input:checked")).to_have_count(4)
        boxes.nth(1).uncheck()
        expect(page.locator("#il-switched")).to_contain_text("3×3", timeout=20_000)
        expect(boxes.nth(1)).not_to_be_checked()
