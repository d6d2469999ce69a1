"""Tests of attribution maps on the page."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from support.stage_visitor import StageVisit


def test_a_late_result_is_not_shown_below_another_map(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=evidence")
    page = visit.page
    held_routes: list[Route] = []

    def hold(route: Route) -> None:
        held_routes.append(route)

    page.route("**/run/stage_trust", hold)
    trust = page.locator("#deeper-evidence .trust")
    test = trust.get_by_role("button", name="Test this map")
    with page.expect_request("**/run/stage_trust"):
        test.click()
    trust.locator("[data-method=evidence]").click()
    with page.expect_response("**/run/stage_trust", timeout=120_000):
        held_routes.pop().continue_()
    page.wait_for_timeout(500)
    expect(trust.locator(".trust-charts")).to_have_count(0)
    page.unroute("**/run/stage_trust")
    test.click()
    expect(trust.locator(".trust-charts")).to_be_visible(timeout=120_000)
    expect(trust.get_by_role("status")).to_have_text(
        re.compile("^(All three checks|For this map: .*(insertion|deletion|random weights).* Against it: )")
    )
    expect(trust.locator(".trust-levels li").first).to_contain_text("classifier only")


def test_a_map_has_the_same_scale_in_both_places(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=evidence")
    evidence = visit.page.locator("#deeper-evidence")
    above = evidence.locator(".evidence-grid .deeper-legend")
    below = evidence.locator(".trust .deeper-legend span")
    for method, number in (("evidence", 0), ("grad_cam", 1)):
        evidence.locator(f"[data-method={method}]").click()
        expect(above.nth(number).locator("span").first).to_have_text(re.compile(r"\d"))
        expect(below.first).to_have_text(above.nth(number).locator("span").first.inner_text(), timeout=30_000)


def test_results_and_choices_are_shown_until_the_block_changes(visit: StageVisit) -> None:
    visit.open("?photo=espresso&deeper=evidence")
    page = visit.page
    map_ = page.locator("#deeper-evidence .deeper-picture").first
    part, cell = map_.locator("button[data-branch='3x3']"), map_.locator(".deeper-readout")
    part.click()
    highest = cell.inner_text()
    map_.locator(".deeper-picker").press("ArrowDown" if "Row 0" in highest else "ArrowUp")
    expect(cell).not_to_have_text(highest)
    chosen = cell.inner_text()
    trust = page.locator("#deeper-evidence .trust")
    trust.get_by_role("button", name="Test this map").click()
    charts = trust.locator(".trust-charts")
    expect(charts).to_be_visible(timeout=120_000)
    with page.expect_response("**/run/stage_*"):
        visit.switch("1x1")
    expect(page.locator("#deeper-evidence .deeper-note")).to_be_visible()
    expect(charts).to_be_visible()
    expect(part).to_have_attribute("aria-pressed", "true")
    expect(cell).to_have_text(chosen)
    page.get_by_role("button", name="中文").click()
    expect(trust.locator("h3")).to_have_text("这样的图可信吗？")
    expect(charts).to_contain_text("插入")
    with page.expect_response("**/run/stage_*"):
        page.locator("[data-block='3a']").click()
    expect(charts).to_have_count(0, timeout=30_000)


def test_maps_lie_on_a_grey_photo_in_browsers_without_canvas_filters(visit: StageVisit) -> None:
    """Safari ignores the property `filter` of a canvas."""
    visit.page.add_init_script(
        "Object.defineProperty(CanvasRenderingContext2D.prototype, 'filter', {get: () => 'none', set: () => {}})"
    )
    visit.open("?photo=honey_bee&deeper=evidence")
    picture = visit.page.locator("#deeper-evidence .deeper-picture canvas").first
    expect(picture).to_be_visible()
    # Red or blue over grey has at least as much blue as green; the photo's yellow has not.
    yellow = picture.evaluate(
        """canvas => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) if (data[i + 1] > data[i + 2] + 3) count++;
          return count;
        }"""
    )
    assert yellow == 0
