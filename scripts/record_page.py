"""Record the page for README and tutorial, in a real browser: `python -m scripts.record_page`.

Starts the page, uses it as a visitor would, and writes docs/tour.webp (the animation), docs/page.jpg and the pictures
of docs/tutorial.md. Run it again when the page has changed. The tour shows GoogLeNet and downloads its weights once.
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

from benchmarks.browser import chromium, wait_until
from inception.render.fonts import default_face

ROOT = Path(__file__).parents[1]
TOUR = "?photo=honey_bee&model=googlenet&block=4c"
TOUR_BLOCK, TOUR_BRANCH = "4b", "1x1"
TUTORIAL = "?photo=red_panda&model=tiny-imagenet&block=4c"
TUTORIAL_BRANCH = "3x3"

VIEW_WIDTH, VIEW_HEIGHT = 1440, 900  # of the browser
WIDTH, HEIGHT, BAR = 1080, 675, 52  # of the animation, and height of the caption below it
SCALE = WIDTH / VIEW_WIDTH
TIMEOUT = 60_000  # milliseconds
PICTURES_ARE_LOADED = "[...document.images].every(picture => picture.complete && picture.naturalWidth > 0)"

READ, LOOK, MOVE, FADE = 2200, 1800, 40, 60  # milliseconds of a frame
MOVES = 10  # frames of a movement of the pointer
QUALITY = 72

INK, PAPER, LINE, ACCENT = "#1f2937", "#f8fafc", "#e2e8f0", "#1d4ed8"
CAPTIONS = (
    "A photo, the nine blocks of the network, and its answer: a bee",
    "Block 4b: four branches with the channels that mattered most",
    "Point at a channel: the photo shows where it is active",
    "Turn the 1×1 branch off: now the network says daisy",
)


@dataclass
class Film:
    """Frames and their durations in milliseconds; includes the pointer, which headless browsers do not draw."""

    frames: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    pointer: tuple[float, float] = (WIDTH * 0.8, HEIGHT * 0.85)

    def show(self, view: Image.Image, step: int, duration: int, *, pressed: bool = False) -> None:
        """Add a frame of the page with the pointer on it and the caption below it."""
        frame = with_caption(view, step)
        draw_pointer(frame, self.pointer, pressed=pressed)
        self.frames.append(frame)
        self.durations.append(duration)

    def fade(self, view: Image.Image, step: int) -> None:
        """Cross-fade from the last frame to the next scene."""
        before, after = self.frames[-1], with_caption(view, step)
        draw_pointer(after, self.pointer, pressed=False)
        for share in (0.3, 0.7):
            self.frames.append(Image.blend(before, after, share))
            self.durations.append(FADE)

    def click(self, view: Image.Image, step: int, at: tuple[float, float]) -> None:
        """Move the pointer to a point and press."""
        self.move(view, step, at)
        self.show(view, step, 300)
        self.show(view, step, 350, pressed=True)

    def move(self, view: Image.Image, step: int, at: tuple[float, float]) -> None:
        """Move the pointer to a point, easing in and out."""
        start = self.pointer
        for angle in np.linspace(0, np.pi, MOVES + 1)[1:]:
            share = (1 - float(np.cos(angle))) / 2
            self.pointer = (start[0] + share * (at[0] - start[0]), start[1] + share * (at[1] - start[1]))
            self.show(view, step, MOVE)

    def encode(self) -> bytes:
        """Encode as a looping animated WebP."""
        out = io.BytesIO()
        first, *others = self.frames
        first.save(
            out,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=self.durations,
            loop=0,
            quality=QUALITY,
            method=6,
            minimize_size=True,
        )
        return out.getvalue()


def with_caption(view: Image.Image, step: int) -> Image.Image:
    """Draw the page with the number of the step, its caption and the progress below it."""
    frame = Image.new("RGB", (WIDTH, HEIGHT + BAR), PAPER)
    frame.paste(view.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
    pen, middle = ImageDraw.Draw(frame), HEIGHT + BAR // 2
    pen.line((0, HEIGHT, WIDTH, HEIGHT), fill=LINE, width=2)
    pen.ellipse((22, middle - 16, 54, middle + 16), fill=ACCENT)
    pen.text((38, middle), str(step), fill="white", font=default_face().at(18), anchor="mm")
    pen.text((70, middle), CAPTIONS[step - 1], fill=INK, font=default_face().at(21), anchor="lm")
    for number in range(1, len(CAPTIONS) + 1):
        x = WIDTH - 24 - 20 * (len(CAPTIONS) - number)
        pen.ellipse((x - 5, middle - 5, x + 5, middle + 5), fill=ACCENT if number <= step else LINE)
    return frame


def draw_pointer(frame: Image.Image, at: tuple[float, float], *, pressed: bool) -> None:
    """Draw an arrow with its tip at a point, at four times the size and scaled down for smooth edges."""
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
def running_page() -> Iterator[str]:
    """Serve the page on a free local port; yield its address."""
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
    """Record the animation: photo and answer, a block, a channel, a branch off."""
    film = Film()
    film.show(screenshot(page), 1, READ)

    block = page.locator(f'[data-block="{TOUR_BLOCK}"]')
    film.click(screenshot(page), 1, centre(block))
    block.click()
    page.mouse.move(0, 0)
    wait_until_still(page)
    view = screenshot(page)
    film.fade(view, 2)
    film.show(view, 2, READ)

    channel = page.locator(f'[data-lane="{TOUR_BRANCH}"] [data-channel]').first
    film.move(view, 2, centre(channel))
    channel.hover()
    wait_until_still(page)
    view = screenshot(page)
    film.fade(view, 3)
    film.show(view, 3, READ)

    switch = page.locator(f'[data-switch="{TOUR_BRANCH}"]')
    film.click(view, 3, centre(switch))
    switch.click()
    page.mouse.move(0, 0)
    wait_until_still(page)
    view = screenshot(page)
    film.fade(view, 4)
    film.show(view, 4, READ + LOOK)
    return film.encode()


def tutorial(page: Page) -> dict[str, Image.Image]:
    """Take the tutorial's pictures; return them by name."""
    stills = {"tutorial-answer": screenshot(page)}
    for name in ("network", "block"):
        stills[f"tutorial-{name}"] = element_screenshot(page, page.locator(f'[data-stage="{name}"]'))
    page.locator(f'[data-lane="{TUTORIAL_BRANCH}"] [data-channel]').first.click()
    expect(page.locator(".lens")).to_be_visible(timeout=TIMEOUT)
    wait_until_still(page)
    stills["tutorial-channel"] = element_screenshot(page, page.locator(".lens"))
    return stills


def open_stage(page: Page, address: str) -> None:
    """Open an address of the stage and wait until everything is shown."""
    page.goto(address)
    expect(page.locator('[data-lane="pool"] [data-channel]').first).to_be_visible(timeout=TIMEOUT)
    expect(page.locator('[data-lane="pool"] .worth .number')).to_be_visible(timeout=TIMEOUT)
    wait_until_still(page)


def wait_until_still(page: Page) -> None:
    """Wait until all pictures are loaded and two successive screenshots are equal."""
    wait_until(page, PICTURES_ARE_LOADED, timeout=TIMEOUT)
    before = page.screenshot()
    for _ in range(100):
        page.wait_for_timeout(800)
        now = page.screenshot()
        if now == before:
            return
        before = now
    raise TimeoutError("the page keeps changing")


def centre(element: Locator) -> tuple[float, float]:
    """Return the centre of an element, in pixels of the animation."""
    box = element.bounding_box()
    assert box is not None
    return (box["x"] + box["width"] / 2) * SCALE, (box["y"] + box["height"] / 2) * SCALE


def screenshot(page: Page) -> Image.Image:
    """Return a screenshot of the window."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def element_screenshot(page: Page, element: Locator) -> Image.Image:
    """Return a screenshot of an element."""
    return Image.open(io.BytesIO(element.screenshot())).convert("RGB")


def encode(picture: Image.Image, file_format: str) -> bytes:
    """Encode a picture for docs/; WebP is at most as wide as the animation."""
    out = io.BytesIO()
    small = picture.copy()
    small.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    options = {"WEBP": {"quality": 80, "method": 6}, "JPEG": {"quality": 68, "optimize": True}}
    (small if file_format == "WEBP" else picture).save(out, file_format, **options[file_format])
    return out.getvalue()


def main(folder: Path = ROOT / "docs") -> None:
    """Write the animation and the pictures into `folder` and print their sizes."""
    with running_page() as address, chromium() as browser:
        page = browser.new_page(
            viewport={"width": VIEW_WIDTH, "height": VIEW_HEIGHT},
            locale="en-US",
            color_scheme="light",
            reduced_motion="reduce",
        )
        open_stage(page, address + TOUR)
        files = {"tour.webp": record(page), "page.jpg": encode(screenshot(page), "JPEG")}
        open_stage(page, address + TUTORIAL)
        stills = tutorial(page)
        open_stage(page, f"{address}{TUTORIAL}&off=4c:{TUTORIAL_BRANCH}")
        stills["tutorial-switch"] = screenshot(page)
        files |= {f"{name}.webp": encode(still, "WEBP") for name, still in stills.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        print(f"{len(data):>8,}  {name}")


if __name__ == "__main__":
    main()
