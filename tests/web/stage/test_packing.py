"""Packed arrays, unpacked as the browser does."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from inception.web.stage.packing import pack, quantised
from support.stage import unpack


def test_bytes_and_floats_come_back() -> None:
    numbers = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    assert np.array_equal(unpack(pack(numbers)), numbers)
    channels_last = np.asfortranarray(numbers)
    assert np.array_equal(unpack(pack(channels_last)), numbers)
    levels = np.arange(24, dtype=np.uint8).reshape(2, 12)
    packed: dict[str, Any] = pack(levels)
    assert (packed["dtype"], packed["shape"]) == ("u1", [2, 12])
    assert base64.b64decode(packed["data"]) == bytes(range(24))


def test_a_quantised_value_is_within_half_a_level() -> None:
    maps = np.random.default_rng(1).normal(size=(6, 7, 7)).astype(np.float32)
    told = quantised(maps)
    span = (told.high - told.low)[:, None, None]
    assert told.low == pytest.approx(maps.min(axis=(1, 2)))
    assert told.high == pytest.approx(maps.max(axis=(1, 2)))
    back = told.low[:, None, None] + told.values / 255 * span
    assert np.all(np.abs(back - maps) <= span * (0.5 / 255) + 1e-6)
    assert told.values.min(axis=(1, 2)).tolist() == [0] * 6
    assert told.values.max(axis=(1, 2)).tolist() == [255] * 6


def test_a_constant_map_is_its_lowest_value() -> None:
    told = quantised(np.full((2, 3, 3), 1.5, np.float32))
    assert not told.values.any()
    assert told.low.tolist() == told.high.tolist() == [1.5, 1.5]
