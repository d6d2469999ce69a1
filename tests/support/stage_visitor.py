"""The stage in a Chromium that can reach only the page's own server."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, expect

from support.visitor import PageVisit

VIEWS = ("evidence", "unit", "cell", "cost", "census", "dial", "compare", "numbers", "about")  # of *Go deeper*
REJECTED = "Failed to load resource: the server responded with a status of 4"


class StageVisit(PageVisit):
    """A visit to the stage, with its requests and errors; `open` begins it.

    Attributes:
        requests: the URLs of all requests.
        expects_rejections: whether responses with a status of 4xx, which the browser logs as errors, are ignored.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = f"{address.rstrip('/')}/"
        super().__init__(context, address)
        self.requests: list[str] = []
        self._open_requests: set[Request] = set()
        self.expects_rejections = False
        self.page.on("console", self._record_error)
        self.page.on("request", self._record_request)
        self.page.on("requestfinished", self._record_end)
        self.page.on("requestfailed", self._record_end)

    def open(self, query: str = "?photo=espresso") -> None:
        self.page.goto(self.address + query)
        self.settle()

    def settle(self) -> None:
        """Wait until the stage shows the answer, and the channels of the unfolded block."""
        expect(self.page.locator("[data-stage=answer] .rows li").first).to_be_attached(timeout=30_000)
        for lane in ("1x1", "3x3", "5x5", "pool"):
            expect(self.page.locator(f"[data-lane='{lane}'] [data-channel]").first).to_be_attached(timeout=30_000)
        expect(self.page.locator("[data-lane='1x1'] .worth .number")).not_to_be_empty(timeout=30_000)

    def wait_until_idle(self) -> None:
        """Wait until all requests have ended and none is made for half a second.

        Playwright's state `networkidle` is about the loading of the page: once reached, it is not waited for again.
        """
        for _ in range(240):
            count = len(self.requests)
            self.page.wait_for_timeout(500)
            if not self._open_requests and len(self.requests) == count:
                return
        raise AssertionError(f"requests did not end: {[request.url for request in self._open_requests]}")

    def _record_error(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not (self.expects_rejections and message.text.startswith(REJECTED)):
            self.errors.append(message.text)

    def _record_request(self, request: Request) -> None:
        self.requests.append(request.url)
        self._open_requests.add(request)

    def _record_end(self, request: Request) -> None:
        self._open_requests.discard(request)

    def upload(self, photo: Path) -> None:
        self.page.locator("[data-stage=photo] input[type=file]").set_input_files(photo)

    def unfold(self, block: str) -> None:
        self.page.locator(f"[data-block='{block}']").click()
        expect(self.page.locator("[data-stage=block] h2").first).to_contain_text(block)

    def switch(self, branch: str) -> None:
        self.page.locator(f"[data-switch='{branch}']").click()

    @property
    def headline(self) -> str:
        return self.page.locator("[data-stage=answer] h2").inner_text()

    def is_in_view(self, selector: str) -> bool:
        """Whether an element lies within the window, without scrolling."""
        return self.page.locator(selector).first.evaluate(
            """element => {
              const box = element.getBoundingClientRect();
              return box.width > 0 && box.top >= 0 && box.left >= 0 &&
                box.bottom <= innerHeight + 1 && box.right <= innerWidth + 1;
            }"""
        )
