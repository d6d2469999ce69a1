"""One picture of a block's four panels with all that a caption must say: to be put into slides or a report."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ..render import maps as render
from ..render.branches import Panel
from .fonts import Face, face_for, plain

# As in the page's style sheet, which a picture does not know.
BRANCH_COLOURS = {"1x1": (0, 114, 178), "3x3": (213, 94, 0), "5x5": (0, 158, 115), "pool": (176, 82, 142)}
INK, PALE_INK, PAPER = (20, 24, 32), (82, 90, 104), (255, 255, 255)
BAR_LENGTH = 18  # of the colour scale that all panels share, in lines of text

# Western words stay whole; Chinese breaks after any character, but no line begins with its punctuation.
WORDS = re.compile(
    r"[^\s\u2e80-\u9fff\uff00-\uffef]+|\s+|[\u2e80-\u9fff\uff00-\uffef][\u3001\u3002\uff0c\uff1a\uff1b\uff09]*"
)


@dataclass(frozen=True)
class BranchCaption:
    """What stands at one panel; `ends` are the numbers at the ends of its own colour scale, if it has one."""

    heading: str
    numbers: str
    ends: tuple[str, str] | None = None


@dataclass(frozen=True)
class Caption:
    """What a sheet says. `ends` are the numbers at the ends of the scale that all panels share, if they do."""

    title: str
    lines: tuple[str, ...]
    branches: Mapping[str, BranchCaption]
    ends: tuple[str, str] | None = None

    @property
    def text(self) -> str:
        """Every letter of it."""
        shared = self.ends or ()
        told = [part for one in self.branches.values() for part in (one.heading, one.numbers, *(one.ends or ()))]
        return "".join((self.title, *self.lines, *shared, *told))


def sheet(seen: Image.Image, panels: Mapping[str, Panel], caption: Caption, colours: str) -> Image.Image:
    """The caption beside the picture that the network saw, and below them the panels side by side.

    Maps keep their pixels: nothing of them is enlarged or blurred.
    """
    width = max(panel.image.width for panel in panels.values())
    em = max(15, width // 30)  # pixels
    gap = 2 * em
    pen = _Pen(face_for(caption.text) or plain(), em)
    signed = any(panel.signed for panel in panels.values())
    page = len(panels) * (width + gap) + gap

    photo = 8 * em
    beside = gap + photo + em
    top = gap + pen.title(caption.title, beside, gap, page - beside - gap)
    for line in caption.lines:
        top += pen.write(line, beside, top, page - beside - gap, PALE_INK)
    if caption.ends is not None:
        top += pen.bar(caption.ends, beside, top, BAR_LENGTH * em, colours, signed=signed)
    pen.paste(seen.resize((photo, photo), Image.Resampling.NEAREST), gap, gap)

    top = max(top, gap + photo) + em
    lefts = {branch: gap + number * (width + gap) for number, branch in enumerate(panels)}
    heads = {branch: _head(pen, branch, caption.branches[branch], left, top, width) for branch, left in lefts.items()}
    below = top + max(heads.values())
    bottom = below
    for branch, left in lefts.items():
        panel, ends = panels[branch], caption.branches[branch].ends
        pen.paste(panel.image, left, below)
        end = below + panel.image.height
        if ends is not None:
            end += em // 2 + pen.bar(ends, left, end + em // 2, width, colours, signed=signed)
        bottom = max(bottom, end)
    return pen.sheet(page, bottom + gap)


def as_png(image: Image.Image) -> bytes:
    """The same bytes for the same picture."""
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()


def _head(pen: _Pen, branch: str, caption: BranchCaption, left: int, top: int, width: int) -> int:
    """A panel's words below its branch's colour. Returns their height."""
    stroke = max(3, pen.em // 5)
    pen.fill(BRANCH_COLOURS[branch], left, top, width, stroke)
    height = stroke + pen.em // 2
    height += pen.write(caption.heading, left, top + height, width, INK)
    height += pen.write(caption.numbers, left, top + height, width, PALE_INK)
    return height + pen.em // 2


class _Pen:
    """Writes and pastes, and only then knows how large the paper must be."""

    def __init__(self, face: Face, em: int) -> None:
        self.em = em
        self._face = face
        self._font, self._large = face.at(em), face.at(em * 8 // 5)
        self._done: list[Callable[[Image.Image, ImageDraw.ImageDraw], None]] = []

    def title(self, text: str, left: int, top: int, width: int) -> int:
        """One or more large lines. Returns their height."""
        return self._lines(text, left, top, width, INK, self._large, self.em * 5 // 2)

    def write(self, text: str, left: int, top: int, width: int, colour: tuple[int, int, int]) -> int:
        """As many lines as the width asks for. Returns their height."""
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
        lines = broken(text, font, width)
        places = [(left, top + number * leading) for number in range(len(lines))]

        def write(_: Image.Image, draw: ImageDraw.ImageDraw) -> None:
            for place, line in zip(places, lines, strict=True):
                draw.text(place, line, fill=colour, font=font)

        self._done.append(write)
        return len(lines) * leading

    def bar(self, ends: tuple[str, str], left: int, top: int, width: int, colours: str, *, signed: bool) -> int:
        """A colour scale between its two numbers. Returns its height."""
        low, high = (round(self._font.getlength(end)) for end in ends)
        thick, space = self.em * 3 // 4, self.em // 2
        length = max(self.em, width - low - high - 2 * space)
        strip = render.colour_bar(colours, signed=signed).convert("RGB").resize((length, thick))
        self.write(ends[0], left, top, width, INK)
        self.paste(strip, left + low + space, top + self.em // 5)
        self.write(ends[1], left + low + length + 2 * space, top, width, INK)
        return self.em * 3 // 2

    def paste(self, image: Image.Image, left: int, top: int) -> None:
        clear = image.convert("RGBA")
        self._done.append(lambda paper, _: paper.paste(clear, (left, top), clear))

    def fill(self, colour: tuple[int, int, int], left: int, top: int, width: int, height: int) -> None:
        box = (left, top, left + width - 1, top + height - 1)
        self._done.append(lambda _, draw: draw.rectangle(box, fill=colour))

    def sheet(self, width: int, height: int) -> Image.Image:
        """The paper with all that was asked for."""
        paper = Image.new("RGB", (width, height), PAPER)
        draw = ImageDraw.Draw(paper)
        for mark in self._done:
            mark(paper, draw)
        return paper


def broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A sentence in lines that are at most `width` pixels wide, if its words are."""
    lines = [""]
    for word in WORDS.findall(text):
        if lines[-1] and font.getlength((lines[-1] + word).rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip()
    return [line for line in lines if line]
