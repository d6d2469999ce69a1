"""The number of cores that this process may use, and the thread settings of OpenMP."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

# How long threads wait for the next layer before they sleep. The gap between two layers is shorter, and sleeping in it
# made a forward pass a third slower.
WAITING = {
    # Of GNU's OpenMP, which PyTorch uses on Linux: about 30 microseconds.
    "GOMP_SPINCOUNT": "1000",
    # Otherwise a tenth of that once two threads of a process have computed, as in every server.
    "OMP_WAIT_POLICY": "active",
    # Milliseconds; otherwise the threads of Intel's and LLVM's OpenMP, being active, never sleep.
    "KMP_BLOCKTIME": "1",
}


def configure_threads() -> None:
    """Set one OpenMP thread for each core, which spins briefly and then sleeps. Call before torch is imported.

    By default threads spin for milliseconds, on cores that other processes need: on two cores, beside one busy process,
    a forward pass took up to 30 times as long. Variables set by the user are kept.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))


def available_cores(cgroup: Path = CGROUP) -> int:
    """Return the number of usable cores, at least 1, from CPU affinity and cgroup quota, unlike `os.cpu_count`."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return allowed if quota is None else max(1, min(allowed, ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """Return the quota in cores from cgroup v2 or v1; None if there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max"
    return cores if cores > 0 else None
