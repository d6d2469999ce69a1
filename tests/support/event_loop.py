"""Run a coroutine to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_a_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """What comes of a coroutine. Playwright leaves its event loop running in the tests' own thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
