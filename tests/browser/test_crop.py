"""The crop, dragged as a square on the photo."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from inception.pretrained.pretrained import PretrainedModel
from inception.vision.photo import open_photo
from inception.vision.preprocessing import CENTRE_CROP, WHOLE_PHOTO
from support.paths import EXAMPLES
from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser

STEP_MILLISECONDS = 60
GREY_OF_TILES = 0.9  # brightness of the photo under the maps


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


def scene_request_count(visit: StageVisit) -> int:
    return len([url for url in visit.requests if "stage_scene" in url])


def transparent_png() -> bytes:
    """Return a wide picture of a red disc that is transparent around it."""
    image = Image.new("RGBA", (300, 200))
    ImageDraw.Draw(image).ellipse((90, 40, 210, 160), fill=(200, 30, 30, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def difference_from_tile(visit: StageVisit, expected: np.ndarray) -> float:
    """Return the mean difference of grey values between a picture and the first tile of the branch 1x1."""
    pixels, side = visit.page.evaluate(
        """() => {
          const { width, height } = document.querySelector("[data-lane='1x1'] .tile canvas");
          const context = document.querySelector("[data-lane='1x1'] .tile canvas").getContext("2d");
          return [[...context.getImageData(0, 0, width, height).data].filter((_, i) => i % 4 === 0), width];
        }"""
    )
    resized = Image.fromarray(expected).resize((side, side), Image.Resampling.BOX)
    return float(np.abs(np.array(pixels).reshape(side, side) - np.asarray(resized, dtype=float)).mean())


def test_tiles_show_transparency_and_margins_as_the_network_receives_them(
    visit: StageVisit, tmp_path: Path, embedded: PretrainedModel
) -> None:
    png = transparent_png()
    (tmp_path / "disc.png").write_bytes(png)
    visit.open()
    visit.upload(tmp_path / "disc.png")
    expect(visit.page.locator(".photo-frame > img")).to_have_attribute("src", re.compile("^blob:"))
    visit.settle()
    visit.switch("1x1")  # the maps of a branch that is off are zero, so that its tiles show the photo alone
    preprocessing = embedded.preprocessing
    for crop in (CENTRE_CROP, WHOLE_PHOTO):
        if crop.whole:
            visit.page.get_by_role("button", name="Whole", exact=True).click()
        received = np.asarray(preprocessing.apply(open_photo(png), crop).convert("L"), dtype=np.float32) * GREY_OF_TILES
        for _ in range(100):
            difference = difference_from_tile(visit, received.astype(np.uint8))
            if difference < 2:
                break
            visit.page.wait_for_timeout(100)
        assert difference < 2
    margin = f"rgb{preprocessing.margin_colour}"
    expect(visit.page.locator(".photo-frame")).to_have_css("background-color", margin)
    expect(visit.page.locator(".photo-frame > img")).to_have_css("background-color", "rgb(255, 255, 255)")
    photo, frame = (visit.page.locator(selector).bounding_box() for selector in (".photo-frame > img", ".photo-frame"))
    assert photo
    assert frame
    assert photo["height"] == pytest.approx(frame["height"] * 2 / 3, abs=1)


def test_the_answer_is_updated_while_the_square_is_dragged(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=cost")
    visit.page.locator(".photo-crop").scroll_into_view_if_needed()
    box, requests_before = visit.page.locator(".photo-crop").bounding_box(), scene_request_count(visit)
    assert box
    drag(visit, [-2 * step for step in range(12)])
    visit.wait_until_idle()  # the scene of the last position is on the stage before the square is dropped
    with visit.page.expect_request("**/run/stage_bottleneck") as request:
        visit.page.mouse.up()
    assert request.value.post_data_json["data"][0]["crop"], "views below the stage follow, too"
    expect(visit.page).to_have_url(re.compile("crop="))
    assert scene_request_count(visit) - requests_before >= 3
    moved = visit.page.locator(".photo-crop").bounding_box()
    assert moved
    assert moved["x"] < box["x"] - 5


def test_numbers_of_an_earlier_crop_are_hidden_while_the_square_moves(visit: StageVisit) -> None:
    visit.open()
    drag(visit, [-2 * step for step in range(12)])
    for part in (".worth", ".tile b"):
        expect(visit.page.locator(f"[data-lane='1x1'] {part}").first).to_have_css("opacity", "0")
    visit.page.mouse.up()
    for part in (".worth", ".tile b"):
        expect(visit.page.locator(f"[data-lane='1x1'] {part}").first).to_have_css("opacity", "1")


def test_dragging_the_square_back_restores_the_answer(visit: StageVisit) -> None:
    visit.open()
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
    visit.open()
    visit.switch("3x3")
    was = visit.page.locator("[data-stage=answer] .was").first
    expect(was).to_be_visible()
    drag(visit, [-2 * step for step in range(12)])
    changed_blocks = visit.page.evaluate("document.querySelectorAll('[data-block].changed').length")
    assert changed_blocks > 0  # later blocks differ from the run with everything on
    visit.page.mouse.up()
    expect(was).to_be_visible()


def test_the_right_button_does_not_move_the_square(visit: StageVisit) -> None:
    visit.open()
    box = visit.page.locator(".photo-crop").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visit.page.mouse.move(x, y)
    visit.page.mouse.down(button="right")
    visit.page.mouse.move(x - 20, y, steps=4)
    visit.page.mouse.up(button="right")
    assert visit.page.locator(".photo-crop").bounding_box() == box
    assert "crop=" not in visit.page.url


@pytest.mark.parametrize("visit", [{"has_touch": True}], indirect=True)
def test_a_second_finger_does_not_move_the_square(visit: StageVisit) -> None:
    visit.open()
    crop = visit.page.locator(".photo-crop")
    box = crop.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = visit.page.context.new_cdp_session(visit.page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touch_points = [{"x": left, "y": top, "id": number} for number, (left, top) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touch_points})
        visit.page.wait_for_timeout(STEP_MILLISECONDS)

    touch("touchStart", (x, y))
    touch("touchMove", (x - 5, y))
    touch("touchMove", (x - 10, y))
    with_one_finger = crop.bounding_box()
    assert with_one_finger
    assert with_one_finger["x"] < box["x"] - 2
    touch("touchStart", (x - 10, y), (x + 20, y + 20))
    touch("touchMove", (x - 10, y), (x + 45, y + 30))
    with_two_fingers = crop.bounding_box()
    assert with_two_fingers
    assert with_two_fingers["x"] == pytest.approx(with_one_finger["x"], abs=1)
    touch("touchMove", (x - 10, y))  # the second finger is lifted
    touch("touchMove", (x - 14, y))
    moved_on = crop.bounding_box()
    assert moved_on
    assert moved_on["x"] < with_one_finger["x"] - 1
    touch("touchEnd")
    expect(visit.page).to_have_url(re.compile("crop="))


def test_a_crop_of_the_whole_photo_cannot_be_moved(visit: StageVisit) -> None:
    visit.open()
    visit.page.get_by_role("button", name="Whole", exact=True).click()
    expect(visit.page).to_have_url(re.compile("crop="))
    visit.settle()
    crop = visit.page.locator(".photo-crop")
    visit.wait_until_idle()
    box, address = crop.bounding_box(), visit.page.url
    assert box
    crop.press("ArrowRight")
    crop.press("ArrowDown")
    drag(visit, [-10, -20])
    visit.page.mouse.up()
    visit.page.wait_for_timeout(500)
    assert crop.bounding_box() == box
    assert visit.page.url == address


def test_the_whole_of_a_square_photo_is_chosen_and_left_again(visit: StageVisit, tmp_path: Path) -> None:
    visit.open()
    square = tmp_path / "square.png"
    with Image.open(EXAMPLES / "bison.jpg") as photo:
        photo.resize((300, 300)).save(square)
    visit.upload(square)
    expect(visit.page.locator("[data-stage=photo] img").first).to_have_attribute("src", re.compile("^blob:"))
    visit.settle()
    whole = visit.page.get_by_role("button", name="Whole", exact=True)
    for pressed in ("true", "false"):
        whole.click()
        expect(whole).to_have_attribute("aria-pressed", pressed)
        visit.wait_until_idle()
        expect(whole).to_have_attribute("aria-pressed", pressed)


def test_a_crop_outside_the_photo_is_drawn_where_it_was_clamped(visit: StageVisit) -> None:
    visit.open("?photo=espresso&crop=9:9:1")
    visit.page.wait_for_load_state("networkidle")
    frame, box = (visit.page.locator(selector).bounding_box() for selector in (".photo-frame", ".photo-crop"))
    assert frame
    assert box
    assert box["x"] >= frame["x"] - 1
    assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
    assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 1
