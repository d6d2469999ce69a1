"""Record the page for README and tutorial, in a real browser: `python -m scripts.record_page`.

It starts the page, uses it as a visitor would, and writes docs/tour.webp (the animation), docs/page.jpg and the
pictures of docs/tutorial.md. Run it again whenever the page has changed. The tour shows GoogLeNet, whose weights are
downloaded once.
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
from inception.export.fonts import default_face

ROOT = Path(__file__).parents[1]
TOUR = "?photo=honey_bee&model=googlenet&block=4c"
TOUR_BLOCK, TOUR_BRANCH = "4b", "1x1"
TUTORIAL = "?photo=red_panda&model=tiny-imagenet&block=4c"
TUTORIAL_BRANCH = "3x3"

VIEW_WIDTH, VIEW_HEIGHT = 1440, 900  # of the browser
WIDTH, HEIGHT, BAR = 1080, 675, 52  # of the animation, and of the line of words below it
SCALE = WIDTH / VIEW_WIDTH
PATIENCE = 60_000  # milliseconds for the page to do what it is asked
PICTURES_ARE_THERE = "[...document.images].every(picture => picture.complete && picture.naturalWidth > 0)"

READ, LOOK, MOVE, FADE = 2200, 1800, 40, 60  # milliseconds of a frame
MOVES = 10  # frames of the pointer's way
QUALITY = 72

INK, PAPER, LINE, ACCENT = "#1f2937", "#f8fafc", "#e2e8f0", "#1d4ed8"
WORDS = (
    "A photo, the nine blocks of the network, and its answer: a bee",
    "Block 4b: four branches with the channels that mattered most",
    "Point at a channel: the photo shows where it is active",
    "Turn the 1×1 branch off: now the network says daisy",
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
        """The pointer goes there and presses."""
        self.move(view, step, at)
        self.show(view, step, 300)
        self.show(view, step, 350, pressed=True)

    def move(self, view: Image.Image, step: int, at: tuple[float, float]) -> None:
        """The pointer goes there, slowly at both ends."""
        start = self.pointer
        for share in np.linspace(0, np.pi, MOVES + 1)[1:]:
            way = (1 - float(np.cos(share))) / 2
            self.pointer = (start[0] + way * (at[0] - start[0]), start[1] + way * (at[1] - start[1]))
            self.show(view, step, MOVE)

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
    frame.paste(view.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
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


def record(page: Page) -> bytes:
    """Return the animation: photo and answer, a block, a channel, a branch off."""
    film = Film()
    film.show(seen(page), 1, READ)

    block = page.locator(f'[data-block="{TOUR_BLOCK}"]')
    film.click(seen(page), 1, middle(block))
    block.click()
    page.mouse.move(0, 0)
    quiet(page)
    view = seen(page)
    film.fade(view, 2)
    film.show(view, 2, READ)

    channel = page.locator(f'[data-lane="{TOUR_BRANCH}"] [data-channel]').first
    film.move(view, 2, middle(channel))
    channel.hover()
    quiet(page)
    view = seen(page)
    film.fade(view, 3)
    film.show(view, 3, READ)

    switch = page.locator(f'[data-switch="{TOUR_BRANCH}"]')
    film.click(view, 3, middle(switch))
    switch.click()
    page.mouse.move(0, 0)
    quiet(page)
    view = seen(page)
    film.fade(view, 4)
    film.show(view, 4, READ + LOOK)
    return film.encoded()


def tutorial(page: Page) -> dict[str, Image.Image]:
    """Return pictures for the tutorial by their names."""
    stills = {"tutorial-answer": seen(page)}
    for name in ("network", "block"):
        stills[f"tutorial-{name}"] = cut(page, page.locator(f'[data-stage="{name}"]'))
    page.locator(f'[data-lane="{TUTORIAL_BRANCH}"] [data-channel]').first.click()
    expect(page.locator(".lens")).to_be_visible(timeout=PATIENCE)
    quiet(page)
    stills["tutorial-channel"] = cut(page, page.locator(".lens"))
    return stills


def open_stage(page: Page, address: str) -> None:
    """Open an address of the stage and wait until everything is there."""
    page.goto(address)
    expect(page.locator('[data-lane="pool"] [data-channel]').first).to_be_visible(timeout=PATIENCE)
    expect(page.locator('[data-lane="pool"] .worth .number')).to_be_visible(timeout=PATIENCE)
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


def middle(part: Locator) -> tuple[float, float]:
    """A part's middle in the animation."""
    box = part.bounding_box()
    assert box is not None
    return (box["x"] + box["width"] / 2) * SCALE, (box["y"] + box["height"] / 2) * SCALE


def seen(page: Page) -> Image.Image:
    """The window as it is."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def cut(page: Page, part: Locator) -> Image.Image:
    """A part of the page alone."""
    return Image.open(io.BytesIO(part.screenshot())).convert("RGB")


def encoded(picture: Image.Image, kind: str) -> bytes:
    """For a page of docs/, at most as wide as the animation."""
    out = io.BytesIO()
    small = picture.copy()
    small.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    options = {"WEBP": {"quality": 80, "method": 6}, "JPEG": {"quality": 68, "optimize": True}}
    (small if kind == "WEBP" else picture).save(out, kind, **options[kind])
    return out.getvalue()


def main(folder: Path = ROOT / "docs") -> None:
    """Write the animation and the pictures into `folder`, and print their sizes."""
    with served() as address, chromium() as browser:
        page = browser.new_page(
            viewport={"width": VIEW_WIDTH, "height": VIEW_HEIGHT},
            locale="en-US",
            color_scheme="light",
            reduced_motion="reduce",
        )
        open_stage(page, address + TOUR)
        files = {"tour.webp": record(page), "page.jpg": encoded(seen(page), "JPEG")}
        open_stage(page, address + TUTORIAL)
        stills = tutorial(page)
        open_stage(page, f"{address}{TUTORIAL}&off=4c:{TUTORIAL_BRANCH}")
        stills["tutorial-switch"] = seen(page)
        files |= {f"{name}.webp": encoded(still, "WEBP") for name, still in stills.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        print(f"{len(data):>8,}  {name}")


if __name__ == "__main__":
    main()
