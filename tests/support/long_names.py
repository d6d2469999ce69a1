"""A text that is far longer than the name of any class."""

from __future__ import annotations

HUGE = "goldfish," * 1_700_000  # 15 MB
