"""Feature maps (NumPy arrays) as pictures (Pillow images).

Most are palette images: one byte a pixel, with matplotlib's colour maps as look-up tables. A cell is a square of
pixels, and cells are not interpolated, except in `overlay`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
from PIL import Image

from ..checks import choice
from .png import palette_png

SCALES = ("shared", "branch", "channel")
COLOURS = ("magma", "inferno", "viridis", "cividis", "grey")
SIGNED_COLOURS = "RdBu_r"  # for maps with negative values: zero is the white middle

LEVELS = 253  # palette entries for values; the other three mark gaps and silent channels
GAP, SILENT, SILENT_MARK = 253, 254, 255
SILENT_RGB, SILENT_MARK_RGB = (128, 132, 140), (176, 180, 188)

TILE = 56  # smallest side of a mosaic's tile in pixels: divisible by 28, 14 and 7 cells
COLUMNS = 12


@dataclass(frozen=True)
class Limits:
    """The values at the two ends of a colour scale."""

    low: float
    high: float

    @property
    def signed(self) -> bool:
        return self.low < 0


def limits(values: np.ndarray, *, signed: bool | None = None) -> Limits:
    """Return limits from zero to the largest value or, if any value is negative, symmetric around zero.

    `signed` overrides that choice, so that zero has the same colour in pictures side by side.
    """
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    return Limits(-largest, largest) if (low < 0 if signed is None else signed) else Limits(0.0, high)


def scale_limits(maps: Mapping[str, np.ndarray], scale: str) -> dict[str, list[Limits]]:
    """Return limits for each channel of each branch's maps (C, H, W).

    "shared": one scale for all branches; "branch": one for each; "channel": one for each channel.
    If any value is negative, all scales are symmetric around zero.

    Raises:
        ChoiceError: if `scale` is none of `SCALES`.
    """
    choice("scale", scale, SCALES)
    signed = any(values.min() < 0 for values in maps.values())
    if scale == "shared":
        ends = np.array([end for values in maps.values() for end in (values.min(), values.max())])
        widest = limits(ends, signed=signed)
        return {branch: [widest] * len(values) for branch, values in maps.items()}
    if scale == "branch":
        return {branch: [limits(values, signed=signed)] * len(values) for branch, values in maps.items()}
    return {branch: [limits(channel, signed=signed) for channel in values] for branch, values in maps.items()}


def mosaic(
    maps: np.ndarray, bounds: list[Limits], colours: str = COLOURS[0], columns: int = COLUMNS, tile: int = TILE
) -> Image.Image:
    """Draw all channels (C, H, W) as tiles in reading order, `columns` in a row, with transparent gaps.

    A cell is the smallest square of whole pixels that makes the longer side of a tile at least `tile` pixels. A
    channel that is zero in all cells is crossed out in grey, to tell it from a faint one.
    """
    channels, height, width = maps.shape
    zoom, gap = _zoom(height, width, tile), _gap(tile)
    rows, across = ceil(channels / columns), _levels(maps, bounds).repeat(zoom, axis=2)
    sheet = np.full((rows * (height * zoom + gap), columns * (width * zoom + gap)), GAP, dtype=np.uint8)
    # A view of the same pixels by tile, without the gaps.
    tiles = sheet.reshape(rows, height * zoom + gap, columns, -1).swapaxes(1, 2)[..., :-gap, :-gap]
    full = channels // columns
    for line in range(zoom):
        tiles[:full, :, line::zoom] = across[: full * columns].reshape(full, columns, *across.shape[1:])
        tiles[full:, : channels % columns, line::zoom] = across[full * columns :]
    silent = np.flatnonzero(~maps.reshape(channels, -1).any(axis=1))
    tiles[silent // columns, silent % columns] = _crossed(height * zoom, width * zoom)
    picture = _painted(sheet[:-gap, :-gap], colours, signed=any(b.signed for b in bounds))
    picture.info["zoom"] = zoom
    return picture


def heat_map(values: np.ndarray, bounds: Limits, colours: str = COLOURS[0], size: int = 448) -> Image.Image:
    """Draw one map (H, W) with square cells, the longer side at most `size` pixels or one pixel a cell."""
    zoom = max(1, size // max(values.shape))
    levels = _levels(values[None], [bounds])[0].repeat(zoom, axis=0).repeat(zoom, axis=1)
    picture = _painted(levels, colours, signed=bounds.signed)
    picture.info["zoom"] = zoom
    return picture


def overlay(
    image: Image.Image, values: np.ndarray, bounds: Limits, colours: str = COLOURS[0], size: int = 448
) -> Image.Image:
    """Draw one map (H, W) over the network's input in grey, as an RGB picture of size x size pixels.

    The opacity of the colours grows with the magnitude of the value, from 15 to 85 %. The map is interpolated between
    the centres of cells.
    """
    base = image.convert("L").resize((size, size), Image.Resampling.BICUBIC)
    grey = np.asarray(base, dtype=np.float32)[..., None]
    smooth = Image.fromarray(values.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    levels = _levels(np.asarray(smooth)[None], [bounds])[0]
    colour = _table(SIGNED_COLOURS if bounds.signed else colours)[levels].astype(np.float32)
    strength = levels.astype(np.float32)[..., None] / (LEVELS - 1)
    if bounds.signed:
        strength = np.abs(strength * 2 - 1)
    opacity = 0.15 + 0.7 * strength
    return Image.fromarray(np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8))


def colour_bar(colours: str, *, signed: bool = False) -> Image.Image:
    """Draw the colour scale, low to high from left to right, one pixel high."""
    return _painted(np.arange(LEVELS, dtype=np.uint8)[None], colours, signed=signed)


def encode(image: Image.Image) -> bytes:
    """Return the bytes of a PNG for palette images, without loss, and of a JPEG for photos and overlays."""
    if image.mode == "P":
        return palette_png(
            np.asarray(image),
            image.getpalette() or (),
            transparent=image.info.get("transparency"),
            zoom=image.info.get("zoom", 1),
        )
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


def _zoom(height: int, width: int, tile: int) -> int:
    return max(1, ceil(tile / max(height, width)))


def _gap(tile: int) -> int:
    """Return the number of pixels between two tiles."""
    return max(1, tile // 28)


def _levels(maps: np.ndarray, bounds: list[Limits]) -> np.ndarray:
    low = np.array([b.low for b in bounds], dtype=np.float32)[:, None, None]
    span = np.array([b.high - b.low for b in bounds], dtype=np.float32)[:, None, None]
    steps = (LEVELS - 1) / np.where(span > 0, span, 1)
    share = (maps - low) * steps if low.any() else maps * steps
    # In place from here on: these arrays are the largest of a picture.
    np.clip(share, 0, LEVELS - 1, out=share)
    return np.rint(share, out=share).astype(np.uint8)


@lru_cache(maxsize=32)
def _crossed(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    x = x * height // width
    stroke = max(1, height // 28)
    on_cross = (abs(y - x) < stroke) | (abs(height - 1 - y - x) < stroke)
    crossed = np.where(on_cross, SILENT_MARK, SILENT).astype(np.uint8)
    crossed.flags.writeable = False
    return crossed


def _painted(levels: np.ndarray, colours: str, *, signed: bool) -> Image.Image:
    height, width = levels.shape
    image = Image.frombuffer("P", (width, height), np.ascontiguousarray(levels), "raw", "P", 0, 1)
    table = np.concatenate([_table(SIGNED_COLOURS if signed else colours), [(0, 0, 0), SILENT_RGB, SILENT_MARK_RGB]])
    image.putpalette(table.astype(np.uint8).tobytes())
    image.info["transparency"] = GAP
    return image


@lru_cache(maxsize=8)
def _table(colours: str) -> np.ndarray:
    """Return a matplotlib colour map as (LEVELS, 3) bytes."""
    from matplotlib import colormaps

    if colours != SIGNED_COLOURS:
        choice("colours", colours, COLOURS)
    table = np.round(colormaps[colours](np.linspace(0, 1, LEVELS))[:, :3] * 255).astype(np.uint8)
    table.flags.writeable = False
    return table
