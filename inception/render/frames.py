"""Frames on pictures: what a cell sees of the photo, and which cell of a map is meant. Arrays in, pictures out.

Frames have a light line between two dark ones, so that they show on every photo and every colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from . import maps as render

Box = tuple[int, int, int, int]  # left, top, right, bottom, without the last column and row, as in Pillow

DARK, LIGHT, LIGHT_DASHED = (0, 0, 0), (255, 255, 255), (255, 214, 0)
LINE = 4  # pixels: one dark, two light, one dark
DASH = 7
DIMMED = 0.35  # of the brightness
SIDE = 320  # pixels of a picture with frames: the longer side


def framed(
    picture: Image.Image, span: tuple[int, int], solid: Sequence[Box], dashed: Sequence[Box] = ()
) -> Image.Image:
    """The picture with a frame around each box; the dashed frames lie on top.

    `span` is the width and height in which the boxes are told, whatever the picture's own size. The
    line runs around the box, and inside it only where the picture ends.
    """
    pixels = np.array(picture.convert("RGB"))
    y, x = np.mgrid[: picture.height, : picture.width]
    dashes = (x + y) // DASH % 2 == 0
    for boxes, light, where in ((solid, LIGHT, np.ones_like(dashes)), (dashed, LIGHT_DASHED, dashes)):
        for box in boxes:
            left, top, right, bottom = _scaled(box, span, picture)
            outer = (
                max(left - LINE, 0),
                max(top - LINE, 0),
                min(right + LINE, picture.width),
                min(bottom + LINE, picture.height),
            )
            pixels[_ring(y, x, outer, 0, LINE)] = DARK
            pixels[_ring(y, x, outer, 1, LINE - 1) & where] = light
    return Image.fromarray(pixels)


def dimmed(picture: Image.Image, span: tuple[int, int], box: Box) -> Image.Image:
    """The picture in full brightness inside the box and dark around it; `span` as for `framed`."""
    pixels = np.asarray(picture.convert("RGB"))
    left, top, right, bottom = _scaled(box, span, picture)
    dark = np.round(pixels * DIMMED).astype(np.uint8)
    dark[top:bottom, left:right] = pixels[top:bottom, left:right]
    return Image.fromarray(dark)


def enlarged(seen: Image.Image, size: int = SIDE) -> Image.Image:
    """The photo that the network saw, its longer side brought to `size` pixels."""
    scale = size / max(seen.size)
    return seen.convert("RGB").resize((round(seen.width * scale), round(seen.height * scale)), Image.Resampling.BICUBIC)


def marked_map(
    values: np.ndarray,
    bounds: render.Limits,
    cell: tuple[int, int],
    colours: str = render.COLOURS[0],
    size: int = SIDE,
) -> Image.Image:
    """One map (H, W) as a palette image, a square for each cell, with a frame around the cell (row, column)."""
    image = render.heat_map(values, bounds, colours, size)
    zoom = image.width // values.shape[1]
    row, column = cell
    levels = np.array(image)
    y, x = np.mgrid[: image.height, : image.width]
    around = (
        max(column * zoom - LINE, 0),
        max(row * zoom - LINE, 0),
        min((column + 1) * zoom + LINE, image.width),
        min((row + 1) * zoom + LINE, image.height),
    )
    levels[_ring(y, x, around, 0, LINE)] = render.SILENT
    levels[_ring(y, x, around, 1, LINE - 1)] = render.SILENT_MARK
    marked = Image.frombytes("P", image.size, levels.tobytes())
    # A single map crosses nothing out, so that the two greys of silent channels are free for the frame.
    table = (image.getpalette() or [])[: 3 * render.SILENT]
    marked.putpalette([*table, *DARK, *LIGHT])
    return marked


def _scaled(box: Box, span: tuple[int, int], picture: Image.Image) -> Box:
    """The box in the picture's own pixels, at least one wide and high."""
    across, down = picture.width / span[0], picture.height / span[1]
    left, top = round(box[0] * across), round(box[1] * down)
    return left, top, max(round(box[2] * across), left + 1), max(round(box[3] * down), top + 1)


def _ring(y: np.ndarray, x: np.ndarray, box: Box, first: int, last: int) -> np.ndarray:
    """Where the pixels lie between `first` and `last` pixels inside the box's edge."""
    left, top, right, bottom = box
    depth = np.minimum(np.minimum(x - left, right - 1 - x), np.minimum(y - top, bottom - 1 - y))
    ring: np.ndarray = (depth >= first) & (depth < last)
    return ring
