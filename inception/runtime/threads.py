"""The cores that this process may use, told to the libraries before they are loaded."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


# For GNU's OpenMP, which PyTorch brings on Linux. About 30 microseconds: from one layer to the next it is less,
# and sleeping there made a forward pass a third slower.
SPINS = "1000"


def configure_threads() -> None:
    """Have as many threads as cores, which spin a moment where they wait and then sleep. Before torch is imported.

    By default they spin for milliseconds. Where anything besides wants a core, one then spins on the
    core that the other needs: on two cores, beside one busy process, a forward pass took up to 30 times
    as long. What the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))


def available_cores(cgroup: Path = CGROUP) -> int:
    """At least one; a container's share where it has one, which `os.cpu_count` does not know."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return allowed if quota is None else max(1, min(allowed, ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time, from version 2 of Linux's control groups or version 1; nothing where it is not limited."""
    try:
        most, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            most = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        share = float(most) / float(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max"
    return share if share > 0 else None
