"""The page while the app starts."""

from __future__ import annotations

import re
import time
from contextlib import closing

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, expect

from support.server import started

pytestmark = pytest.mark.browser


def test_the_page_shows_a_loading_message_and_then_the_stage(browser: Browser) -> None:
    page = browser.new_page(locale="en-GB")
    with started("app.py", "--device", "cpu") as (address, _), closing(page):
        deadline = time.monotonic() + 60
        while True:
            try:
                page.goto(f"{address}/?photo=bison&block=3b", wait_until="commit")
                break
            except Error:  # the server does not listen yet
                assert time.monotonic() < deadline, "the server never listened"
                time.sleep(0.02)
        expect(page.get_by_text("The network is being loaded")).to_be_visible()
        assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
        expect(page.locator("[data-lane] [data-channel]").first).to_be_visible(timeout=120_000)
        assert page.locator("[data-block='3b']").get_attribute("aria-selected") == "true"
        expect(page).to_have_url(re.compile("photo=bison"))
