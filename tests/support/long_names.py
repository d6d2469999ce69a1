"""A text far longer than any class name."""

from __future__ import annotations

HUGE_NAME = "goldfish," * 1_700_000  # 15 MB
