"""What somebody waits for in the browser: `python -m benchmarks.page`.

The unit is the time from a click to one new constant picture of 224x224 pixels on a page that has nothing else
(`benchmarks/bare.py`), in the same browser, by turns. The embedded model. Nothing is measured that the browser
remembers: each photo, block and switch is new to it.

- `page-block`: from the choice of another block to the channels of its four lanes.
- `page-switch`: from a switch to the answer, the maps of all blocks behind it and the channels of its own.
- `page-answer`: from the choice of a photo, which is uploaded, to its answer, the channels of four lanes and the votes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import cycle

from playwright.sync_api import Browser, Page, expect

from inception.network.blocks import BLOCKS, BRANCHES

from .browser import chromium
from .classroom import photos
from .measure import Row, machine, row
from .start import served

WARM_UP = 3
QUIET_MILLISECONDS = 150  # without a request, before the next click

# Counts the requests that are under way, so that the next click can wait for the end of the one before.
COUNTED = """
const ask = window.fetch;
window.pending = 0;
window.fetch = (...told) => {
  window.pending += 1;
  return ask(...told).finally(() => { window.pending -= 1; });
};
"""
UNTIL = """
const until = async done => { while (!done()) await new Promise(requestAnimationFrame); };
const tiles = () => [...document.querySelectorAll('[data-lane] [data-channel]:first-child')];
const votes = () => [...document.querySelectorAll('[data-lane] .worth .number')];
// Whether all four are there and none is one of those before.
const renewed = (now, before) => now.length === 4 && now.every(one => !before.includes(one));
"""
PEER = (
    "async () => {"
    + UNTIL
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
    + UNTIL
    + """
  const before = tiles(), begin = performance.now();
  document.querySelector(`[data-block="${block}"]`).click();
  await until(() => renewed(tiles(), before));
  return performance.now() - begin;
}"""
)
SWITCH = (
    "async branch => {"
    + UNTIL
    + """
  const before = tiles(), begin = performance.now();
  document.querySelector(`[data-switch="${branch}"]`).click();
  // The maps of the other blocks are drawn together with these tiles.
  await until(() => renewed(tiles(), before) && document.querySelector('[data-stage=answer] .was'));
  return performance.now() - begin;
}"""
)
# A photo as it is dropped or pasted: a file made in the page.
ANSWER = (
    "async data => {"
    + UNTIL
    + """
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], 'photo.jpg', {type: 'image/jpeg'}));
  const before = tiles(), voted = votes();
  const input = document.querySelector('[data-stage=photo] input[type=file]'), begin = performance.now();
  input.files = files.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
  await until(() => renewed(tiles(), before) && renewed(votes(), voted));
  return performance.now() - begin;
}"""
)


class Stage:
    """The stage in a browser, on photos that it has not seen."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US", reduced_motion="reduce")
        self.page.add_init_script(COUNTED)
        self.page.goto(address)
        self._camera = photos()
        self.settle()

    def settle(self) -> None:
        """Wait until all is shown and nothing is asked for any more."""
        expect(self.page.locator("[data-lane] .worth .number")).to_have_count(4, timeout=60_000)
        while True:
            self.page.wait_for_function("window.pending === 0", timeout=60_000)
            self.page.wait_for_timeout(QUIET_MILLISECONDS)
            if self.page.evaluate("window.pending") == 0:
                return

    def measure(self, script: str, argument: str) -> float:
        """Milliseconds that a click takes, with nothing else under way before it."""
        self.settle()
        taken = float(self.page.evaluate(script, argument))
        self.settle()
        return taken

    def answer(self) -> float:
        """Send a new photo; milliseconds until the stage shows it."""
        return self.measure(ANSWER, base64.b64encode(next(self._camera)).decode())


def opened(browser: Browser, address: str, ready: str) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
    page.goto(address)
    expect(page.locator(ready)).to_be_visible(timeout=30_000)
    page.wait_for_timeout(1500)
    return page


def by_turns(name: str, bound: float, rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> Row:
    """As `compared`, with times that the browser took."""
    pairs = [(ours(), peer()) for _ in range(WARM_UP + rounds)][WARM_UP:]
    return row(name, [one / other for one, other in pairs], bound)


def rows(rounds: int = 15) -> list[Row]:
    with served() as (address, _), served(module="benchmarks.bare") as (bare, _), chromium() as browser:
        stage, peer = Stage(browser, address), opened(browser, bare, "#go")
        blocks = cycle(name for name in BLOCKS if name != "4c")
        branches = cycle(BRANCHES)

        def constant() -> float:
            return float(peer.evaluate(PEER))

        def block() -> float:
            stage.answer()
            return stage.measure(BLOCK, next(blocks))

        def switch() -> float:
            stage.answer()
            return stage.measure(SWITCH, next(branches))

        found = [by_turns("page-block", 1.5, rounds, block, constant)]
        found.append(by_turns("page-switch", 4.0, rounds, switch, constant))
        stage.page.close()
        # The last, with the block that is shown first: by now the server has compiled its network.
        stage = Stage(browser, address)
        return [by_turns("page-answer", 5.0, rounds, stage.answer, constant), *found]


if __name__ == "__main__":
    print(machine())
    for told in rows():
        print(told)
