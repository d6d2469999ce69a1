"""The memory of a process, as Linux counts it."""

from __future__ import annotations

import re
from pathlib import Path


class Memory:
    """Of a process, in megabytes above what it has now."""

    def __init__(self, process: int | str = "self") -> None:
        self.folder = Path("/proc", str(process))
        # What was the highest until now counts no more.
        (self.folder / "clear_refs").write_text("5")
        self.rest = self._now("VmRSS")

    @property
    def highest(self) -> float:
        return self._now("VmHWM") - self.rest

    def _now(self, name: str) -> float:
        return int(re.search(rf"{name}:\s+(\d+)", (self.folder / "status").read_text())[1]) / 1024  # type: ignore[index]
