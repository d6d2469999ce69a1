"""Waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMEOUT_SECONDS = 120


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true; fail after `TIMEOUT_SECONDS`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.02)
