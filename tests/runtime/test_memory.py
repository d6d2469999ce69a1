"""Release of freed memory to the system, measured as resident memory and page faults of subprocesses."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Frees large blocks between small ones that stay allocated, like predictions between stored results.
FREE_LARGE_BLOCKS = """
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


def resident_megabytes(settle: str) -> list[int]:
    """Return resident memory before freeing, after it, and after trimming."""
    process = subprocess.run(
        [sys.executable, "-c", FREE_LARGE_BLOCKS.format(settle=settle)], capture_output=True, text=True, check=True
    )
    return [int(megabytes) for megabytes in process.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is configured")
def test_trimming_returns_freed_memory() -> None:
    full, freed, trimmed = resident_megabytes("share_freed")
    assert freed - trimmed > 40
    assert full - trimmed > 120


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is configured")
def test_training_keeps_freed_memory() -> None:
    full, freed, _ = resident_megabytes("keep_freed")
    assert full - freed < 10


# Allocates and frees, again and again, as much as an explanation does.
REPEAT_ALLOCATION = """
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


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is configured")
@pytest.mark.parametrize("settle", ["share_freed", "keep_freed"])
def test_repeated_allocation_causes_no_page_faults(settle: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", REPEAT_ALLOCATION.format(settle=settle)], capture_output=True, text=True, check=True
    )
    assert int(process.stdout) < 5, "megabytes per repetition, of 80 allocated"
