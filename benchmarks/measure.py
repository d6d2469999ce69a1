"""Ratios: two pieces of work, taken in turns, and how long one takes in units of the other."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Row:
    """One line of the table: `ratio` is a median, `spread` the range that half of the rounds fell into.

    `limit` is the ratio at which all multiplications would run as fast as those of a large matrix product or 1x1
    convolution on this machine; no engine that does all of them gets below it.
    """

    name: str
    ratio: float
    bound: float
    spread: tuple[float, float]
    limit: float | None = None

    def __str__(self) -> str:
        verdict = "within" if self.ratio <= self.bound else "ABOVE"
        low, high = self.spread
        limit = "" if self.limit is None else f", arithmetic limit {self.limit:.3f}"
        return f"{self.name:28} {self.ratio:6.3f}  ({low:.3f} to {high:.3f})  {verdict} {self.bound:g}{limit}"


def arithmetic_limit(
    multiplications: float, peer: Callable[[], object], precision: torch.dtype = torch.float32
) -> float:
    """The least time that so many multiplications with additions take here, in units of `peer`; see `Row.limit`."""
    side, tries = 1024, 15
    matrix = torch.ones(side, side, dtype=precision)
    # The same product as a convolution: on AMD only oneDNN, which computes it, has all of the processor's arithmetic.
    maps = matrix.view(1, 32, 32, side).permute(0, 3, 1, 2)
    weight = matrix.view(side, side, 1, 1)
    with torch.inference_mode():
        product = min(
            _seconds(work) for work in (lambda: matrix @ matrix, lambda: F.conv2d(maps, weight)) for _ in range(tries)
        )
    unit = statistics.median(_seconds(peer) for _ in range(tries))
    return multiplications * product / side**3 / unit


def compared(
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    bound: float,
    rounds: int = 9,
    warm_up: int = 2,
    times: int = 1,
    before_ours: Callable[[], object] = lambda: None,
    before_peer: Callable[[], object] = lambda: None,
) -> Row:
    """How long `ours` takes in units of `peer`.

    Each round runs both, so that a slow minute of the machine hits both. What runs before them is
    not timed. `times` is how often `ours` does at once what `peer` does once: the ratio is for each.
    """
    ratios = []
    for number in range(warm_up + rounds):
        before_ours()
        one = _seconds(ours)
        before_peer()
        other = _seconds(peer)
        if number >= warm_up:
            ratios.append(one / times / other)
    return row(name, ratios, bound)


def row(name: str, ratios: Sequence[float], bound: float) -> Row:
    """The median of some ratios and the range that half of them fell into."""
    return Row(name, statistics.median(ratios), bound, spread(ratios))


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The range that half of some values fell into."""
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else list(values) * 3
    return low, high


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def machine() -> str:
    """What the figures were measured on, in words."""
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores {able.get('cpu_name', '')}{gpu}, PyTorch {torch.__version__.split('+')[0]}"


def rows_of(file: str) -> list[Row]:
    """All rows of one file of this folder."""
    return list(import_module(f"benchmarks.{file}").rows())
