"""Response times in the browser: `python -m benchmarks.page`.

The unit is the time from a click to a new constant picture of 224x224 pixels on an otherwise empty page
(`benchmarks/bare.py`), in the same browser, measured alternately. The network is the embedded one. Each photo, block
and switch is new to the browser, so nothing comes from its cache.

- `page-block`: from the choice of another block to the channels of its four lanes.
- `page-switch`: from switching a branch off to the answer, the maps of all blocks behind it and its block's channels.
- `page-answer`: from the choice of a photo, which is uploaded, to its answer, the channels of four lanes and the votes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import cycle

from playwright.sync_api import Browser, Page, expect

from inception.network.blocks import BLOCKS, BRANCHES

from .browser import chromium, wait_until
from .classroom import random_photos
from .measure import Row, machine, row_of_ratios
from .start import running_server

WARM_UP = 3
QUIET_MILLISECONDS = 150  # without a request, before the next click

# Counts the requests in progress, so that a click can wait for the end of the previous ones.
COUNT_REQUESTS = """
const originalFetch = window.fetch;
window.pending = 0;
window.fetch = (...parameters) => {
  window.pending += 1;
  return originalFetch(...parameters).finally(() => { window.pending -= 1; });
};
"""
HELPERS = """
const until = async done => { while (!done()) await new Promise(requestAnimationFrame); };
const tiles = () => [...document.querySelectorAll('[data-lane] [data-channel]:first-child')];
const votes = () => [...document.querySelectorAll('[data-lane] .worth .number')];
// Whether there are four elements, all of them new.
const renewed = (now, before) => now.length === 4 && now.every(element => !before.includes(element));
"""
PEER = (
    "async () => {"
    + HELPERS
    + """
  const before = document.querySelector('#picture img')?.src, begin = performance.now();
  document.getElementById('go').click();
  await until(() => {
    const now = document.querySelector('#picture img');
    return now && now.complete && now.naturalWidth > 0 && now.src !== before;
  });
  return performance.now() - begin;
}"""
)
BLOCK = (
    "async block => {"
    + HELPERS
    + """
  const before = tiles(), begin = performance.now();
  document.querySelector(`[data-block="${block}"]`).click();
  await until(() => renewed(tiles(), before));
  return performance.now() - begin;
}"""
)
SWITCH = (
    "async branch => {"
    + HELPERS
    + """
  const before = tiles(), begin = performance.now();
  document.querySelector(`[data-switch="${branch}"]`).click();
  // The maps of the other blocks are drawn together with these tiles.
  await until(() => renewed(tiles(), before) && document.querySelector('[data-stage=answer] .was'));
  return performance.now() - begin;
}"""
)
# The photo is a file created in the page, as when it is dropped or pasted.
ANSWER = (
    "async data => {"
    + HELPERS
    + """
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], 'photo.jpg', {type: 'image/jpeg'}));
  const before = tiles(), votesBefore = votes();
  const input = document.querySelector('[data-stage=photo] input[type=file]'), begin = performance.now();
  input.files = files.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
  await until(() => renewed(tiles(), before) && renewed(votes(), votesBefore));
  return performance.now() - begin;
}"""
)


class Stage:
    """The stage in a browser, with photos that are new to it."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US", reduced_motion="reduce")
        self.page.add_init_script(COUNT_REQUESTS)
        self.page.goto(address)
        self._photos = random_photos()
        self.settle()

    def settle(self) -> None:
        """Wait until everything is shown and no request is in progress."""
        expect(self.page.locator("[data-lane] .worth .number")).to_have_count(4, timeout=60_000)
        while True:
            wait_until(self.page, "window.pending === 0", timeout=60_000)
            self.page.wait_for_timeout(QUIET_MILLISECONDS)
            if self.page.evaluate("window.pending") == 0:
                return

    def measure(self, script: str, argument: str) -> float:
        """Run a script, which clicks and returns milliseconds, with no request in progress before it."""
        self.settle()
        milliseconds = float(self.page.evaluate(script, argument))
        self.settle()
        return milliseconds

    def send_photo(self) -> float:
        """Send a new photo; return the milliseconds until the stage shows its answer."""
        return self.measure(ANSWER, base64.b64encode(next(self._photos)).decode())


def open_page(browser: Browser, address: str, ready: str) -> Page:
    """Open a page and wait until the element `ready` is visible."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
    page.goto(address)
    expect(page.locator(ready)).to_be_visible(timeout=30_000)
    page.wait_for_timeout(1500)
    return page


def compare(name: str, bound: float, rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> Row:
    """Compare times that the browser measured, as `measure.compare` does."""
    pairs = [(ours(), peer()) for _ in range(WARM_UP + rounds)][WARM_UP:]
    return row_of_ratios(name, [our_time / peer_time for our_time, peer_time in pairs], bound)


def rows(rounds: int = 15) -> list[Row]:
    with running_server() as (address, _), running_server(module="benchmarks.bare") as (bare, _), chromium() as browser:
        stage, peer = Stage(browser, address), open_page(browser, bare, "#go")
        blocks = cycle(name for name in BLOCKS if name != "4c")
        branches = cycle(BRANCHES)

        def constant_picture() -> float:
            return float(peer.evaluate(PEER))

        def block() -> float:
            stage.send_photo()
            return stage.measure(BLOCK, next(blocks))

        def switch() -> float:
            stage.send_photo()
            return stage.measure(SWITCH, next(branches))

        results = [compare("page-block", 1.5, rounds, block, constant_picture)]
        results.append(compare("page-switch", 4.0, rounds, switch, constant_picture))
        stage.page.close()
        # Measured last, on a new page with its first block: by now the server has compiled its network.
        stage = Stage(browser, address)
        return [compare("page-answer", 5.0, rounds, stage.send_photo, constant_picture), *results]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
