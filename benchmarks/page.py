"""What somebody waits for in the browser: `python -m benchmarks.page`.

The unit is the time from a click to one new constant picture of 224x224 pixels on a page that has nothing else
(`benchmarks/bare.py`), in the same browser, by turns. The embedded model.

- `page-block`: from the choice of another block to its four panels.
- `page-answer`: from the choice of a photo, which is uploaded, to its answer and the four panels.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import cycle, islice

from playwright.sync_api import Browser, Page, expect

from inception.network.blocks import BLOCKS

from .browser import chromium
from .classroom import photos
from .measure import Row, machine, row
from .start import served

WARM_UP = 3

UNTIL = """
const until = async done => { while (!done()) await new Promise(requestAnimationFrame); };
const shown = image => image && image.complete && image.naturalWidth > 0;
"""
PEER = (
    "async () => {"
    + UNTIL
    + """
  const before = document.querySelector('#picture img')?.src, begin = performance.now();
  document.getElementById('go').click();
  await until(() => { const now = document.querySelector('#picture img'); return shown(now) && now.src !== before; });
  return performance.now() - begin;
}"""
)
BLOCK = (
    "async block => {"
    + UNTIL
    + """
  const begin = performance.now();
  document.querySelector(`#il-block input[value="${block}"]`).click();
  await until(() => {
    const images = [...document.querySelectorAll(`.il-block[aria-label="Block ${block}"] .il-panel img`)];
    return images.length === 4 && images.every(shown);
  });
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
  const seen = () => document.querySelector('.il-seen img')?.src, before = seen();
  const input = document.querySelector('#il-photo input[type=file]'), begin = performance.now();
  input.files = files.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
  await until(() => {
    const images = [...document.querySelectorAll('.il-block .il-panel img')];
    return seen() && seen() !== before && images.length === 4 && images.every(shown);
  });
  return performance.now() - begin;
}"""
)


def opened(browser: Browser, address: str, ready: str) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-US")
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
        page, peer = opened(browser, address, "#il-photo"), opened(browser, bare, "#go")
        camera, blocks = photos(), cycle(["4c", "5a", "3b", "4e", *BLOCKS])

        def answer() -> float:
            return float(page.evaluate(ANSWER, base64.b64encode(next(camera)).decode()))

        def constant() -> float:
            return float(peer.evaluate(PEER))

        answers = by_turns("page-answer", 6.0, rounds, answer, constant)
        list(islice(blocks, 1))
        return [by_turns("page-block", 3.0, rounds, lambda: page.evaluate(BLOCK, next(blocks)), constant), answers]


if __name__ == "__main__":
    print(machine())
    for told in rows():
        print(told)
