"""Rate limits: a token bucket, and the buckets for requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from math import ceil

from cachetools import TTLCache

from .errors import RequestRefusedError

# Tokens of a session. An hour with the camera on, or clicking as fast as one can, stays far below.
BURST, PER_SECOND = 600, 20
# Tokens of a queued request, which costs the server as much as several that are answered at once.
QUEUED_COST = 4
# Requests without a session are limited by client address. Behind a proxy all visitors have the same address, hence
# the higher limit: as many as two cores answer.
ADDRESS_FACTOR = 10
# Uploads have no session either. Thirty cameras behind one address, at the page's highest rate, send 250 each second.
UPLOAD_BURST, UPLOADS_PER_SECOND = ADDRESS_FACTOR * BURST, 300
MAX_KEYS = 4096  # sessions, and addresses, of which the remaining tokens are remembered
MIN_RETRY_SECONDS = 5  # a visitor who waits less would be refused again at the next click


class TokenBucket:
    """Token buckets by key, each full at first.

    Full buckets are forgotten; above `max_keys`, so are those charged least recently. Written here because
    rate-limiting packages (slowapi, limits) count requests, and these cost different numbers of tokens.

    Args:
        capacity: tokens in a full bucket.
        per_second: tokens added to a bucket each second.
        max_keys: number of buckets that are remembered.
        clock: monotonic time in seconds.
    """

    def __init__(
        self, capacity: float, per_second: float, max_keys: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity, self._per_second, self._clock = capacity, per_second, clock
        # Tokens and the time at which they were counted. A bucket is full after `capacity / per_second` at the latest.
        self._buckets: TTLCache[Hashable, tuple[float, float]] = TTLCache(max_keys, capacity / per_second, timer=clock)

    def __len__(self) -> int:
        """Return the number of buckets that are remembered."""
        return len(self._buckets)

    def take(self, key: Hashable, cost: float) -> float:
        """Take `cost` tokens from a bucket.

        Returns:
            0.0, or the seconds until the bucket will hold `cost` tokens; none are taken then.
        """
        now = self._clock()
        tokens, counted_at = self._buckets.get(key, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - counted_at) * self._per_second)
        if cost <= tokens:
            self._buckets[key] = (tokens - cost, now)
            return 0.0
        return (cost - tokens) / self._per_second


class RateLimits:
    """Rate limits of a server: requests by session or client address, and uploads by client address.

    Args:
        clock: monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions = TokenBucket(BURST, PER_SECOND, MAX_KEYS, clock)
        self._addresses = TokenBucket(ADDRESS_FACTOR * BURST, ADDRESS_FACTOR * PER_SECOND, MAX_KEYS, clock)
        self._uploads = TokenBucket(UPLOAD_BURST, UPLOADS_PER_SECOND, MAX_KEYS, clock)

    def charge_request(self, session: str | None, address: str, *, is_queued: bool) -> None:
        """Charge a request to its session, or to the client's address if it has none.

        Raises:
            RequestRefusedError: if there are not enough tokens.
        """
        cost = QUEUED_COST if is_queued else 1
        _check_wait(self._sessions.take(session, cost) if session else self._addresses.take(address, cost))

    def charge_upload(self, address: str) -> None:
        """Charge an upload to the client's address; raises as `charge_request`."""
        _check_wait(self._uploads.take(address, 1))


def _check_wait(seconds: float) -> None:
    if seconds:
        raise RequestRefusedError(429, "guard_rate", seconds=max(MIN_RETRY_SECONDS, ceil(seconds)))
