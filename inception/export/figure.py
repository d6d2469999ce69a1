"""A block's four panels with their caption as one picture, for slides and reports."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ..render.branches import Panel
from ..render.fonts import Face, default_face, face_for
from ..render.maps import colour_bar

# As in the page's style sheet.
BRANCH_COLOURS = {"1x1": (0, 114, 178), "3x3": (213, 94, 0), "5x5": (0, 158, 115), "pool": (176, 82, 142)}
INK, PALE_INK, PAPER = (20, 24, 32), (82, 90, 104), (255, 255, 255)
BAR_LENGTH = 18  # of a shared colour scale, in em

# Lines break between Western words, and after any Chinese character, but not before Chinese punctuation. Hand-written
# because `textwrap` counts characters and not pixels, and knows no Chinese.
WORDS = re.compile(
    r"[^\s\u2e80-\u9fff\uff00-\uffef]+|\s+|[\u2e80-\u9fff\uff00-\uffef][\u3001\u3002\uff0c\uff1a\uff1b\uff09]*"
)


@dataclass(frozen=True)
class BranchCaption:
    """The text above a panel; `ends` label the ends of its own colour scale, if it has one."""

    heading: str
    numbers: str
    ends: tuple[str, str] | None = None


@dataclass(frozen=True)
class Caption:
    """The text of a figure; `ends` label the ends of the colour scale that all panels share, if they do."""

    title: str
    lines: tuple[str, ...]
    branches: Mapping[str, BranchCaption]
    ends: tuple[str, str] | None = None

    @property
    def text(self) -> str:
        """All text as one string, to choose a font for it."""
        shared = self.ends or ()
        parts = [part for one in self.branches.values() for part in (one.heading, one.numbers, *(one.ends or ()))]
        return "".join((self.title, *self.lines, *shared, *parts))


def draw_figure(image: Image.Image, panels: Mapping[str, Panel], caption: Caption, colours: str) -> Image.Image:
    """Draw the caption beside the network's input, and below them the panels side by side, in their own pixels."""
    width = max(panel.image.width for panel in panels.values())
    em = max(15, width // 30)  # pixels
    gap = 2 * em
    canvas = _Canvas(face_for(caption.text) or default_face(), em)
    signed = any(panel.signed for panel in panels.values())
    page = len(panels) * (width + gap) + gap

    photo = 8 * em
    beside = gap + photo + em
    top = gap + canvas.title(caption.title, beside, gap, page - beside - gap)
    for line in caption.lines:
        top += canvas.write(line, beside, top, page - beside - gap, PALE_INK)
    if caption.ends is not None:
        top += canvas.bar(caption.ends, beside, top, BAR_LENGTH * em, colours, signed=signed)
    canvas.paste(image.resize((photo, photo), Image.Resampling.NEAREST), gap, gap)

    top = max(top, gap + photo) + em
    lefts = {branch: gap + number * (width + gap) for number, branch in enumerate(panels)}
    heads = [_head(canvas, branch, caption.branches[branch], left, top, width) for branch, left in lefts.items()]
    below = top + max(heads)
    bottom = below
    for branch, left in lefts.items():
        panel, ends = panels[branch], caption.branches[branch].ends
        canvas.paste(panel.image, left, below)
        end = below + panel.image.height
        if ends is not None:
            end += em // 2 + canvas.bar(ends, left, end + em // 2, width, colours, signed=signed)
        bottom = max(bottom, end)
    return canvas.render(page, bottom + gap)


def encode_png(image: Image.Image) -> bytes:
    """Return the bytes of a PNG; equal pictures give equal bytes."""
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()


def _head(canvas: _Canvas, branch: str, caption: BranchCaption, left: int, top: int, width: int) -> int:
    """Draw a stroke in the branch's colour and the panel's text below it; return their height in pixels."""
    stroke = max(3, canvas.em // 5)
    canvas.fill(BRANCH_COLOURS[branch], left, top, width, stroke)
    height = stroke + canvas.em // 2
    height += canvas.write(caption.heading, left, top + height, width, INK)
    height += canvas.write(caption.numbers, left, top + height, width, PALE_INK)
    return height + canvas.em // 2


class _Canvas:
    """Collects drawing operations until the size of the picture is known."""

    def __init__(self, face: Face, em: int) -> None:
        self.em = em
        self._face = face
        self._font, self._large = face.at(em), face.at(em * 8 // 5)
        self._operations: list[Callable[[Image.Image, ImageDraw.ImageDraw], None]] = []

    def title(self, text: str, left: int, top: int, width: int) -> int:
        """Draw large text; return its height in pixels."""
        return self._lines(text, left, top, width, INK, self._large, self.em * 5 // 2)

    def write(self, text: str, left: int, top: int, width: int, colour: tuple[int, int, int]) -> int:
        """Draw text, wrapped to the width; return its height in pixels."""
        return self._lines(text, left, top, width, colour, self._font, self.em * 3 // 2)

    def _lines(
        self,
        text: str,
        left: int,
        top: int,
        width: int,
        colour: tuple[int, int, int],
        font: ImageFont.FreeTypeFont,
        leading: int,
    ) -> int:
        lines = wrap_text(text, font, width)
        places = [(left, top + number * leading) for number in range(len(lines))]

        def write(_: Image.Image, draw: ImageDraw.ImageDraw) -> None:
            for place, line in zip(places, lines, strict=True):
                draw.text(place, line, fill=colour, font=font)

        self._operations.append(write)
        return len(lines) * leading

    def bar(self, ends: tuple[str, str], left: int, top: int, width: int, colours: str, *, signed: bool) -> int:
        """Draw a colour scale between the labels of its ends; return its height in pixels."""
        low, high = (round(self._font.getlength(end)) for end in ends)
        thick, space = self.em * 3 // 4, self.em // 2
        length = max(self.em, width - low - high - 2 * space)
        strip = colour_bar(colours, signed=signed).convert("RGB").resize((length, thick))
        self.write(ends[0], left, top, width, INK)
        self.paste(strip, left + low + space, top + self.em // 5)
        self.write(ends[1], left + low + length + 2 * space, top, width, INK)
        return self.em * 3 // 2

    def paste(self, image: Image.Image, left: int, top: int) -> None:
        clear = image.convert("RGBA")
        self._operations.append(lambda paper, _: paper.paste(clear, (left, top), clear))

    def fill(self, colour: tuple[int, int, int], left: int, top: int, width: int, height: int) -> None:
        box = (left, top, left + width - 1, top + height - 1)
        self._operations.append(lambda _, draw: draw.rectangle(box, fill=colour))

    def render(self, width: int, height: int) -> Image.Image:
        """Return a picture of this size with all that was drawn."""
        paper = Image.new("RGB", (width, height), PAPER)
        draw = ImageDraw.Draw(paper)
        for operation in self._operations:
            operation(paper, draw)
        return paper


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Return text as lines of at most `width` pixels; a longer word has a line of its own."""
    lines = [""]
    for word in WORDS.findall(text):
        if lines[-1] and font.getlength((lines[-1] + word).rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip()
    return [line for line in lines if line]
