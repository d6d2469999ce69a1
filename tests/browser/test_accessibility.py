"""Accessibility audits of the stage by axe-core, in several states, languages, sizes and colour schemes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from support.paths import EXAMPLES
from support.stage_visitor import VIEWS, StageVisit

pytestmark = pytest.mark.browser

LESSON_STEPS = range(1, 9)


def serious_violations(visit: StageVisit) -> list[str]:
    violations = Axe().run(visit.page).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for violation in violations
        if violation["impact"] != "minor"
        for node in violation["nodes"]
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
def test_the_stage_has_no_serious_violations(visit: StageVisit) -> None:
    visit.open()
    assert serious_violations(visit) == []
    visit.upload(EXAMPLES / "bison.jpg")
    expect(visit.page.locator("[data-stage=photo] [aria-pressed=true]")).to_have_count(0, timeout=30_000)
    visit.settle()
    visit.switch("3x3")
    expect(visit.page.locator("[data-stage=answer] .by").first).to_be_visible(timeout=30_000)
    visit.page.locator("[data-lane='5x5'] [data-channel]").first.click()
    visit.page.locator(".lens").wait_for()
    assert serious_violations(visit) == []
    visit.page.keyboard.press("Escape")
    visit.page.locator("[data-lane='3x3'] .more").click()
    visit.page.wait_for_timeout(600)  # until colour transitions have ended
    assert serious_violations(visit) == []


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_below_the_stage_have_no_serious_violations(visit: StageVisit, view: str) -> None:
    visit.open(f"?photo=espresso&deeper={view}")
    visit.page.wait_for_load_state("networkidle", timeout=120_000)
    assert serious_violations(visit) == []


def test_the_lesson_has_no_serious_violations(visit: StageVisit) -> None:
    for step in LESSON_STEPS:
        visit.open(f"?photo=espresso&step={step}")
        expect(visit.page.locator("[data-stage=lesson]")).to_be_visible()
        assert serious_violations(visit) == [], step
