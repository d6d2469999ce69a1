"""Frames on pictures: receptive fields on the photo, and single cells of a map.

A frame is a light line between two dark ones, visible on every photo and colour. Drawn with NumPy because Pillow's
`ImageDraw` has no dashed lines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from .maps import COLOURS, SILENT, SILENT_MARK, Limits, heat_map

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two exclusive, as in Pillow

DARK, LIGHT, LIGHT_DASHED = (0, 0, 0), (255, 255, 255), (255, 214, 0)
LINE = 4  # pixels: one dark, two light, one dark
DASH = 7
DIMMED = 0.35  # of the brightness
SIDE = 320  # pixels of the longer side of a picture with frames


def framed(
    picture: Image.Image, span: tuple[int, int], solid: Sequence[Box], dashed: Sequence[Box] = ()
) -> Image.Image:
    """Return the picture with a frame around each box, the dashed ones on top.

    `span` is the width and height of the boxes' coordinate system, which is scaled to the picture. The line lies
    outside the box, and inside it at the picture's edge.
    """
    pixels = np.array(picture.convert("RGB"))
    y, x = np.mgrid[: picture.height, : picture.width]
    dashes = (x + y) // DASH % 2 == 0
    for boxes, light, mask in ((solid, LIGHT, np.ones_like(dashes)), (dashed, LIGHT_DASHED, dashes)):
        for box in boxes:
            left, top, right, bottom = _scaled(box, span, picture)
            outer = (
                max(left - LINE, 0),
                max(top - LINE, 0),
                min(right + LINE, picture.width),
                min(bottom + LINE, picture.height),
            )
            pixels[_ring(y, x, outer, 0, LINE)] = DARK
            pixels[_ring(y, x, outer, 1, LINE - 1) & mask] = light
    return Image.fromarray(pixels)


def dimmed(picture: Image.Image, span: tuple[int, int], box: Box) -> Image.Image:
    """Return the picture with everything outside the box darkened; `span` as for `framed`."""
    pixels = np.asarray(picture.convert("RGB"))
    left, top, right, bottom = _scaled(box, span, picture)
    dark = np.round(pixels * DIMMED).astype(np.uint8)
    dark[top:bottom, left:right] = pixels[top:bottom, left:right]
    return Image.fromarray(dark)


def enlarged(image: Image.Image, size: int = SIDE) -> Image.Image:
    """Return the network's input with its longer side scaled to `size` pixels."""
    scale = size / max(image.size)
    pixels = (round(image.width * scale), round(image.height * scale))
    return image.convert("RGB").resize(pixels, Image.Resampling.BICUBIC)


def marked_map(
    values: np.ndarray,
    bounds: Limits,
    cell: tuple[int, int],
    colours: str = COLOURS[0],
    size: int = SIDE,
) -> Image.Image:
    """Draw one map (H, W) as `heat_map` does, with a frame around the cell (row, column)."""
    image = heat_map(values, bounds, colours, size)
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
    levels[_ring(y, x, around, 0, LINE)] = SILENT
    levels[_ring(y, x, around, 1, LINE - 1)] = SILENT_MARK
    marked = Image.frombytes("P", image.size, levels.tobytes())
    # The two greys of silent channels are unused in a single map, and become the frame's colours.
    table = (image.getpalette() or [])[: 3 * SILENT]
    marked.putpalette([*table, *DARK, *LIGHT])
    return marked


def _scaled(box: Box, span: tuple[int, int], picture: Image.Image) -> Box:
    """Return the box in the picture's pixels, at least one wide and high."""
    across, down = picture.width / span[0], picture.height / span[1]
    left, top = round(box[0] * across), round(box[1] * down)
    return left, top, max(round(box[2] * across), left + 1), max(round(box[3] * down), top + 1)


def _ring(y: np.ndarray, x: np.ndarray, box: Box, first: int, last: int) -> np.ndarray:
    """Return a mask of the pixels that are `first` (inclusive) to `last` (exclusive) pixels inside the box's edge."""
    left, top, right, bottom = box
    depth = np.minimum(np.minimum(x - left, right - 1 - x), np.minimum(y - top, bottom - 1 - y))
    ring: np.ndarray = (depth >= first) & (depth < last)
    return ring
