"""The census view: charts of what the branches respond to."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from support.stage import event_result
from support.stage_visitor import StageVisit

VIEW = "#deeper-census"
MEASURES = ("orientation", "colour", "size", "wavelength")


def test_the_charts_match_the_servers_measures(visit: StageVisit, page_address: str) -> None:
    visit.open("?photo=espresso&deeper=census")
    charts = visit.page.locator(f"{VIEW} svg")
    expect(charts).to_have_count(4, timeout=120_000)
    measures = event_result(page_address, "census", "tiny-imagenet")["measures"]
    for chart, measure in zip(charts.all(), MEASURES, strict=True):
        clear_blocks = [block for block, test in measures[measure].items() if test["clear"]]
        assert chart.locator(".clear text").all_text_contents() == clear_blocks
        expect(chart.locator(".highest")).to_have_count(len(clear_blocks))
        summary = chart.locator("xpath=..").locator("p").inner_text()
        for block, test in measures[measure].items():
            sentence = rf"In [^.:]*\b{block}\b[^.:]*, {test['highest'].replace('x', '×')} is highest\."
            if not test["clear"]:
                sentence = rf"No clear difference in[^.:]*\b{block}\b"
            assert re.search(sentence, summary), (block, summary)
    visit.page.locator(f"{VIEW} summary").click()
    expect(visit.page.locator(f"{VIEW} details h4")).to_have_text("Small network · 200 classes")
    row = visit.page.locator(f"{VIEW} tr").filter(has_text="Orientation, 4c")
    cells = row.locator("td").all_inner_texts()
    expected = measures["orientation"]["4c"]
    assert cells[:4] == [f"{value:.2f}" for value in expected["branches"].values()]


def test_clicking_a_block_of_a_chart_unfolds_it_sorted_by_the_measure(visit: StageVisit) -> None:
    visit.open("?photo=espresso&block=4c&deeper=census")
    chart = visit.page.locator(f"{VIEW} svg").nth(1)
    expect(chart).to_be_visible(timeout=120_000)
    chart.locator("rect").nth(1).click()
    expect(visit.page.locator("[data-block='3b']")).to_have_attribute("aria-selected", "true")
    expect(visit.page).to_have_url(re.compile("sort=colour"))
