"""The line that tells the effect of a switch on a phone while the answer is scrolled out of view."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from support.stage_visitor import StageVisit


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_a_switch_shows_its_effect_while_the_answer_is_out_of_view(visit: StageVisit) -> None:
    visit.open("?photo=honey_bee&block=4b")
    line = visit.page.locator(".answer-line")
    visit.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(line).to_have_count(0)
    visit.page.locator("[data-switch=pool]").evaluate("toggle => toggle.click()")
    expect(line).to_be_visible()
    expect(line).to_contain_text(re.compile(r"bee.* % → .* %"))
    visit.page.evaluate("scrollTo(0, 0)")
    expect(line).to_be_hidden()
    visit.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(line).to_be_visible()
    visit.page.locator("[data-switch=pool]").evaluate("toggle => toggle.click()")
    expect(line).to_be_hidden()
