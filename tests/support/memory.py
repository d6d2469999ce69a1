"""The memory of a process, as Linux reports it."""

from __future__ import annotations

import re
from pathlib import Path


class Memory:
    """Peak resident memory of a process, in megabytes above `baseline`, its memory at construction."""

    def __init__(self, process: int | str = "self") -> None:
        self.folder = Path("/proc", str(process))
        # Reset the peak.
        (self.folder / "clear_refs").write_text("5")
        self.baseline = self._read("VmRSS")

    @property
    def peak(self) -> float:
        return self._read("VmHWM") - self.baseline

    def _read(self, name: str) -> float:
        return int(re.search(rf"{name}:\s+(\d+)", (self.folder / "status").read_text())[1]) / 1024  # type: ignore[index]
