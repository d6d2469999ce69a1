"""What axe-core finds on the stage: nothing serious, in any state, language, size or brightness."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from support.paths import EXAMPLES
from support.stage_visitor import StageVisit

pytestmark = pytest.mark.browser

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
DEEPER = ("evidence", "cell", "cost", "census", "dial", "compare", "numbers", "about")
STEPS = range(1, 9)


def serious(visit: StageVisit) -> list[str]:
    found = Axe().run(visit.page, options=RULES).response["violations"]
    return [
        f"{finding['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for finding in found
        if finding["impact"] in ("moderate", "serious", "critical")
        for node in finding["nodes"]
    ]


@pytest.mark.parametrize(
    "visit",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"locale": "zh-CN", "color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
    ],
    indirect=True,
    ids=["light", "dark", "Chinese phone"],
)
def test_nothing_serious_is_found(visit: StageVisit) -> None:
    assert serious(visit) == []
    visit.upload(EXAMPLES / "bison.jpg")
    expect(visit.page.locator("[data-stage=photo] [aria-pressed=true]")).to_have_count(0, timeout=30_000)
    visit.settle()
    visit.switch("3x3")
    expect(visit.page.locator("[data-stage=answer] .by").first).to_be_visible(timeout=30_000)
    visit.page.locator("[data-lane='5x5'] [data-channel]").first.click()
    visit.page.locator(".lens").wait_for()
    assert serious(visit) == []


@pytest.mark.parametrize("part", DEEPER)
def test_nothing_serious_is_found_in_what_goes_deeper(visit: StageVisit, part: str) -> None:
    visit.open(f"?photo=espresso&deeper={part}")
    visit.page.wait_for_load_state("networkidle", timeout=120_000)
    assert serious(visit) == []


def test_nothing_serious_is_found_in_the_lesson(visit: StageVisit) -> None:
    for step in STEPS:
        visit.open(f"?photo=espresso&step={step}")
        expect(visit.page.locator("[data-stage=lesson]")).to_be_visible()
        assert serious(visit) == [], step
