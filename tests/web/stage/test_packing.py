"""Packing of arrays, which are unpacked as in the browser."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from inception.web.stage.packing import pack, quantised
from support.stage import unpack


def test_unpacking_restores_bytes_and_floats() -> None:
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
    result = quantised(maps)
    span = (result.high - result.low)[:, None, None]
    assert result.low == pytest.approx(maps.min(axis=(1, 2)))
    assert result.high == pytest.approx(maps.max(axis=(1, 2)))
    restored = result.low[:, None, None] + result.values / 255 * span
    assert np.all(np.abs(restored - maps) <= span * (0.5 / 255) + 1e-6)
    assert result.values.min(axis=(1, 2)).tolist() == [0] * 6
    assert result.values.max(axis=(1, 2)).tolist() == [255] * 6


def test_a_constant_map_is_restored_from_its_lowest_value() -> None:
    result = quantised(np.full((2, 3, 3), 1.5, np.float32))
    assert not result.values.any()
    assert result.low.tolist() == result.high.tolist() == [1.5, 1.5]
