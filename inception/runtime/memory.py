"""Settings of the memory allocator (glibc on Linux only) and of the garbage collector."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

# mallopt's numbers in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -2, -3, -4, -8
# Bytes of free memory that a pool keeps: more than the sixteen runs of an explanation free at once, the largest amount
# that is freed and needed again repeatedly.
KEPT = 128 * 2**20
# The largest value that glibc accepts; larger blocks are always returned to the system.
KEPT_BLOCK = 32 * 2**20


def keep_freed() -> None:
    """Keep all freed memory, for training: each step frees and allocates gigabytes, and page faults on memory that was
    returned to the system take a tenth to a quarter of a step on a CPU."""
    _set({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 256 * 2**20, ARENA_MAX: 1})


def share_freed() -> None:
    """Share two memory pools among all threads, each of which keeps some freed memory, for servers.

    With glibc's default of a pool for each of dozens of threads, memory freed by one is useless to the others, and the
    process grows for hours. The default trim threshold adapts to the past: in every second process explanations spent a
    fifth of their time on page faults for memory that had just been returned.
    """
    _set({ARENA_MAX: 2, MMAP_THRESHOLD: KEPT_BLOCK, TRIM_THRESHOLD: KEPT})


def freeze_garbage_collector() -> None:
    """Freeze everything allocated during start-up: a million objects of libraries.

    Scanning them would stop all threads for a quarter of a second, every few hundred answers.
    """
    gc.collect()
    gc.freeze()
    # A full collection starts when the number of objects has grown by a quarter since the last one. Count from now:
    # a quarter of a million objects would be the garbage of a hundred visitors.
    gc.collect()


def trim_heap() -> None:
    """Return free memory between used blocks to the system; takes a few milliseconds."""
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
