"""The stimulus laboratory."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Response, expect

from benchmarks.browser import wait_until
from inception.network.blocks import BRANCHES
from inception.network.inception_v1 import InceptionV1
from inception.prediction import predict_crop
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import Description, Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.units.middle_cell import middle_cell
from inception.vision.preprocessing import IMAGENET, TORCHVISION
from inception.web.blocks import build
from support.launched import launch
from support.networks import randomise
from support.stage import unpack
from support.stage_visitor import StageVisit

BLOCK = "3b"
MAPS = "[...document.querySelectorAll('#network canvas')].map(canvas => canvas.toDataURL()).join()"


def disc(pretrained: PretrainedModel, percent: float) -> Image.Image:
    """Return a white disc on grey, centred on the receptive field of the middle cell of `BLOCK`."""
    side, middle = pretrained.input_size, middle_cell(pretrained, BLOCK)
    rows, columns = np.mgrid[:side, :side] + 0.5
    covered = np.clip(percent / 100 * side / 2 - np.hypot(columns - middle.x, rows - middle.y) + 0.5, 0, 1)
    return Image.fromarray(np.rint(128 + 127 * covered).astype(np.uint8)).convert("RGB")


def middle_means(pretrained: PretrainedModel, image: Image.Image) -> list[float]:
    """Return the mean over each branch's channels at the middle cell of `BLOCK`."""
    block = predict_crop(pretrained, image).block(BLOCK)
    middle, slices = middle_cell(pretrained, BLOCK), pretrained.model.block(BLOCK).slices
    return [float(block[channels, middle.row, middle.column].mean()) for channels in slices.values()]


def maps(page: Page) -> str:
    """Return the pictures of all maps of the network strip."""
    return page.evaluate(MAPS)


def settled_maps(page: Page) -> str:
    """Wait until the maps stop changing, and return their pictures."""
    pictures = maps(page)
    while True:
        page.wait_for_timeout(1500)
        pictures, previous = maps(page), pictures
        if pictures == previous:
            return pictures


def test_a_sweep_plots_the_responses_of_the_network(visit: StageVisit, embedded: PretrainedModel) -> None:
    page = visit.page
    visit.open(f"?photo=espresso&block={BLOCK}&lab=disc:20:0:0")
    chart = page.locator(".lab-chart")
    chart.get_by_role("button").click()
    expect(chart.locator("polyline")).to_have_count(len(BRANCHES))
    sizes = page.evaluate("import('./stage/static/js/state.js').then(state => state.SWEEPS.size)")
    expect(chart.locator("path")).to_have_count(len(BRANCHES) * (len(sizes) + 1), timeout=60_000)
    expect(chart.get_by_role("button")).to_have_attribute("aria-pressed", "false")
    sizes = sorted([*sizes, 20])  # the size before the sweep has a point, too
    expected = np.array([middle_means(embedded, disc(embedded, size)) for size in sizes])
    # Maps are sent as bytes between their lowest and highest value.
    assert float(chart.locator(".lab-up span").first.inner_text()) == pytest.approx(expected.max(), rel=0.02)
    points = chart.locator(f"polyline[data-branch='{tuple(BRANCHES)[expected.max(axis=0).argmax()]}']").get_attribute(
        "points"
    )
    heights = [float(point.split(",")[1]) for point in (points or "").split()]
    peak = expected[:, expected.max(axis=0).argmax()].argmax()
    assert int(np.argmin(heights)) == peak


@pytest.fixture(scope="module")
def cropping(tmp_path_factory: pytest.TempPathFactory, embedded: PretrainedModel) -> Path:
    """The weights of a network that takes the centre 224 of 256 pixels of a photo."""
    path = tmp_path_factory.mktemp("cropping") / "cropping.safetensors"
    description = Description("batchnorm", embedded.labels, IMAGENET, Provenance(*["test"] * 4))
    save_checkpoint(path, embedded.model.state_dict(), description)
    return path


@pytest.fixture(scope="module")
def off_centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a network whose middle cell is the last of the upper half, as pools are not padded."""
    path = tmp_path_factory.mktemp("off_centre") / "off_centre.safetensors"
    model = randomise(InceptionV1(variant="torchvision", classes=3))
    model.head.classifier.weight.data.mul_(10)  # so that a disc elsewhere changes the logits visibly
    description = Description("torchvision", ("a", "b", "c"), TORCHVISION, Provenance(*["test"] * 4))
    save_checkpoint(path, model.state_dict(), description)
    return path


@pytest.mark.parametrize("weights", ["cropping", "off_centre"])
def test_a_network_sees_the_whole_drawing_centred_on_its_middle_cell(
    browser: Browser, weights: str, request: pytest.FixtureRequest
) -> None:
    file = request.getfixturevalue(weights)
    page = build(InferenceService((str(file),), choose_device("cpu")))
    address = launch(page)
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US", reduced_motion="reduce")
    try:
        visit = StageVisit(context, address)
        with visit.page.expect_response(has_stimulus) as response:
            visit.open(f"?photo=espresso&block={BLOCK}&lab=disc:20:0:0")
        scene = response.value.json()["data"][0]
    finally:
        context.close()
        page.close()
    network = load(file)
    expected = predict_crop(network, disc(network, 20)).logits
    assert unpack(scene["logits"]) == pytest.approx(expected, abs=0.02)


def has_stimulus(response: Response) -> bool:
    """Whether it is the scene of an uploaded drawing."""
    return response.url.endswith("/run/stage_scene") and "example:" not in (response.request.post_data or "")


def test_moving_a_slider_stops_a_sweep(visit: StageVisit, embedded: PretrainedModel) -> None:
    page, side = visit.page, embedded.input_size
    visit.open(f"?photo=espresso&block={BLOCK}&lab=grating:20:45:0")
    sweep = page.locator(".lab-chart").get_by_role("button")
    size, initial = page.get_by_role("slider", name="Size"), f"{round(0.2 * side)}\u00a0px"
    expect(size).to_have_attribute("aria-valuetext", initial)
    sweep.click()
    expect(sweep).to_have_attribute("aria-pressed", "true")
    expect(size).not_to_have_attribute("aria-valuetext", initial)
    angle = page.get_by_role("slider", name="Angle")
    angle.focus()
    page.keyboard.press("ArrowRight")
    expect(sweep).to_have_attribute("aria-pressed", "false")
    page.wait_for_timeout(1000)  # the address follows the slider with a delay
    stopped_at = page.url
    page.wait_for_timeout(1000)
    expect(angle).to_have_attribute("aria-valuetext", "50°")
    assert page.url == stopped_at


def test_a_slider_updates_the_stage_and_the_address(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    answer = visit.headline
    top = page.evaluate("scrollY")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".lab-sheet")).to_be_visible()
    expect(page.locator("[data-stage=answer] h2")).not_to_have_text(answer)
    before = maps(page)
    expect(page.locator("[data-lab=pen]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#lab")).to_contain_text("Draw on the grey square")
    page.locator("[data-lab=grating]").click()
    expect(page.locator("#lab")).to_contain_text("Move the sliders.")
    slider = page.get_by_role("slider", name="Angle")
    slider.focus()
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "45°")
    wait_until(
        page,
        f"before => {MAPS} !== before",
        arg=before,
    )
    assert page.evaluate("scrollY") == top
    expect(page).to_have_url(re.compile("lab=grating:20:45:0(&|$)"))
    rotated = settled_maps(page)
    page.reload()
    visit.settle()
    wait_until(
        page,
        f"wanted => {MAPS} === wanted",
        arg=rotated,
    )


def test_votes_are_requested_only_after_a_slider_stops(visit: StageVisit) -> None:
    page = visit.page
    visit.open(f"?photo=espresso&block={BLOCK}&lab=grating:8:45:0")
    slider = page.get_by_role("slider", name="Angle")
    slider.focus()
    page.wait_for_timeout(2000)
    page.evaluate(
        """() => {
          const usual = history.replaceState.bind(history);
          window.replaced = 0;
          window.began = performance.now();
          history.replaceState = (...given) => (window.replaced++, usual(...given));
        }"""
    )
    request_count = len(visit.requests)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(100)
    events = [url.rpartition("stage_")[2] for url in visit.requests[request_count:] if "/run/stage_" in url]
    assert events.count("scene") > 2
    assert events.count("block") > 2
    assert "votes" not in events
    expect(page.locator("#block.no-votes")).to_have_count(1)  # the votes of an earlier stimulus are hidden
    # Chromium ignores more than 200 changes of the address in 30 seconds, so the page waits 250 ms between two.
    replacements, milliseconds = page.evaluate("[window.replaced, performance.now() - window.began]")
    assert replacements <= milliseconds / 250 + 2
    with page.expect_request("**/run/stage_votes"):
        pass
    expect(page.locator("#block.no-votes")).to_have_count(0)
    expect(page).to_have_url(re.compile("lab=grating:8:145:0(&|$)"))


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1440, 900)])
def test_the_laboratory_covers_no_lane(visit: StageVisit, width: int, height: int) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": height})
    visit.open(f"?photo=espresso&block={BLOCK}&lab=grating:20:45:0")
    chart = page.locator(".lab-chart")
    expect(chart.locator("path")).to_have_count(len(BRANCHES))
    visit.wait_until_idle()  # each response may draw the chart again
    lane, bar = page.locator(".lane").last.bounding_box(), page.locator("#lab").bounding_box()
    # Within one task of the page: a chart that is drawn again has no box for a moment.
    plot_height = chart.evaluate("chart => chart.querySelector('svg').getBoundingClientRect().height")
    assert lane
    assert bar
    assert lane["y"] + lane["height"] <= bar["y"]
    assert plot_height >= 120
    page.locator("[data-lane='pool'] [data-channel]").first.click()
    expect(page.locator(".lens")).to_contain_text("90 % of the influence")
    lens = page.locator(".lens").bounding_box()
    assert lens
    assert lens["y"] >= 0
    assert lens["y"] + lens["height"] <= bar["y"]


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_on_a_phone_the_lens_lies_above_the_laboratory(visit: StageVisit) -> None:
    page = visit.page
    visit.open("?photo=espresso&lab=disc:20:0:0")
    expect(page.locator("#lab")).to_be_visible()
    page.locator("[data-lane='3x3'] [data-channel]").first.evaluate("tile => tile.click()")
    expect(page.locator(".lens")).to_contain_text("90 % of the influence")
    visit.wait_until_idle()  # each response may draw the chart again
    lens, bar = page.locator(".lens").bounding_box(), page.locator("#lab").bounding_box()
    assert lens
    assert bar
    assert lens["height"] > 200
    assert lens["y"] >= 0
    assert lens["y"] + lens["height"] <= bar["y"] + 1  # heights are whole pixels
    # On its side, the phone shows the sheet and the best answer above the laboratory.
    page.set_viewport_size({"width": 844, "height": 390})
    page.locator(".lens").get_by_role("button", name="Close").click()
    page.evaluate("scrollTo(0, 0)")
    bar, best = page.locator("#lab").bounding_box(), page.locator(".rows li").first.bounding_box()
    assert bar
    assert best
    assert best["y"] + best["height"] <= bar["y"]


def test_the_chart_names_the_ends_of_its_axes(visit: StageVisit, embedded: PretrainedModel) -> None:
    page, side = visit.page, embedded.input_size
    visit.open(f"?photo=espresso&block={BLOCK}&lab=grating:20:45:0")
    across = page.locator(".lab-across span")
    expect(across).to_have_text([f"{round(0.02 * side)} px", "Size, logarithmic scale", f"{side} px"])
    page.get_by_role("slider", name="Angle").focus()
    page.keyboard.press("ArrowRight")
    expect(across).to_have_text(["0°", "Angle", "175°"])


def test_every_shape_has_the_button_to_close_at_the_same_place(visit: StageVisit) -> None:
    page = visit.page
    visit.open("?photo=espresso&lab=disc:20:0:0")
    close = page.locator(".lab-close")
    boxes = []
    for shape in ("disc", "grating", "colour", "pen"):
        page.locator(f"[data-lab={shape}]").click()
        expect(page.locator(f"[data-lab={shape}]")).to_have_attribute("aria-pressed", "true")
        boxes.append(close.bounding_box())
    assert len({box["x"] for box in boxes if box}) == 1


@pytest.mark.parametrize("button", ["Close, and go back to the photo", "Draw"])
def test_closing_the_laboratory_restores_the_photo(visit: StageVisit, button: str) -> None:
    visit.open()
    page = visit.page
    answer = visit.headline
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("[data-stage=answer] h2")).not_to_have_text(answer)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("[data-stage=answer] h2")).to_have_text(answer)
    expect(page.locator(".lab-sheet")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("lab="))
    expect(page).to_have_url(re.compile("photo=espresso"))


def test_drawing_with_the_pen_updates_the_maps(visit: StageVisit) -> None:
    page = visit.page
    visit.open("?photo=espresso&block=3a&lab=pen:10:0:0")
    box = page.locator(".lab-sheet").bounding_box()
    assert box is not None
    blank = page.evaluate("document.querySelector('.lab-sheet').toDataURL()")
    page.wait_for_timeout(1000)
    before = maps(page)
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"], steps=8)
    wait_until(
        page,
        f"before => {MAPS} !== before",
        arg=before,
    )
    page.mouse.up()
    assert page.evaluate("document.querySelector('.lab-sheet').toDataURL()") != blank
    page.get_by_role("button", name="Clear").click()
    assert page.evaluate("document.querySelector('.lab-sheet').toDataURL()") == blank


def test_choosing_an_example_closes_the_laboratory(visit: StageVisit) -> None:
    page = visit.page
    visit.open("?photo=espresso&lab=disc:20:0:0")
    expect(page.locator("#lab")).to_be_visible()
    page.get_by_role("button", name="Example: bison").click()
    expect(page.locator("#lab")).to_be_hidden()
    expect(page.locator("[data-stage=answer] h2")).to_contain_text("bison")
