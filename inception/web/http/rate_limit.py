"""How much one visitor, and all of them together, may ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from cachetools import TTLCache


class TokenBucket:
    """One bucket for each key, full at first, which fills again as time goes by.

    Buckets that are full again are forgotten, and where there are too many, those that were not used the longest.

    Args:
        most: what a full bucket holds.
        per_second: how fast one fills.
        keys: for how many keys it remembers what is left.
        clock: seconds from wherever; another in tests.
    """

    def __init__(
        self, most: float, per_second: float, keys: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._per_second, self._clock = most, per_second, clock
        # What is left of a bucket, and when that was so. After `most / per_second` it is full, used or not.
        self._left: TTLCache[Hashable, tuple[float, float]] = TTLCache(keys, most / per_second, timer=clock)

    def take(self, key: Hashable, cost: float) -> float:
        """Take `cost` out of the bucket of `key`: 0, or the seconds after which it will be there, and nothing taken."""
        now = self._clock()
        left, when = self._left.get(key, (self._most, now))
        left = min(self._most, left + (now - when) * self._per_second)
        if cost <= left:
            self._left[key] = (left - cost, now)
            return 0.0
        return (cost - left) / self._per_second
