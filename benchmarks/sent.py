"""What the stage weighs on a school's network: `python -m benchmarks.sent`.

- `bytes-open`: all that the server sends to a real browser at the first visit, with headers, in units of 250 kB.
- `open-slow`: time until the lanes of a first visit are drawn over slow 3G, as Chromium's developer tools emulate it
  (400 kbit/s, and 2 s until an answer begins), in units of 10 s.
- `bytes`: all that it sends from the choice of a photo to the whole stage of it, with headers, in units of 600 kB. The
  worst of the example photos, with the embedded model.
"""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Page, expect

from .browser import chromium
from .measure import Row, machine, row
from .start import ROOT, served

OPEN_UNIT, UNIT = 250_000, 600_000
SLOW = {"offline": False, "latency": 2000, "downloadThroughput": 50_000, "uploadThroughput": 50_000}  # ms, bytes/s
SLOW_UNIT, VISITS = 10, 3  # seconds
QUIET_MILLISECONDS = 1500  # what comes after the channels, as the votes, counts too
ANSWER = "[data-stage=answer] .rows li"


class Received:
    """How many bytes a page has been sent, as its network layer counts them: compressed, with headers."""

    def __init__(self, session: CDPSession) -> None:
        self.total = 0
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _finished(self, event: dict) -> None:
        self.total += int(event["encodedDataLength"])


def opened(browser: Browser, address: str) -> tuple[Page, int]:
    """A stage, and what its first visit took."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    received = Received(page.context.new_cdp_session(page))
    page.goto(address)
    _settle(page)
    return page, received.total


def slow_visit(browser: Browser, address: str) -> float:
    """Seconds until the lanes of a first visit are drawn over a slow network."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW)
    begin = time.perf_counter()
    page.goto(address, wait_until="commit")
    expect(page.locator("[data-lane] [data-channel]").first).to_be_attached(timeout=60_000)
    seconds = time.perf_counter() - begin
    page.context.close()
    return seconds


def answer_bytes(browser: Browser, address: str, photo: Path) -> int:
    """Sent for one photo."""
    page, _ = opened(browser, address)
    before = page.locator("[data-lane] [data-channel]").first.element_handle()
    received = Received(page.context.new_cdp_session(page))
    page.locator("[data-stage=photo] input[type=file]").set_input_files(photo)
    page.wait_for_function("before => !before.isConnected", arg=before, timeout=30_000)
    _settle(page)
    page.context.close()
    return received.total


def _settle(page: Page) -> None:
    expect(page.locator(ANSWER).first).to_be_visible(timeout=30_000)
    expect(page.locator("[data-lane] .worth .number")).to_have_count(4, timeout=30_000)
    page.wait_for_timeout(QUIET_MILLISECONDS)


def rows() -> list[Row]:
    with served() as (address, _), chromium() as browser:
        page, first = opened(browser, address)
        page.context.close()
        slow = [slow_visit(browser, address) / SLOW_UNIT for _ in range(VISITS)]
        sizes = [answer_bytes(browser, address, photo) for photo in sorted((ROOT / "examples").glob("*.jpg"))]
    found = row("bytes", [size / UNIT for size in sizes], 1.0)
    share = first / OPEN_UNIT
    return [
        Row("bytes-open", share, 1.0, (share, share)),
        row("open-slow", slow, 1.0),
        Row(found.name, max(sizes) / UNIT, found.bound, found.spread),
    ]


if __name__ == "__main__":
    print(machine())
    for told in rows():
        print(told)
