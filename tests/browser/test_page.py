"""The page in a real Chromium that can reach nothing but the page's own server."""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub.constants
import pytest
from PIL import Image
from playwright.sync_api import expect

from support.paths import EXAMPLES
from support.photos import HOPPER
from support.visitor import Visit

pytestmark = pytest.mark.browser


def test_a_photo_gets_its_answer_and_another_block_other_maps(visit: Visit) -> None:
    visit.upload(HOPPER)
    visit.panels_of("Block 3a")
    answer = visit.page.locator("#il-answer")
    expect(answer).to_contain_text("academic gown")
    expect(answer.locator("[data-testid$=confidence-set], .confidence-set")).to_have_count(5)
    shown = [visit.pictures()]
    for block, channels in (("4c", [128, 256, 64, 64]), ("5b", [384, 384, 128, 128])):
        visit.choose("block", block)
        visit.panels_of(f"Block {block}")
        headings = visit.page.locator(".il-panel h3").all_inner_texts()
        assert [f"{n} channels" in heading for n, heading in zip(channels, headings, strict=True)] == [True] * 4
        shown.append(visit.pictures())
    for before, after in ((0, 1), (1, 2), (0, 2)):
        assert all(a != b for a, b in zip(shown[before], shown[after], strict=True))


def test_a_block_chosen_while_the_network_looks_is_the_one_that_is_shown(visit: Visit) -> None:
    visit.upload(HOPPER)
    visit.choose("block", "4c")
    visit.panels_of("Block 4c")
    visit.come_near()
    expect(visit.page.locator("#il-votes")).to_contain_text("Votes of block 4c", timeout=20_000)
    visit.page.wait_for_timeout(1500)  # for a late answer to come, if there is one
    expect(visit.page.locator(".il-block")).to_have_attribute("aria-label", "Block 4c")
    expect(visit.page.locator("#il-map .il-here")).to_have_attribute("data-node", "4c")


def test_view_scale_and_colours_change_the_pictures_of_the_same_photo(visit: Visit) -> None:
    visit.upload(HOPPER)
    visit.panels_of("Block 3a")
    before = visit.pictures()
    for group, choice, legend in (
        ("scale", "each channel", "Each channel has its own scale"),
        ("view", "mean on photo", "Each branch has its own scale"),
        ("scale", "shared by all four", "One scale for all four"),
    ):
        visit.choose(group, choice)
        expect(visit.page.locator(".il-legend")).to_contain_text(legend)
        after = visit.pictures()
        assert after != before
        before = after
    visit.page.locator("#il-colours input").click()
    visit.page.get_by_role("option", name="viridis").click()
    expect(visit.page.locator(".il-panel img").first).not_to_have_attribute("src", before[0])


def test_an_example_is_a_click_away(visit: Visit) -> None:
    visit.page.locator("#il-examples button, #il-examples [role=button]").nth(1).click()
    visit.panels_of("Block 3a")
    expect(visit.page.locator("#il-answer")).to_contain_text("espresso")


def test_the_camera_gives_a_photo(visit: Visit) -> None:
    photo = visit.page.locator("#il-photo")
    photo.get_by_label("Capture from camera").click()
    photo.get_by_title("grant webcam access").click()
    visit.page.wait_for_function("document.querySelector('#il-photo video')?.readyState >= 3")
    photo.get_by_label("capture photo").click()
    visit.panels_of("Block 3a")


@pytest.mark.parametrize("visit", [{"permissions": ["clipboard-read", "clipboard-write"]}], indirect=True)
def test_a_photo_can_be_pasted(visit: Visit) -> None:
    visit.page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement('canvas'), {width: 300, height: 200});
            canvas.getContext('2d').fillRect(40, 40, 99, 99);
            const png = await new Promise(done => canvas.toBlob(done, 'image/png'));
            await navigator.clipboard.write([new ClipboardItem({'image/png': png})]);
        }"""
    )
    visit.page.locator("#il-photo").get_by_label("Paste from clipboard").click()
    visit.panels_of("Block 3a")


def test_fewer_classes_are_shown_on_request(visit: Visit) -> None:
    visit.upload(EXAMPLES / "macaw.jpg")
    visit.panels_of("Block 3a")
    number = visit.page.locator("#il-top-k input[type=number]")
    number.fill("3")
    number.press("Enter")
    expect(visit.page.locator("#il-answer .confidence-set")).to_have_count(3)


@pytest.mark.parametrize("visit", [{"locale": "zh-CN"}], indirect=True)
def test_a_chinese_browser_gets_chinese_and_a_switch_to_english(visit: Visit) -> None:
    expect(visit.page.locator("#il-header")).to_contain_text("每条分支")
    visit.upload(EXAMPLES / "red_panda.jpg")
    visit.panels_of("模块 3a")
    expect(visit.page.locator(".il-panel h3").nth(3)).to_contain_text("池化")
    visit.choose("language", "English")
    visit.panels_of("Block 3a")
    expect(visit.page.locator("#il-header")).to_contain_text("What does each branch")
    visit.come_near()
    expect(visit.page.locator("#il-votes")).to_contain_text("Votes of block 3a", timeout=20_000)
    # The rest of the page is Gradio's own footer, which follows the browser.
    text = " ".join(visit.page.locator("[id^=il-]:visible").all_inner_texts())
    assert "a cell sees" in text
    assert "__i18n__" not in text
    assert not re.findall(r"[\u4e00-\u9fff]", text.replace("中文", ""))


def test_a_bad_photo_is_refused_in_a_sentence_and_the_next_good_one_works(visit: Visit, tmp_path: Path) -> None:
    bad = tmp_path / "holiday.jpg"
    bad.write_bytes(b"this is no photo")
    visit.upload(bad)
    alarm = visit.page.locator("#il-alarm [role=alert]")
    expect(alarm).to_contain_text("not a picture that can be read", timeout=15_000)
    assert str(tmp_path) not in visit.page.locator("body").inner_text()
    expect(visit.page.locator("#il-photo img")).to_have_count(0)
    visit.upload(EXAMPLES / "espresso.jpg")
    visit.panels_of("Block 3a")
    expect(alarm).to_have_count(0)


def test_weights_that_cannot_be_had_leave_the_page_as_it_is(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    visit.upload(EXAMPLES / "espresso.jpg")
    visit.panels_of("Block 3a")
    visit.page.locator("#il-model input").click()
    visit.page.get_by_role("option", name="GoogLeNet of 2014").click()
    expect(visit.page.locator("#il-alarm")).to_contain_text("could not be fetched", timeout=60_000)
    expect(visit.page.locator("#il-model input")).to_have_value(re.compile("Embedded"))
    expect(visit.page.locator("#il-answer")).to_contain_text("espresso")
    visit.choose("block", "4a")
    visit.panels_of("Block 4a")


def test_a_kind_of_photo_that_browsers_cannot_show_is_shown_all_the_same(visit: Visit, tmp_path: Path) -> None:
    with Image.open(EXAMPLES / "espresso.jpg") as photo:
        photo.save(tmp_path / "espresso.tiff")
    visit.upload(tmp_path / "espresso.tiff")
    visit.panels_of("Block 3a")
    expect(visit.page.locator("#il-answer")).to_contain_text("espresso")
    visit.page.wait_for_function("document.querySelector('#il-photo img')?.naturalWidth > 0")


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_need_not_scroll_sideways(visit: Visit) -> None:
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    widths = [box["width"] for panel in visit.page.locator(".il-panel").all() if (box := panel.bounding_box())]
    assert len(widths) == 4
    assert min(widths) > 280, "one panel below the other"


def test_every_picture_says_in_words_what_it_shows(visit: Visit) -> None:
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a")
    alts = [img.get_attribute("alt") for img in visit.page.locator(".il-panel > img").all()]
    assert alts[0] == "All 64 channels of the 1×1 branch of block 3a"
    assert len(set(alts)) == 4


def test_a_block_is_chosen_in_the_drawn_network_and_by_keyboard(visit: Visit) -> None:
    page = visit.page
    visit.upload(HOPPER)
    visit.panels_of("Block 3a")
    expect(page.locator("#il-map image").first).to_be_attached()  # the photo's own maps
    page.locator('#il-map [data-block="4d"][data-branch="5x5"]').click()
    visit.panels_of("Block 4d")
    expect(page.locator("#il-block input:checked")).to_have_value("4d")
    expect(page.locator("#il-panels")).to_have_attribute("data-branch", "5x5")
    # The other way round: the drawing follows the selector.
    visit.choose("block", "5b")
    visit.panels_of("Block 5b")
    expect(page.locator("#il-map .il-here")).to_have_attribute("data-node", "5b")
    expect(page.locator('#il-map [aria-pressed="true"]')).to_have_attribute("data-block", "5b")
    button = page.get_by_role("button", name=re.compile("^Block 3b"))
    button.focus()
    page.keyboard.press("Enter")
    visit.panels_of("Block 3b")
    page.keyboard.press("Tab")  # to its first branch
    assert page.evaluate("document.activeElement.dataset.branch") == "1x1"
    page.keyboard.press("Space")
    expect(page.locator("#il-panels")).to_have_attribute("data-branch", "1x1")


def test_a_click_on_a_channel_enlarges_it_with_its_numbers(visit: Visit) -> None:
    visit.upload(HOPPER)
    visit.panels_of("Block 3a")
    visit.choose("block", "4c")
    visit.panels_of("Block 4c")
    picture = visit.page.locator('.il-panel[data-branch="5x5"] > img')
    box = picture.bounding_box()
    assert box is not None
    # 64 channels in six rows of twelve: the third tile of the second row.
    picture.click(position={"x": box["width"] * 2.5 / 12, "y": box["height"] * 1.5 / 6})
    lens = visit.page.locator(".il-lens")
    expect(lens).to_contain_text("Channel 14 of the 5×5 branch, block 4c")
    expect(lens).to_contain_text("number 398 of the block's 512 channels")
    expect(lens).to_be_in_viewport()
    lens.get_by_role("link").click()
    expect(visit.page.locator("#il-cell-channel input")).to_have_value("14")
    expect(visit.page.locator("#il-cell")).to_contain_text("5×5", timeout=15_000)
    visit.choose("block", "4d")
    expect(lens).to_have_count(0)


@pytest.mark.parametrize("visit", [{"viewport": {"width": 1920, "height": 1000}}], indirect=True)
def test_on_a_wide_screen_the_page_is_in_the_middle(visit: Visit) -> None:
    box = visit.page.locator("main.contain").bounding_box()
    width = visit.page.evaluate("document.documentElement.clientWidth")
    assert box
    assert box["width"] < width
    assert box["x"] == pytest.approx(width - box["x"] - box["width"], abs=2)
