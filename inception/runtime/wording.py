"""Counts in sentences."""

from __future__ import annotations


def counted(count: float, one: str, many: str = "") -> str:
    """ "1 photo", "2 photos", "0.5 GPUs"; `many` is the plural where it is not `one` with an s."""
    number = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{number} {one if count == 1 else many or f'{one}s'}"
