"""The camera as a stream: a frame's answer, and the page's own behaviour with Chromium's fake camera."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from inception import open_photo, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.blocks import build
from inception.web.sections.live import LiveSection
from support.paths import EXAMPLES
from support.visitor import Visit


def frame_of(photo: Image.Image) -> str:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=95)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def live() -> LiveSection:
    import gradio as gr

    with gr.Blocks():
        return LiveSection(
            InferenceService(("tiny-imagenet",), choose_device("cpu")), gr.Dropdown(), gr.Radio(), gr.Radio()
        )


def test_a_frame_is_answered_with_its_classes_and_the_four_maps(live: LiveSection, embedded: PretrainedModel) -> None:
    frame = frame_of(Image.open(EXAMPLES / "espresso.jpg").convert("RGB"))
    html = live.frame(frame, "tiny-imagenet", "4c", "en")
    expected = predict(embedded, open_photo(base64.b64decode(frame.partition(",")[2])))
    for guess in expected.top(3):
        assert f"<b>{guess.label}</b> {guess.probability:.0%}" in html
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", html)]
    assert [picture.size for picture in pictures] == [(192, 192)] * 4
    assert len({np.asarray(picture).tobytes() for picture in pictures}) == 4
    means = [maps.mean(axis=0).max() for maps in expected.branches("4c").values()]
    assert f"0 to {max(means):.2f}" in html


def test_frames_are_not_cached(live: LiveSection, monkeypatch: pytest.MonkeyPatch) -> None:
    predict_once, passes = live.service.backend.predict, []
    monkeypatch.setattr(live.service.backend, "predict", lambda *one: passes.append(1) or predict_once(*one))
    for _ in range(2):
        live.frame(frame_of(Image.new("RGB", (64, 64), "red")), "tiny-imagenet", "3a", "en")
    assert len(passes) == 2


@pytest.mark.parametrize("photo", ["", "/etc/passwd", 7, None, "data:image/jpeg;base64,xx", "data:,"])
def test_what_is_no_frame_is_refused_in_a_sentence(live: LiveSection, photo: object) -> None:
    for language in ("en", "zh"):
        html = live.frame(photo, "tiny-imagenet", "3a", language)
        assert 'role="alert"' in html
        assert "passwd" not in html


def test_no_endpoint_lets_others_send_frames() -> None:
    page = build(InferenceService(("tiny-imagenet",), choose_device("cpu")))
    frames = [fn for fn in page.fns.values() if fn.name == "_on_frame"]
    assert [fn.api_visibility for fn in frames] == ["private"]
    assert [fn.queue for fn in frames] == [False]


@pytest.mark.browser
@pytest.mark.parametrize("visit", [{"permissions": ["camera"]}], indirect=True)
def test_the_answer_follows_the_camera_and_stops_when_hidden_or_told_to(visit: Visit) -> None:
    page = visit.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/run/" in request.url else None)
    page.locator("#il-live").get_by_role("button", name=re.compile("^Live")).click()
    button = page.locator("#il-camera button")
    button.click()
    expect(page.locator(".il-live-maps img")).to_have_count(4, timeout=30_000)
    expect(page.locator(".il-live li")).to_have_count(3)
    # The fake camera's picture moves, so the maps do.
    first = page.locator(".il-live-maps img").first.get_attribute("src")
    expect(page.locator(".il-live-maps img").first).not_to_have_attribute("src", first or "")
    visit.choose("block", "5a")
    expect(page.locator(".il-live > p")).to_contain_text("Block 5a")

    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    page.wait_for_timeout(1000)  # for what was under way
    before = len(asked)
    page.wait_for_timeout(1000)
    assert len(asked) == before, "a page that nobody sees asks nothing"
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => false, configurable: true})")
    page.wait_for_timeout(1500)
    assert len(asked) > before

    expect(button).to_have_text("Stop the camera")
    button.click()
    expect(button).to_have_text("Start the camera")
    page.wait_for_timeout(1000)
    before = len(asked)
    page.wait_for_timeout(1000)
    assert len(asked) == before
    assert page.evaluate("document.querySelector('#il-camera video').srcObject.getTracks()[0].readyState") == "ended"


@pytest.mark.browser
def test_without_a_camera_the_page_says_so(visit: Visit) -> None:
    page = visit.page
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no')); }")
    page.locator("#il-live").get_by_role("button", name=re.compile("^Live")).click()
    page.locator("#il-camera button").click()
    expect(page.locator("#il-camera [role=alert]")).to_contain_text("camera cannot be used")
