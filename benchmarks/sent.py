"""What an answer weighs on a school's network: `python -m benchmarks.sent`.

- `bytes`: all that the server sends to a real browser from the choice of a photo to its answer and the four
  panels, with headers, in units of 600 kB. The worst of the example photos, with the embedded model.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, CDPSession, expect

from .browser import chromium
from .measure import Row, machine, row
from .start import ROOT, served

UNIT = 600_000
QUIET_MILLISECONDS = 1500  # what comes after the panels, as the votes, counts too


class Received:
    """How many bytes a page has been sent, as its network layer counts them: compressed, with headers."""

    def __init__(self, session: CDPSession) -> None:
        self.total = 0
        self._streamed: dict[str, int] = {}
        session.on("Network.responseReceived", self._begun)
        session.on("Network.dataReceived", self._more)
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _begun(self, event: dict) -> None:
        self._add(event["requestId"], event["response"]["encodedDataLength"])

    def _more(self, event: dict) -> None:
        self._add(event["requestId"], event["encodedDataLength"] or event["dataLength"])

    def _finished(self, event: dict) -> None:
        # Knows the whole, which for a stream comes in pieces before.
        self.total += max(0, int(event["encodedDataLength"]) - self._streamed.pop(event["requestId"], 0))

    def _add(self, request: str, count: int) -> None:
        self._streamed[request] = self._streamed.get(request, 0) + count
        self.total += count


def answer_bytes(browser: Browser, address: str, photo: Path) -> int:
    """Sent for one answer."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address)
    expect(page.locator("#il-photo")).to_be_visible(timeout=30_000)
    page.wait_for_timeout(QUIET_MILLISECONDS)
    received = Received(page.context.new_cdp_session(page))
    page.locator("#il-photo input[type=file]").first.set_input_files(photo)
    expect(page.locator(".il-panel img")).to_have_count(4, timeout=30_000)
    page.wait_for_timeout(QUIET_MILLISECONDS)
    page.close()
    return received.total


def rows() -> list[Row]:
    with served() as (address, _), chromium() as browser:
        sizes = [answer_bytes(browser, address, photo) for photo in sorted((ROOT / "examples").glob("*.jpg"))]
    found = row("bytes", [size / UNIT for size in sizes], 1.0)
    return [Row(found.name, max(sizes) / UNIT, found.bound, found.spread)]


if __name__ == "__main__":
    print(machine())
    for told in rows():
        print(told)
