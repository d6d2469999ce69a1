"""Counts in sentences."""

from __future__ import annotations


def counted(count: float, one: str, many: str = "") -> str:
    """Return "1 photo", "2 photos" or "0.5 GPUs"; `many` is an irregular plural."""
    number = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{number} {one if count == 1 else many or f'{one}s'}"
