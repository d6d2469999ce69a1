"""Freed memory goes back, measured from outside as the system counts it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Large blocks between small ones that stay, as observations between what is kept of each.
WORK = """
import re, sys
from pathlib import Path
from inception.runtime import memory
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
memory.{settle}()
large, kept = [], []
for number in range(1500):
    large.append(b"x" * 100_000)
    kept.append(b"x" * 2000)
full = resident()
del large
freed = resident()
memory.trim_heap()
print(full, freed, resident())
"""


def after(settle: str) -> list[int]:
    told = subprocess.run(
        [sys.executable, "-c", WORK.format(settle=settle)], capture_output=True, text=True, check=True
    )
    return [int(megabytes) for megabytes in told.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps memory so, and only there it is asked for it")
def test_trimming_returns_freed_memory() -> None:
    full, freed, given_back = after("share_freed")
    assert freed - given_back > 40
    assert full - given_back > 120


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps memory so, and only there it is asked for it")
def test_training_keeps_freed_memory() -> None:
    full, freed, _ = after("keep_freed")
    assert full - freed < 10


# What an explanation frees at once and asks for again with the next.
AGAIN = """
import resource
from inception.runtime import memory
memory.{settle}()
def work():
    blocks = [b"x" * 20_000_000 for _ in range(4)]
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() // 10 // 1_000_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps memory so, and only there it is asked for it")
@pytest.mark.parametrize("settle", ["share_freed", "keep_freed"])
def test_repeated_allocation_causes_no_page_faults(settle: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", AGAIN.format(settle=settle)], capture_output=True, text=True, check=True
    )
    assert int(told.stdout) < 5, "megabytes for each repetition, of 80"
