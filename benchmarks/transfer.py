"""Bytes that the stage transfers, as on a school's network: `python -m benchmarks.transfer`.

- `bytes-open`: bytes that the server sends to a real browser at its first visit, with headers, in units of 250 kB.
- `open-slow`: time until the lanes of a first visit are drawn over slow 3G, as emulated by Chromium's developer tools
  (400 kbit/s, and 2 s until a response begins), in units of 10 s.
- `bytes`: bytes that it sends from the choice of a photo until all of the stage is shown, with headers, in units of
  600 kB. The largest of the example photos' totals, with the embedded model.
"""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Page, expect

from .browser import chromium, wait_until
from .measure import Row, machine, row_of_ratios
from .start import ROOT, running_server

OPEN_UNIT, PHOTO_UNIT = 250_000, 600_000  # bytes
SLOW_3G = {"offline": False, "latency": 2000, "downloadThroughput": 50_000, "uploadThroughput": 50_000}  # ms, bytes/s
SLOW_UNIT, SLOW_VISITS = 10, 3  # seconds
QUIET_MILLISECONDS = 1500  # includes what is sent after the channels, such as the votes
ANSWER = "[data-stage=answer] .rows li"


class ReceivedBytes:
    """Bytes that a page has received, counted by its network layer: compressed, with headers."""

    def __init__(self, session: CDPSession) -> None:
        self.total = 0
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _finished(self, event: dict) -> None:
        self.total += int(event["encodedDataLength"])


def open_stage(browser: Browser, address: str) -> tuple[Page, int]:
    """Open the stage in a new context; return its page and the bytes received."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    received = ReceivedBytes(page.context.new_cdp_session(page))
    page.goto(address)
    _wait_until_shown(page)
    return page, received.total


def slow_visit(browser: Browser, address: str) -> float:
    """Return the seconds until the lanes of a first visit are drawn over slow 3G."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW_3G)
    begin = time.perf_counter()
    page.goto(address, wait_until="commit")
    expect(page.locator("[data-lane] [data-channel]").first).to_be_attached(timeout=60_000)
    seconds = time.perf_counter() - begin
    page.context.close()
    return seconds


def photo_bytes(browser: Browser, address: str, photo: Path) -> int:
    """Return the bytes received after sending a photo."""
    page, _ = open_stage(browser, address)
    before = page.locator("[data-lane] [data-channel]").first.element_handle()
    received = ReceivedBytes(page.context.new_cdp_session(page))
    page.locator("[data-stage=photo] input[type=file]").set_input_files(photo)
    wait_until(page, "before => !before.isConnected", arg=before, timeout=30_000)
    _wait_until_shown(page)
    page.context.close()
    return received.total


def _wait_until_shown(page: Page) -> None:
    expect(page.locator(ANSWER).first).to_be_visible(timeout=30_000)
    expect(page.locator("[data-lane] .worth .number")).to_have_count(4, timeout=30_000)
    page.wait_for_timeout(QUIET_MILLISECONDS)


def rows() -> list[Row]:
    with running_server() as (address, _), chromium() as browser:
        page, first_visit = open_stage(browser, address)
        page.context.close()
        slow = [slow_visit(browser, address) / SLOW_UNIT for _ in range(SLOW_VISITS)]
        sizes = [photo_bytes(browser, address, photo) for photo in sorted((ROOT / "examples").glob("*.jpg"))]
    photos = row_of_ratios("bytes", [size / PHOTO_UNIT for size in sizes], 1.0)
    open_ratio = first_visit / OPEN_UNIT
    return [
        Row("bytes-open", open_ratio, 1.0, (open_ratio, open_ratio)),
        row_of_ratios("open-slow", slow, 1.0),
        Row(photos.name, max(sizes) / PHOTO_UNIT, photos.bound, photos.spread),
    ]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
