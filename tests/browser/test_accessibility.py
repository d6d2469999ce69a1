"""What axe-core finds on the page: nothing serious, in any state, language, size or brightness."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from support.paths import EXAMPLES
from support.visitor import Visit

pytestmark = pytest.mark.browser

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
TABS = ("Votes", "Whole network", "Evidence", "Grad-CAM", "One cell", "Bottleneck")


def serious(visit: Visit) -> list[str]:
    found = Axe().run(visit.page, options=RULES).response["violations"]
    return [
        f"{finding['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for finding in found
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
        # The whole label around Gradio's buttons and boxes can be pressed; axe measures the small circle within it.
        if not (finding["id"] == "target-size" and node["html"].startswith("<input"))
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
def test_nothing_serious_is_found(visit: Visit) -> None:
    visit.page.wait_for_timeout(500)  # the examples get their names when the page is there
    assert serious(visit) == []
    visit.upload(EXAMPLES / "bison.jpg")
    visit.page.locator(".il-panel img").nth(3).wait_for(timeout=30_000)
    visit.come_near()
    visit.page.locator("#il-votes section").first.wait_for(timeout=30_000)
    visit.page.locator(".il-panel img").nth(1).click(position={"x": 60, "y": 50})
    visit.page.locator(".il-lens").wait_for()
    assert serious(visit) == []


def test_nothing_serious_is_found_in_any_explanation(visit: Visit) -> None:
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a")
    visit.come_near()
    for name in TABS:
        visit.page.get_by_role("tab", name=name, exact=True).click()
        visit.page.locator("[role=tabpanel]:visible section").first.wait_for(timeout=30_000)
        assert serious(visit) == [], name
