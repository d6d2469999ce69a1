"""Measure how long one piece of work takes in units of another, running them alternately."""

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
    """Row of the table of results.

    Attributes:
        name: of the benchmark.
        ratio: median over the rounds.
        bound: largest accepted ratio.
        spread: interquartile range.
        limit: the ratio if all multiplications ran as fast as those of a large matrix product or 1x1 convolution on
            this machine; no engine that performs all of them is faster.
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
    """Return the shortest time for this many multiply-adds on this machine, in units of `peer`; see `Row.limit`."""
    side, repeats = 1024, 15
    matrix = torch.ones(side, side, dtype=precision)
    # The same product as a convolution: on AMD only oneDNN, which computes it, reaches the processor's peak arithmetic.
    maps = matrix.view(1, 32, 32, side).permute(0, 3, 1, 2)
    weight = matrix.view(side, side, 1, 1)
    with torch.inference_mode():
        product_seconds = min(
            _seconds(work) for work in (lambda: matrix @ matrix, lambda: F.conv2d(maps, weight)) for _ in range(repeats)
        )
    peer_seconds = statistics.median(_seconds(peer) for _ in range(repeats))
    return multiplications * product_seconds / side**3 / peer_seconds


def compare(
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    bound: float,
    rounds: int = 9,
    warm_up: int = 2,
    batch_size: int = 1,
    before_ours: Callable[[], object] = lambda: None,
    before_peer: Callable[[], object] = lambda: None,
) -> Row:
    """Measure the time of `ours` in units of `peer`.

    Each round runs both, so that a slowdown of the machine affects both. `before_ours` and `before_peer` are not
    timed. If `ours` processes a batch and `peer` one item, `batch_size` makes the ratio that of one item.
    """
    ratios = []
    for number in range(warm_up + rounds):
        before_ours()
        our_seconds = _seconds(ours)
        before_peer()
        peer_seconds = _seconds(peer)
        if number >= warm_up:
            ratios.append(our_seconds / batch_size / peer_seconds)
    return row_of_ratios(name, ratios, bound)


def row_of_ratios(name: str, ratios: Sequence[float], bound: float) -> Row:
    """Summarise ratios as their median and interquartile range."""
    return Row(name, statistics.median(ratios), bound, spread(ratios))


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else list(values) * 3
    return low, high


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> str:
    """Describe this machine and its PyTorch."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores {capabilities.get('cpu_name', '')}{gpu}, PyTorch {torch.__version__.split('+')[0]}"


def run_file(name: str) -> list[Row]:
    """Run one file of this folder and return its rows."""
    return list(import_module(f"benchmarks.{name}").rows())
