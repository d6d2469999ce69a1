"""Pictures of feature maps, compared pixel by pixel with the arrays and matplotlib's colour maps."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from inception.render import maps as render
from inception.render.maps import GAP, LEVELS, SILENT, SILENT_MARK, Limits


def maps(channels: int = 5, side: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((channels, side, side)).astype(np.float32)


@pytest.mark.parametrize("side", [28, 14, 7, 16, 4, 9])
def test_a_mosaic_shows_every_cell_of_every_channel(side: int) -> None:
    values = maps(17, side)
    bounds = Limits(0, 1)
    picture = render.mosaic(values, [bounds] * 17, "viridis", columns=4)
    zoom = -(-render.TILE // side)
    step = side * zoom + 2
    assert picture.size == (4 * step - 2, 5 * step - 2)
    pixels = np.asarray(picture.convert("RGB"))
    for channel in (0, 3, 4, 16):
        top, left = channel // 4 * step, channel % 4 * step
        centres = pixels[top + zoom // 2 : top + step - 2 : zoom, left + zoom // 2 : left + step - 2 : zoom]
        expected = matplotlib.colormaps["viridis"](np.round(values[channel] * (LEVELS - 1)) / (LEVELS - 1))[..., :3]
        assert np.abs(centres / 255 - expected).max() < 0.02
        tile = np.asarray(picture)[top : top + side * zoom, left : left + side * zoom]
        assert (tile.reshape(side, zoom, side, zoom) == tile[::zoom, ::zoom][:, None, :, None]).all(), (
            "cells are squares"
        )


def test_gaps_and_missing_tiles_are_transparent() -> None:
    picture = render.mosaic(maps(5), [Limits(0, 1)] * 5, columns=4)
    indices = np.asarray(picture)
    assert indices[-1, -1] == GAP
    decoded = Image.open(io.BytesIO(render.encode(picture))).convert("RGBA")
    assert decoded.getpixel((decoded.width - 1, decoded.height - 1))[3] == 0
    assert decoded.getpixel((3, 3))[3] == 255


def test_only_silent_channels_are_crossed_out() -> None:
    values = maps(3)
    values[1] = 0
    indices = np.asarray(render.mosaic(values, [Limits(0, 1)] * 3, columns=3))
    tiles = [indices[:, start : start + render.TILE] for start in (0, render.TILE + 2, 2 * render.TILE + 4)]
    assert [bool((tile >= SILENT).any()) for tile in tiles] == [False, True, False]
    assert set(np.unique(tiles[1])) == {SILENT, SILENT_MARK}
    faint = maps(1) * 1e-6
    assert (np.asarray(render.mosaic(faint, [Limits(0, 1)], columns=1)) < LEVELS).all(), "faint is not silent"


def test_limits_of_the_three_scales() -> None:
    branches = {"a": maps(2) * 3, "b": maps(2, seed=1) * 10}
    highest = {name: float(values.max()) for name, values in branches.items()}
    assert {limits for bounds in render.scale_limits(branches, "shared").values() for limits in bounds} == {
        Limits(0, highest["b"])
    }
    assert render.scale_limits(branches, "branch")["a"] == [Limits(0, highest["a"])] * 2
    channel_limits = render.scale_limits(branches, "channel")["b"]
    assert [limits.high for limits in channel_limits] == [float(channel.max()) for channel in branches["b"]]
    with pytest.raises(ValueError, match="shared, branch, channel"):
        render.scale_limits(branches, "row")


def test_negative_values_get_a_scale_symmetric_about_zero() -> None:
    values = maps(2) - 0.8
    (bounds,) = set(render.scale_limits({"a": values}, "branch")["a"])
    assert bounds.low == -bounds.high
    assert bounds.high == pytest.approx(np.abs(values).max())
    bar = np.asarray(render.colour_bar("magma", signed=True).convert("RGB"))[0]
    assert bar[LEVELS // 2].min() > 240, "zero is white"
    picture = render.mosaic(np.stack([values[0], np.zeros_like(values[0])]), [bounds] * 2)
    assert (np.asarray(picture)[:, : render.TILE] < LEVELS).all()


@pytest.mark.parametrize("scale", render.SCALES)
def test_zero_has_the_same_colour_in_all_pictures(scale: str) -> None:
    mixed = {
        "a": np.array([[[0, 1], [0, 2]], [[0, -1], [0, 2]]], np.float32),
        "b": np.array([[[0, 3], [0, 1]]], np.float32),
    }
    bounds = render.scale_limits(mixed, scale)
    pictures = {name: render.mosaic(values, bounds[name]).convert("RGB") for name, values in mixed.items()}
    zeros = [
        pictures["a"].getpixel((5, 5)),
        pictures["a"].getpixel((render.TILE + 2 + 5, 5)),
        pictures["b"].getpixel((5, 5)),
    ]
    assert len(set(zeros)) == 1
    assert min(zeros[0]) > 240


def test_maps_of_zeros_are_drawn() -> None:
    zero = np.zeros((4, 7, 7), np.float32)
    bounds = render.scale_limits({"a": zero}, "shared")["a"]
    assert (np.asarray(render.mosaic(zero, bounds))[:56, :56] >= SILENT).all()
    assert render.heat_map(zero[0], bounds[0]).size == (448, 448)


def test_overlay_cells_are_aligned_with_the_photo() -> None:
    photo = Image.new("RGB", (224, 224), "white")
    values = np.zeros((14, 14), np.float32)
    values[3, 10] = 1
    picture = render.overlay(photo, values, Limits(0, 1), "grey", size=448)
    assert picture.size == (448, 448)
    assert picture.mode == "RGB"
    # Cell (3, 10) covers 32 pixels: its centre has the map's colour, a distant pixel shows the photo slightly darkened.
    lit, dark = picture.getpixel((10 * 32 + 16, 3 * 32 + 16)), picture.getpixel((100, 400))
    assert lit[0] > 240
    assert 200 < dark[0] < 225


def test_a_heat_map_has_one_square_for_each_cell() -> None:
    values = maps(1, 14)[0]
    picture = np.asarray(render.heat_map(values, Limits(0, 1), size=448))
    assert picture.shape == (448, 448)
    assert (picture[::32, ::32] == np.round(values * (LEVELS - 1))).all()


def test_encoding_is_lossless() -> None:
    picture = render.mosaic(maps(9), [Limits(0, 1)] * 9)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(render.encode(picture)))), np.asarray(picture))


def test_unknown_colour_map_error_lists_valid_names() -> None:
    with pytest.raises(ValueError, match="magma, inferno, viridis, cividis, grey"):
        render.colour_bar("rainbow")


def test_grey_has_equal_red_green_and_blue() -> None:
    red, green, blue = np.moveaxis(np.array(render.colour_bar("grey").convert("RGB")), 2, 0)
    assert np.array_equal(red, green)
    assert np.array_equal(red, blue)
    assert red.max() > red.min()
