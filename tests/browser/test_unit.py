"""The page of a channel: content, links and address."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import Route, expect

from inception import open_photo, predict
from inception.explain.circuit import cell_circuit, logit_circuit
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import EMBEDDED_WEIGHTS
from inception.units.atlas import read_atlas
from inception.units.tuning import layer_tuning
from support.paths import EXAMPLES
from support.stage_visitor import StageVisit

UNIT = "#deeper-unit"


def terms(visit: StageVisit) -> list[float]:
    """Return the terms of the sum, followed by its value."""
    texts = visit.page.locator(f"{UNIT} .circuit-terms .number").all_inner_texts()
    return [float(text.replace("−", "-")) for text in texts]


def test_an_address_opens_a_channel_at_its_strongest_cell(visit: StageVisit, embedded: PretrainedModel) -> None:
    visit.open("?photo=espresso&unit=tiny-imagenet/4c/3x3/17&off=4b:1x1")
    page = visit.page
    expect(page.locator(f"{UNIT} h3").first).to_have_text("Block 4c, 3×3, channel 17")
    expect(page.locator(f"{UNIT} .deeper-note")).to_contain_text("with everything on")
    number = embedded.model.block("4c").slices["3x3"].start + 17
    expect(page.locator(f"{UNIT} .deeper-lead")).to_contain_text(f"channel {number} of the block’s 512")
    prediction = predict(embedded, open_photo(EXAMPLES / "espresso.jpg"))
    values = prediction.branch("4c", "3x3")[17]
    row, column = np.unravel_index(values.argmax(), values.shape)
    expect(page.locator(f"{UNIT} .circuit-path")).to_contain_text(f"row {row}, column {column}", timeout=30_000)
    expect(page).to_have_url(re.compile("unit=tiny-imagenet/4c/3x3/17"))
    page.reload()
    visit.settle()
    expect(page.locator(f"{UNIT} h3").first).to_have_text("Block 4c, 3×3, channel 17")


def test_a_circuit_can_be_followed_back_block_by_block(visit: StageVisit, embedded: PretrainedModel) -> None:
    visit.open("?photo=espresso&unit=tiny-imagenet/4a/3x3/17")
    page, path = visit.page, visit.page.locator(f"{UNIT} .circuit-path > *")
    expect(page.locator(f"{UNIT} .circuit-sum")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Begin with the answer").click()
    expect(path.last).to_have_text("logit of “espresso”")
    prediction = predict(embedded, open_photo(EXAMPLES / "espresso.jpg"))
    circuit = logit_circuit(embedded, prediction)
    for _ in range(2):
        numbers = terms(visit)
        assert abs(sum(numbers[:-1]) - numbers[-1]) < 0.001, "the numbers add up as they are shown"
        assert abs(numbers[-1] - circuit.value) < 0.01
        source = circuit.sources[0]
        circuit = cell_circuit(
            embedded, prediction, source.block, source.branch or "", source.channel, source.row, source.column
        )
        page.locator(f"{UNIT} .circuit-terms .deeper-link").first.click()
        expect(path.last).to_contain_text(f"{source.block} · ", timeout=30_000)
        expect(page.locator(f"{UNIT} .deeper-stale")).to_have_count(0)


def test_links_lead_to_other_channels_and_back(visit: StageVisit) -> None:
    visit.open("?photo=espresso&unit=tiny-imagenet/4c/1x1/59")
    page = visit.page
    link = page.locator(f"{UNIT} .unit-wiring section").first.locator("[data-unit]").first
    block, branch, channel = (link.get_attribute("data-unit") or "").split("/")
    assert block == "4b"
    link.click()
    expect(page.locator(f"{UNIT} h3").first).to_contain_text(f"channel {channel}")
    expect(page.locator(f"{UNIT} h3").first).to_contain_text("Block 4b")
    expect(page).to_have_url(re.compile(f"unit=tiny-imagenet/4b/{branch}/{channel}"))
    page.go_back()
    expect(page.locator(f"{UNIT} h3").first).to_have_text("Block 4c, 1×1, channel 59")


def test_what_belongs_to_the_previous_channel_is_dimmed_until_the_next_has_loaded(visit: StageVisit) -> None:
    page = visit.page
    entry = {"photos": 1000, "places": None, "values": None, "classes": None, "silent": 0.5}
    page.route("**/run/stage_unit_atlas", lambda route: route.fulfill(json={"data": [entry]}))
    visit.open("?photo=espresso&unit=tiny-imagenet/4c/1x1/59")
    parts = [page.get_by_text("photos of its atlas"), page.locator(".unit-wiring")]
    for part in parts:
        expect(part).to_be_visible()
    stale = [page.locator(f"{UNIT} .deeper-stale").filter(has=part) for part in parts]
    for one in stale:
        expect(one).to_have_count(0)
    held_routes: list[Route] = []
    page.route(re.compile("/run/stage_unit_(atlas|wiring)$"), lambda route: held_routes.append(route))
    page.get_by_role("spinbutton", name="Channel, 0 to").fill("60")
    page.keyboard.press("Enter")
    expect(page.locator(f"{UNIT} h3").first).to_contain_text("channel 60")
    for one in stale:
        expect(one).to_have_count(1)
    while len(held_routes) < 2:
        page.wait_for_timeout(20)
    for route in held_routes:
        route.fallback()
    for one in stale:
        expect(one).to_have_count(0)


def test_the_lens_links_to_the_page_of_its_channel(visit: StageVisit) -> None:
    visit.open()
    page = visit.page
    tile = page.locator("[data-lane='3x3'] [data-channel]").first
    channel = tile.get_attribute("data-channel")
    tile.click()
    page.get_by_role("button", name="What does it look for?").click()
    expect(page.locator(f"{UNIT} h3").first).to_contain_text(f"3×3, channel {channel}")
    expect(page.locator(f"{UNIT} .unit-places canvas").first).to_be_visible()
    expect(page.locator(f"{UNIT} .unit-curves figure")).to_have_count(4)
    assert re.search(rf"unit=tiny-imagenet/\w+/3x3/{channel}", page.url)


def test_the_charts_of_angles_and_colours_have_degrees(visit: StageVisit) -> None:
    visit.open("?photo=espresso&unit=tiny-imagenet/3a/1x1/0")
    roses = visit.page.locator(f"{UNIT} .unit-rose")
    expect(roses).to_have_count(2, timeout=60_000)
    expect(roses.nth(0).locator("text")).to_have_text(["0°", "90°"])
    expect(roses.nth(0).locator(".unit-stripes")).to_have_count(2)
    expect(roses.nth(1).locator("text")).to_have_text(["0°", "90°", "180°", "270°"])


def test_a_channel_that_does_not_exist_is_not_shown(visit: StageVisit) -> None:
    visit.open("?photo=espresso&unit=tiny-imagenet/3a/1x1/64")
    expect(visit.page.locator(f"{UNIT} h3").first).to_have_text(re.compile(r"Block 3a, .+, channel (?!64)\d+"))
    visit.page.locator(f"{UNIT} .deeper-pickers [data-branch='1x1']").click()
    number = visit.page.get_by_role("spinbutton", name="Channel, 0 to 63")
    number.fill("63")
    number.press("Enter")
    expect(visit.page.locator(f"{UNIT} h3").first).to_have_text("Block 3a, 1×1, channel 63")


def test_a_number_being_typed_survives_a_redraw(visit: StageVisit) -> None:
    visit.open("?photo=espresso&unit=tiny-imagenet/3a/1x1/5")
    page = visit.page
    expect(page.locator(f"{UNIT} h3").first).to_have_text("Block 3a, 1×1, channel 5")
    number = page.get_by_role("spinbutton", name="Channel, 0 to 63")
    number.fill("63")
    lead = page.locator(f"{UNIT} .deeper-lead .tells-worth")
    before = lead.inner_text()
    page.locator("[data-stage=answer] .rows button").nth(1).evaluate("row => row.click()")
    expect(lead).not_to_have_text(before)  # once the worths for the other class have arrived
    expect(page).to_have_url(re.compile("unit=tiny-imagenet/3a/1x1/5$"))
    expect(number).to_have_value("63")
    number.press("Enter")
    expect(page.locator(f"{UNIT} h3").first).to_have_text("Block 3a, 1×1, channel 63")
    number.fill("64")
    number.press("Enter")
    expect(number).to_have_value("63")


def test_an_image_of_the_atlas_is_shown_at_once(visit: StageVisit) -> None:
    atlas_channels = read_atlas(EMBEDDED_WEIGHTS.with_suffix(".atlas")).branch("4c", "5x5").channels
    visit.open(f"?photo=espresso&unit=tiny-imagenet/4c/5x5/{min(atlas_channels)}")
    expect(visit.page.locator(f"{UNIT} .unit-canvas img")).to_be_visible()
    expect(visit.page.locator(f"{UNIT} .circuit-sum")).to_be_visible(timeout=30_000)
    expect(visit.page.get_by_role("button", name="Make a larger one")).to_be_visible()
    expect(visit.page.locator(UNIT)).to_contain_text(
        f"silent on {round(100 * atlas_channels[min(atlas_channels)].silent)} % of the photos"
    )


def test_an_image_is_made_on_the_page(visit: StageVisit) -> None:
    atlas_channels = read_atlas(EMBEDDED_WEIGHTS.with_suffix(".atlas")).branch("3a", "3x3").channels
    other = next(channel for channel in range(128) if channel not in atlas_channels)
    visit.open(f"?photo=espresso&unit=tiny-imagenet/3a/3x3/{other}")
    page = visit.page
    picture = page.locator(f"{UNIT} .unit-canvas img")
    expect(picture).to_be_hidden()
    page.get_by_role("button", name="Make the image").click()
    expect(picture).to_be_visible(timeout=30_000)
    first = picture.get_attribute("src")
    expect(page.locator(f"{UNIT} .unit-image [role=status]")).to_contain_text("value for this image", timeout=60_000)
    assert picture.get_attribute("src") != first
    page.reload()
    visit.settle()
    expect(picture).to_be_visible()  # from the cache that all visitors share


def test_an_image_that_failed_can_be_started_again(visit: StageVisit) -> None:
    atlas_channels = read_atlas(EMBEDDED_WEIGHTS.with_suffix(".atlas")).branch("3a", "3x3").channels
    other = [channel for channel in range(128) if channel not in atlas_channels][1]
    visit.open(f"?photo=espresso&unit=tiny-imagenet/3a/3x3/{other}")
    page = visit.page
    image = page.locator(f"{UNIT} .unit-image")
    start = page.get_by_role("button", name="Make the image")
    visit.expects_rejections = True
    page.route(
        "**/run/stage_unit_image", lambda route: route.fulfill(status=400, json={"error": "The server is busy."})
    )
    start.click()
    expect(image).to_contain_text("The server is busy.")
    expect(image.locator("progress")).to_be_hidden()
    page.unroute("**/run/stage_unit_image")
    start.click()
    expect(image.get_by_role("status")).to_contain_text("value for this image", timeout=60_000)


def test_the_status_of_an_image_follows_the_language(visit: StageVisit) -> None:
    atlas_channels = read_atlas(EMBEDDED_WEIGHTS.with_suffix(".atlas")).branch("4c", "5x5").channels
    visit.open(f"?photo=espresso&unit=tiny-imagenet/4c/5x5/{min(atlas_channels)}")
    status = visit.page.locator(f"{UNIT} .unit-image").get_by_role("status")
    expect(status).to_contain_text("value for this image")
    visit.page.get_by_role("button", name="中文", exact=True).click()
    expect(status).to_have_text(re.compile("^[^A-Za-z]*[一-鿿]"))


def test_channels_can_be_sorted_by_their_tuning(visit: StageVisit, embedded: PretrainedModel) -> None:
    # As the page writes the address, with the network, so that it is complete after a reload.
    visit.open("?photo=espresso&model=tiny-imagenet&block=3a&sort=orientation")
    tuning = layer_tuning(embedded, "3a")
    selectivity = np.nan_to_num(tuning.curves["orientation"].selectivity)
    for branch, channels in embedded.model.block("3a").slices.items():
        first = visit.page.locator(f"[data-lane='{branch}'] [data-channel]").first
        # Several may have the greatest selectivity, 1, apart from rounding.
        best = np.flatnonzero(selectivity[channels] > selectivity[channels].max() - 1e-5)
        is_best = re.compile(f"^({'|'.join(map(str, best))})$")
        expect(first).to_have_attribute("data-channel", is_best, timeout=30_000)


def test_a_map_can_be_tested_on_the_page(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=evidence")
    page, trust = visit.page, visit.page.locator("#deeper-evidence .trust")
    expect(trust.locator("canvas")).to_be_visible(timeout=30_000)
    trust.locator("[data-method=evidence]").click()
    trust.get_by_role("button", name="Test this map").click()
    expect(trust.locator(".trust-levels li")).to_have_count(5, timeout=60_000)
    expect(trust.locator(".trust-charts polyline.map")).to_have_count(2)
    expect(trust).to_contain_text("Pixels are put back into a blurred photo in the map’s order")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
