"""How memory is kept and looked through; what is told to the C library's allocator happens on Linux with glibc only."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

# mallopt's numbers in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -2, -3, -4, -8
# More than the sixteen runs of an explanation free at once, which is the most that any work frees time and again.
KEPT = 128 * 2**20
# The most that glibc takes: what is larger is not kept.
KEPT_AT_ONCE = 32 * 2**20


def keep_freed() -> None:
    """Keep what is freed: training frees and asks again for gigabytes, and each page that the kernel must
    hand out anew costs as much as computing on it (a tenth to a quarter of a step on a CPU)."""
    _set({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 256 * 2**20, ARENA_MAX: 1})


def share_freed() -> None:
    """Two pools for all threads, each of which keeps some of what is freed. A server answers with forty threads;
    with a pool for each, what one visitor's answer freed is no use to the next visitor's, and memory grows for
    hours. By default a pool keeps what its past happened to need: in every second process an explanation then
    waited a fifth of its time for pages that it had given back a moment before."""
    _set({ARENA_MAX: 2, MMAP_THRESHOLD: KEPT_AT_ONCE, TRIM_THRESHOLD: KEPT})


def freeze_garbage_collector() -> None:
    """Have the garbage collector leave alone what is there now, for good: a million objects of the libraries.

    To look through them all takes it a quarter of a second, every few hundred answers, and everybody waits.
    """
    gc.collect()
    gc.freeze()
    # It looks through everything once a quarter more has come, and is to count from now: a quarter of a million
    # more would be all that a hundred visitors left behind.
    gc.collect()


def trim_heap() -> None:
    """Return to the system what is free between that which is in use: a few milliseconds' work."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _set(values: dict[int, int]) -> None:
    mallopt = _function("mallopt")
    if mallopt is not None:
        for parameter, value in values.items():
            mallopt(parameter, value)


def _function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
