"""Encoding of palette images as PNG, checked by decoding them with Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from inception.render import maps as render
from inception.render.maps import Limits
from inception.render.png import palette_png

PALETTE = tuple(np.random.default_rng(0).integers(0, 256, 3 * 256).tolist())


def read(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.integers(1, 6),
    st.integers(1, 6),
    st.one_of(st.none(), st.integers(0, 255)),
)
def test_decoding_returns_the_levels_for_every_cell_size_and_zoom(
    cells: np.ndarray, cell_size: int, zoom: int, transparent: int | None
) -> None:
    levels = cells.repeat(cell_size, axis=0).repeat(cell_size, axis=1)
    image = read(palette_png(levels, PALETTE, transparent=transparent, zoom=zoom))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), levels)
    assert tuple(image.getpalette() or ()) == PALETTE
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert np.array_equal(alpha == 0, levels == (-1 if transparent is None else transparent))


def test_a_view_of_a_larger_array_is_encoded() -> None:
    sheet = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    for zoom in (1, 2, 4):
        assert np.array_equal(np.asarray(read(palette_png(sheet[3:-1, 2:-5], PALETTE, zoom=zoom))), sheet[3:-1, 2:-5])


@pytest.mark.parametrize("side", [16, 14, 8, 7, 4])
@pytest.mark.parametrize("silent", [0, 20])
def test_a_mosaic_is_smaller_than_pillows_encoding(side: int, silent: int) -> None:
    maps = np.random.default_rng(side).random((96, side, side), dtype=np.float32)
    maps[np.random.default_rng(0).permutation(96)[:silent]] = 0
    mosaic = render.mosaic(maps, [Limits(0, 1)] * 96, tile=28)
    assert len(render.encode(mosaic)) < 0.95 * len(pillow_png(mosaic))


def test_a_heat_map_is_smaller_than_pillows_encoding() -> None:
    picture = render.heat_map(np.random.default_rng(0).random((14, 14), dtype=np.float32), Limits(0, 1))
    assert len(render.encode(picture)) < 0.95 * len(pillow_png(picture))


def pillow_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
