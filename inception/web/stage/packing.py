"""Arrays as JSON: `{"dtype": "u1" or "f4", "shape": [...], "data": base64, little-endian}`."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = 255  # of a quantised value above the lowest


def pack(array: np.ndarray) -> dict[str, Any]:
    """Return an array as plain data: bytes as they are, everything else as float32."""
    kind = "u1" if array.dtype == np.uint8 else "f4"
    values = np.ascontiguousarray(array, dtype=f"<{kind}")
    return {"dtype": kind, "shape": list(array.shape), "data": b64encode(values.tobytes()).decode("ascii")}


def block_sums(values: np.ndarray, step: int) -> np.ndarray:
    """Return the sums of an array (H, W) over squares of `step` cells; those at the right and lower border are cut."""
    rows, columns = (np.arange(0, length, step) for length in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)


@dataclass(frozen=True, eq=False)
class Quantised:
    """Maps with one byte a value, each on its own scale: value = low + byte / 255 * (high - low).

    `low` and `high` have the shape of `values` without its last two axes. A map with one value everywhere has bytes 0.
    """

    low: np.ndarray
    high: np.ndarray
    values: np.ndarray


def quantised(maps: np.ndarray) -> Quantised:
    """Quantise maps (..., H, W), float32."""
    low, high = maps.min(axis=(-2, -1)), maps.max(axis=(-2, -1))
    span = high - low
    scale = np.divide(LEVELS, span, out=np.zeros_like(span), where=span > 0)
    values = (maps - low[..., None, None]) * scale[..., None, None]
    return Quantised(low, high, np.rint(values).clip(0, LEVELS).astype(np.uint8))
