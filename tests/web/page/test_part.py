"""Which part of a photo the network sees: the square moved, or all of it with margins."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.service.snapshot import SIDE, snapshot_of
from inception.vision.photo import open_photo
from inception.vision.preprocessing import (
    CAFFE,
    CENTRE_CROP,
    TINY_IMAGENET,
    TORCHVISION,
    WHOLE_PHOTO,
    Crop,
    Preprocessing,
)
from inception.web.crop_words import crop_of_photo, parse_crop
from inception.web.panels.part import part_html
from inception.web.sections.compare import CompareSection
from support.paths import EXAMPLES
from support.visitor import Visit

BISON = EXAMPLES / "bison.jpg"


def stripes(width: int, height: int) -> Image.Image:
    """Each column, or where it is higher than wide each row, has its own number as its colour."""
    ramp = np.linspace(0, 255, max(width, height)).astype(np.uint8)
    plane = np.tile(ramp, (height, 1)) if width > height else np.tile(ramp[:, None], (1, width))
    return Image.fromarray(np.stack([plane] * 3, axis=-1))


@pytest.mark.parametrize(
    ("frame", "box"),
    [
        (CENTRE_CROP, (50, 0, 150, 100)),
        (Crop(0, 0.5), (0, 0, 100, 100)),
        (Crop(1, 0), (100, 0, 200, 100)),
        (Crop(0.25, 1), (25, 0, 125, 100)),
        (WHOLE_PHOTO, (0, -50, 200, 150)),
    ],
)
def test_the_square_lies_where_the_frame_says(frame: Crop, box: tuple[float, ...]) -> None:
    assert TINY_IMAGENET.crop_box(200, 100, frame) == box
    assert TINY_IMAGENET.crop_box(100, 200, Crop(frame.down, frame.across, frame.whole)) == tuple(
        box[number] for number in (1, 0, 3, 2)
    )


def test_a_square_that_is_smaller_than_the_photo_moves_both_ways() -> None:
    assert CAFFE.crop_box(256, 256, Crop(0, 1)) == (0, 32, 224, 256)


@pytest.mark.parametrize("wrong", [{"across": -0.1}, {"down": 1.1}, {"across": float("nan")}])
def test_a_frame_beyond_the_photo_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Crop(**wrong)


@pytest.mark.parametrize("how", [CAFFE, TORCHVISION, TINY_IMAGENET])
@pytest.mark.parametrize("size", [(200, 100), (100, 200)])
def test_the_whole_photo_is_there_undistorted_and_its_margins_say_nothing(
    how: Preprocessing, size: tuple[int, int]
) -> None:
    seen = how.apply(stripes(*size), WHOLE_PHOTO)
    assert seen.size == (how.size, how.size)
    x = how.to_tensor(seen)[0]
    middle = how.size // 2
    margin = x[:, 2, middle] if size[0] > size[1] else x[:, middle, 2]
    step = 0.5 / (how.divisor * min(how.std))  # what rounding to whole samples may leave
    assert margin.abs().max() <= step * 1.01
    line = np.asarray(seen)[middle, :, 0] if size[0] > size[1] else np.asarray(seen)[:, middle, 0]
    assert line[1] < 10, "both ends of the photo are seen"
    assert line[-2] > 245


def test_the_whole_of_a_photo_three_pixels_wide_is_a_line() -> None:
    seen = np.asarray(CAFFE.apply(stripes(3, 3000), WHOLE_PHOTO))
    assert seen.shape == (224, 224, 3)
    assert (seen == CAFFE.margin_colour).all(axis=2).sum() == 224 * 223


def test_python_sees_the_part_that_it_asks_for(embedded: PretrainedModel) -> None:
    photo = open_photo(BISON)
    left = predict(embedded, photo, crop=Crop(0, 0.5))
    side = min(photo.size)
    by_hand = predict(embedded, photo.crop((0, 0, side, photo.height)))
    # Bicubic resizing of a part looks a pixel or two beyond its edge, where a file that was cut has none.
    assert np.allclose(left.logits, by_hand.logits, atol=0.02)
    assert not np.allclose(left.logits, predict(embedded, photo).logits, atol=0.1)


@pytest.mark.parametrize(
    ("words", "crop"), [("0.25 0.5", Crop(0.25, 0.5)), ("0 1", Crop(0, 1)), ("whole", WHOLE_PHOTO)]
)
def test_the_crop_of_one_photo_is_not_used_for_another(words: str, crop: Crop) -> None:
    bison, other = (snapshot_of(open_photo(EXAMPLES / name)) for name in ("bison.jpg", "espresso.jpg"))
    assert crop_of_photo(f"{words} {bison.fingerprint}", bison) == crop
    assert crop_of_photo(f"{words} {bison.fingerprint}", other) == CENTRE_CROP


@pytest.mark.parametrize("words", ["", "whole", "x y F", "0.5 F", "nan 0 F", "1 2 3 F", "inf 0 F", "0,1 0 F"])
def test_words_that_make_no_sense_mean_the_centre(words: str) -> None:
    snapshot = snapshot_of(open_photo(BISON))
    assert crop_of_photo(words.replace("F", snapshot.fingerprint), snapshot) == CENTRE_CROP


def test_words_beyond_the_photo_mean_its_edge() -> None:
    assert parse_crop("-3 7") == Crop(0, 1)


def test_a_photo_is_known_by_its_content_and_shown_small() -> None:
    photo = open_photo(BISON)
    again = io.BytesIO()
    photo.save(again, "PNG")
    first, second = snapshot_of(photo), snapshot_of(open_photo(again.getvalue()))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != snapshot_of(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).fingerprint
    with Image.open(io.BytesIO(first.jpeg)) as small:
        assert max(small.size) == SIDE
        assert small.width / small.height == pytest.approx(photo.width / photo.height, rel=0.02)


def test_only_ways_that_the_square_can_go_have_a_slider() -> None:
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
    how = service.pretrained("tiny-imagenet").preprocessing
    names = {}
    for size in ((300, 200), (200, 300), (200, 200)):
        file = io.BytesIO()
        stripes(*size).save(file, "PNG")
        html = part_html(service.query("tiny-imagenet", file.getvalue()), how, "en")
        names[size] = [name for name in ("across", "down", "whole") if f'name="{name}"' in html]
    assert names == {(300, 200): ["across", "whole"], (200, 300): ["down", "whole"], (200, 200): ["whole"]}


def test_a_photo_is_compared_in_one_crop_and_another_photo_in_its_centre() -> None:
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
    query = service.query("tiny-imagenet", BISON, WHOLE_PHOTO)
    with gr.Blocks():
        section = CompareSection(service)

    def sides(photo: Path) -> list[str]:
        return section.compared(query, str(photo), "tiny-imagenet", "3a", "en").split('<section class="il-side">')[1:]

    def shares(photo: Path, crop: Crop = CENTRE_CROP) -> list[str]:
        return [f"{guess.probability:.0%}" for guess in predict(embedded, open_photo(photo), crop=crop).top(3)]

    embedded, espresso = service.pretrained("tiny-imagenet"), EXAMPLES / "espresso.jpg"
    assert shares(BISON) != shares(BISON, WHOLE_PHOTO)
    assert shares(espresso) != shares(espresso, WHOLE_PHOTO)
    percent = re.compile(r"(\d+%)</li>")
    assert [percent.findall(side) for side in sides(BISON)] == [shares(BISON, WHOLE_PHOTO)] * 2
    assert percent.findall(sides(espresso)[1]) == shares(espresso)


@pytest.mark.browser
def test_the_square_is_moved_with_the_keyboard_and_a_link_brings_it_back(visit: Visit, page_address: str) -> None:
    page = visit.page
    visit.upload(BISON)
    visit.panels_of("Block 3a")
    expect(page.locator("#il-seen")).to_contain_text("The centre square")
    before = visit.pictures()
    slider = page.locator("#il-seen input[name=across]")
    slider.focus()
    slider.press("Home")
    expect(page.locator("#il-seen")).to_contain_text("The square that you chose")
    expect(page.locator(".il-panel img").first).not_to_have_attribute("src", before[0])
    assert page.evaluate("document.activeElement.name") == "across", "the keyboard stays where it was"
    expect(page.locator("#il-link textarea, #il-link input").first).to_have_value(holding("part=0+0.5"))
    link = page.locator("#il-link textarea, #il-link input").first.input_value()
    assert parse_qs(urlsplit(link).query)["example"] == ["bison"]
    moved = visit.pictures()
    page.goto(link)
    visit.panels_of("Block 3a")
    expect(page.locator("#il-seen")).to_contain_text("The square that you chose")
    assert visit.pictures() == moved


@pytest.mark.browser
def test_the_whole_photo_is_a_click_away_and_the_next_photo_begins_in_the_middle(visit: Visit) -> None:
    page = visit.page
    visit.upload(BISON)
    visit.panels_of("Block 3a")
    page.locator("#il-seen input[name=whole]").check()
    expect(page.locator("#il-seen")).to_contain_text("The whole photo")
    visit.upload(EXAMPLES / "espresso.jpg")
    expect(page.locator("#il-answer")).to_contain_text("espresso")
    expect(page.locator("#il-seen")).to_contain_text("The centre square")
    expect(page.locator("#il-link textarea, #il-link input").first).not_to_have_value(holding("part="))


@pytest.mark.browser
def test_the_square_follows_the_pointer(visit: Visit) -> None:
    page = visit.page
    visit.upload(BISON)
    visit.panels_of("Block 3a")
    photo = page.locator(".il-part-photo")
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    page.mouse.up()
    expect(page.locator("#il-seen")).to_contain_text("The square that you chose")
    expect(page.locator("#il-seen input[name=across]")).to_have_value("100")


@pytest.mark.browser
def test_an_answer_and_another_block_are_one_request_each(visit: Visit) -> None:
    """What nobody looks at is not asked for, and what the browser knows it decides itself."""
    page = visit.page
    page.set_viewport_size({"width": 1440, "height": 500})  # the explanations are far away
    page.wait_for_timeout(1000)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if one.url.endswith(("/queue/join?", "/run/predict")) else 0)
    visit.upload(BISON)
    visit.panels_of("Block 3a")
    page.wait_for_timeout(1500)
    assert len(asked) == 1, asked
    visit.choose("block", "4c")
    visit.panels_of("Block 4c")
    page.wait_for_timeout(1000)
    assert len(asked) == 2, asked


def holding(part: str) -> re.Pattern[str]:
    """A pattern for a value that has `part` in it."""
    return re.compile(re.escape(part))
