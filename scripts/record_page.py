"""Record the page's tour for README and tutorial, in a real browser: `python -m scripts.record_page`.

It starts the page, goes through it as a visitor would (photo, answer, network, block, channel, votes), and writes
docs/tour.webp, the animation, and the pictures of docs/tutorial.md. Run it again whenever the page has changed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

from benchmarks.browser import chromium
from inception import load, open_photo, predict
from inception.export.fonts import default_face
from inception.render.maps import COLUMNS

ROOT = Path(__file__).parents[1]
PHOTO, BLOCK, BRANCH = "red_panda", "4c", "3x3"

WIDTH, HEIGHT, BAR = 1024, 604, 56  # of the browser, and of the line of words below it
PATIENCE = 60_000  # milliseconds for the page to do what it is asked
PICTURES_ARE_THERE = "[...document.images].every(picture => picture.complete && picture.naturalWidth > 0)"
MARGIN = 12  # pixels above what the page is scrolled to

READ, LOOK, MOVE, FADE = 2600, 1900, 40, 60  # milliseconds of a frame
MOVES = 10  # frames of the pointer's way
QUALITY = 68

INK, PAPER, LINE, ACCENT = "#1f2937", "#f8fafc", "#e2e8f0", "#1d4ed8"
WORDS = (
    "Choose a photo: an example, or your own",
    "The answer, and the small square that the network saw",
    "The whole network, with the photo’s own maps in it",
    "Block 4c: all channels of its four branches, on one scale",
    "One channel over the photo, with its numbers",
    "Why this answer? What each branch was worth for it",
)


@dataclass
class Film:
    """Frames and how long each is shown; the pointer is drawn here, for a browser without a window has none."""

    frames: list[Image.Image] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    pointer: tuple[float, float] = (WIDTH * 0.8, HEIGHT * 0.85)

    def show(self, view: Image.Image, step: int, time: int, *, pressed: bool = False) -> None:
        """One frame: the page, the pointer on it, the words below it."""
        frame = with_words(view, step)
        draw_pointer(frame, self.pointer, pressed=pressed)
        self.frames.append(frame)
        self.times.append(time)

    def fade(self, view: Image.Image, step: int) -> None:
        """Softly from the last frame to the next scene."""
        before, after = self.frames[-1], with_words(view, step)
        draw_pointer(after, self.pointer, pressed=False)
        for share in (0.3, 0.7):
            self.frames.append(Image.blend(before, after, share))
            self.times.append(FADE)

    def click(self, view: Image.Image, step: int, at: tuple[float, float]) -> None:
        """The pointer goes there, slowly at both ends, and presses."""
        start = self.pointer
        for share in np.linspace(0, np.pi, MOVES + 1)[1:]:
            way = (1 - float(np.cos(share))) / 2
            self.pointer = (start[0] + way * (at[0] - start[0]), start[1] + way * (at[1] - start[1]))
            self.show(view, step, MOVE)
        self.show(view, step, 300)
        self.show(view, step, 350, pressed=True)

    def encoded(self) -> bytes:
        """As an animated WebP that begins again after a pause."""
        out = io.BytesIO()
        first, *others = self.frames
        first.save(
            out,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=self.times,
            loop=0,
            quality=QUALITY,
            method=6,
            minimize_size=True,
        )
        return out.getvalue()


def with_words(view: Image.Image, step: int) -> Image.Image:
    """The page, and below it where we are and what is seen."""
    frame = Image.new("RGB", (WIDTH, HEIGHT + BAR), PAPER)
    frame.paste(view)
    pen, middle = ImageDraw.Draw(frame), HEIGHT + BAR // 2
    pen.line((0, HEIGHT, WIDTH, HEIGHT), fill=LINE, width=2)
    pen.ellipse((22, middle - 16, 54, middle + 16), fill=ACCENT)
    pen.text((38, middle), str(step), fill="white", font=default_face().at(18), anchor="mm")
    pen.text((70, middle), WORDS[step - 1], fill=INK, font=default_face().at(21), anchor="lm")
    for number in range(1, len(WORDS) + 1):
        x = WIDTH - 24 - 20 * (len(WORDS) - number)
        pen.ellipse((x - 5, middle - 5, x + 5, middle + 5), fill=ACCENT if number <= step else LINE)
    return frame


def draw_pointer(frame: Image.Image, at: tuple[float, float], *, pressed: bool) -> None:
    """An arrow whose tip is at that point, drawn larger and made smaller, so that its edges are smooth."""
    side, times = 64, 4
    sheet = Image.new("RGBA", (side * times, side * times))
    pen, tip = ImageDraw.Draw(sheet), side // 2 * times
    if pressed:
        reach = 17 * times
        pen.ellipse(
            (tip - reach, tip - reach, tip + reach, tip + reach), outline=ACCENT, width=3 * times, fill="#1d4ed840"
        )
    shape = ((0, 0), (0, 19), (4.5, 15), (7.6, 22), (11, 20.5), (8, 13.8), (14, 13.6))
    corners = [(tip + x * times, tip + y * times) for x, y in shape]
    pen.polygon(corners, fill="#111827", outline="white", width=int(1.5 * times))
    small = sheet.resize((side, side), Image.Resampling.LANCZOS)
    frame.paste(small, (round(at[0]) - side // 2, round(at[1]) - side // 2), small)


@contextmanager
def served() -> Iterator[str]:
    """The page on a free port of this machine."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from inception.pretrained.zoo import MODEL_NAMES
    from inception.runtime.device import choose_device
    from inception.service.service import InferenceService
    from inception.web.blocks import build, launch_options

    page = build(InferenceService(MODEL_NAMES, choose_device("cpu")))
    _, address, _ = page.launch(**launch_options(), server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    try:
        yield address
    finally:
        page.close(verbose=False)


def record(page: Page) -> tuple[bytes, dict[str, bytes]]:
    """The animation, and by their names the pictures of the tutorial."""
    film, stills = Film(), {}

    quiet(page)
    film.show(seen(page), 1, LOOK)
    scroll_to(page, page.locator("#il-photo"))
    view = seen(page)
    film.fade(view, 1)
    film.show(view, 1, LOOK // 2)
    thumbnail = page.locator("#il-examples").get_by_role("button", name=PHOTO.replace("_", " "))
    film.click(view, 1, middle(thumbnail))
    thumbnail.click()
    shown(page, "3a")
    scroll_to(page, page.locator("#il-photo"))
    view = seen(page)
    stills["tutorial-answer"] = webp(view)
    film.fade(view, 2)
    film.show(view, 2, READ)

    scroll_to(page, page.locator("#il-map"))
    view = seen(page)
    film.fade(view, 3)
    film.show(view, 3, LOOK)
    block = page.locator(f'#il-map [data-node="{BLOCK}"]')
    stills["tutorial-network"] = webp(cut(page, page.locator("#il-map")))
    film.click(view, 3, middle(block))
    page.get_by_role("button", name=f"Block {BLOCK}").first.press("Enter")
    shown(page, BLOCK)

    scroll_to(page, page.locator("#il-panels"))
    view = seen(page)
    stills["tutorial-block"] = webp(view)
    film.fade(view, 4)
    film.show(view, 4, READ)
    picture = page.locator(f'.il-panel[data-branch="{BRANCH}"] > img')
    at = tile_of(strongest_channel(), picture)
    film.click(view, 4, at)
    page.mouse.click(*at)
    lens = page.locator(".il-lens")
    expect(lens).to_be_visible(timeout=PATIENCE)

    scroll_to(page, lens)
    view = seen(page)
    stills["tutorial-channel"] = webp(cut(page, lens))
    film.fade(view, 5)
    film.show(view, 5, READ)

    page.get_by_role("tab", name="Votes").click()
    votes = page.locator("#il-votes")
    expect(votes).to_contain_text(f"block {BLOCK}", timeout=PATIENCE)
    scroll_to(page, votes)
    view = seen(page)
    stills["tutorial-votes"] = webp(view)
    film.fade(view, 6)
    film.show(view, 6, READ + LOOK)
    return film.encoded(), stills


def strongest_channel() -> int:
    """The channel of the branch with the highest cell, in which there is most to see."""
    maps = predict(load("tiny-imagenet"), open_photo(ROOT / "examples" / f"{PHOTO}.jpg")).branch(BLOCK, BRANCH)
    return int(maps.reshape(len(maps), -1).max(axis=1).argmax())


def tile_of(channel: int, picture: Locator) -> tuple[float, float]:
    """The middle of a channel's tile in its mosaic."""
    box = picture.bounding_box()
    assert box is not None
    side = box["width"] / COLUMNS
    row, column = divmod(channel, COLUMNS)
    return box["x"] + (column + 0.5) * side, box["y"] + (row + 0.5) * side


def shown(page: Page, block: str) -> None:
    """Wait until the block's panels are there and nothing is under way."""
    panels = page.locator(f'.il-block[aria-label="Block {block}"] .il-panel img')
    expect(panels).to_have_count(4, timeout=PATIENCE)
    quiet(page)


def quiet(page: Page) -> None:
    """Wait until all pictures are there and nothing moves: two views of the page, a while apart, are the same."""
    page.wait_for_function(PICTURES_ARE_THERE, timeout=PATIENCE)
    before = page.screenshot()
    for _ in range(100):
        page.wait_for_timeout(800)
        now = page.screenshot()
        if now == before:
            return
        before = now
    raise TimeoutError("the page does not come to rest")


def scroll_to(page: Page, part: Locator) -> None:
    """Bring a part to the top of the window."""
    part.evaluate("(part, margin) => scrollTo(0, part.getBoundingClientRect().top + scrollY - margin)", MARGIN)
    quiet(page)


def middle(part: Locator) -> tuple[float, float]:
    """A part's middle in the window."""
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def seen(page: Page) -> Image.Image:
    """The window as it is."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def cut(page: Page, part: Locator) -> Image.Image:
    """A part of the page alone."""
    return Image.open(io.BytesIO(part.screenshot())).convert("RGB")


def webp(picture: Image.Image) -> bytes:
    """For a page of docs/."""
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=80, method=6)
    return out.getvalue()


def main(folder: Path = ROOT / "docs") -> None:
    """Write the animation and the pictures into `folder`, and print their sizes."""
    with served() as address, chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US", color_scheme="light")
        page.goto(address)
        expect(page.locator("#il-photo")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_role("button", name=PHOTO.replace("_", " "))).to_be_visible(timeout=PATIENCE)
        film, stills = record(page)
    for name, encoded in {"tour": film, **stills}.items():
        (folder / f"{name}.webp").write_bytes(encoded)
        print(f"{len(encoded):>8,}  {name}.webp")


if __name__ == "__main__":
    main()
