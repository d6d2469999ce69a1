"""Classification of camera frames."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from benchmarks.browser import wait_until
from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser


def test_camera_frames_are_classified_and_the_last_one_stays(visit: StageVisit) -> None:
    visit.open()
    visit.page.get_by_role("button", name="Camera").click()
    expect(visit.page.locator("[data-stage=photo] video")).to_be_visible()
    expect(visit.page.get_by_role("button", name="Stop the camera")).to_be_visible()
    for _ in range(2):
        with visit.page.expect_response("**/run/stage_scene"):
            pass  # of the next frame
    visit.page.get_by_role("button", name="Stop the camera").click()
    expect(visit.page.locator("[data-stage=photo] video")).to_have_count(0)
    visit.page.wait_for_timeout(1000)
    visit.unfold("3a")
    expect(visit.page.locator("#notice")).to_be_hidden()


def test_the_camera_fills_the_frame_and_says_what_happens_to_its_pictures(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.get_by_role("button", name="Camera").click()
    # The frames sent are the centre square, which `cover` shows and `contain` does not.
    expect(page.locator("[data-stage=photo] video")).to_have_css("object-fit", "cover")
    note = page.get_by_text("Each picture goes to this server")
    expect(note).to_be_visible()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_text("每一帧都会发送到本服务器")).to_be_visible()
    page.get_by_role("button", name="关闭摄像头").click()
    expect(page.locator(".camera-note")).to_have_count(0)


def test_the_camera_opens_once_and_stops_when_another_photo_is_chosen(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.evaluate(
        """() => {
          const usual = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          const allowed = new Promise(done => (window.allow = done));
          window.opened = [];
          navigator.mediaDevices.getUserMedia = async wanted => {
            const stream = allowed.then(() => usual(wanted));
            window.opened.push(stream);
            return stream;
          };
        }"""
    )
    # Click before the camera's module has loaded, and again before permission is granted.
    camera = page.get_by_role("button", name="Camera", exact=True)
    camera.evaluate("button => [button, button].forEach(one => one.click())")
    wait_until(page, "window.opened.length")
    camera.click()
    page.evaluate("window.allow()")
    video = page.locator("[data-stage=photo] video")
    picture = page.locator("[data-stage=photo] img").first
    expect(video).to_be_visible()
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    assert page.evaluate("window.opened.length") == 1
    page.get_by_role("button", name="Example: bison").click()
    expect(video).to_have_count(0)
    expect(page.locator("[data-stage=answer] h2")).to_contain_text("bison")
    page.wait_for_timeout(1000)
    expect(picture).to_have_attribute("alt", re.compile("bison"))
    tracks = "window.opened[0].then(stream => stream.getTracks().map(track => track.readyState))"
    assert page.evaluate(tracks) == ["ended"]


def test_the_camera_stops_when_it_is_unplugged(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.get_by_role("button", name="Camera").click()
    video = page.locator("[data-stage=photo] video")
    expect(page.locator("[data-stage=photo] img").first).to_have_attribute("src", re.compile("^blob:"))
    video.evaluate("video => video.srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect(video).to_have_count(0)
    expect(page.get_by_role("button", name="Camera", exact=True)).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()


def test_the_lesson_uses_the_last_camera_frame(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("[data-stage=photo] img").first).to_have_attribute("src", re.compile("^blob:"))
    page.get_by_role("button", name="Lesson", exact=True).click()
    expect(page.locator("[data-stage=photo] video")).to_have_count(0)
    expect(page.locator("[data-stage=lesson]")).to_contain_text("Step 1 of 8")
    expect(page.locator("[data-stage=lesson] [data-choice]").first).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()


def test_the_camera_ends_the_lesson(visit: StageVisit) -> None:
    visit.open("?photo=espresso&step=1")
    visit.page.get_by_role("button", name="Camera").click()
    expect(visit.page.locator("[data-stage=photo] video")).to_have_count(1)
    expect(visit.page.locator("[data-stage=lesson]")).to_be_hidden()


def test_the_camera_stops_with_a_message_when_its_frames_are_rejected(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("[data-stage=photo] img").first).to_have_attribute("src", re.compile("^blob:"))
    visit.expects_rejections = True
    page.route("**/gradio_api/upload*", lambda route: route.fulfill(status=413, json={"error": "It is too large."}))
    expect(page.locator("#notice")).to_be_visible()
    expect(page.locator("[data-stage=photo] video")).to_have_count(0)
    expect(page.get_by_role("button", name="Camera", exact=True)).to_be_visible()


def test_without_https_the_page_reports_that_the_camera_needs_it(visit: StageVisit) -> None:
    visit.open()
    visit.page.evaluate(
        """() => {
          Object.defineProperty(window, "isSecureContext", { value: false });
          Object.defineProperty(navigator, "mediaDevices", { value: undefined });
        }"""
    )
    visit.page.get_by_role("button", name="Camera").click()
    expect(visit.page.locator("#notice")).to_contain_text("only over https")
