"""Thread-safe LRU cache; concurrent misses compute once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


class SingleFlightCache(Generic[Value]):
    """A `cachetools.LRUCache` behind a lock, with one computation at a time for each key.

    Not `cachetools.cached(condition=...)`: there, after an error or a value too large to keep, the waiting threads
    compute again, one after another.

    Args:
        maxsize: upper bound of the sum of `size` over all values.
        size: cost of one key with its value; 1 by default.
    """

    def __init__(self, maxsize: int, size: Callable[[Hashable, Value], int] = lambda _key, _value: 1) -> None:
        self._size = size
        # Values with their sizes: cachetools would compute a size from the value alone.
        self._values: LRUCache[Hashable, tuple[Value, int]] = LRUCache(maxsize, lambda entry: entry[1])
        self._pending: dict[Hashable, Future[Value]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the cached value of `key`, or compute it.

        Calls with a key that is being computed wait for that result. An error reaches all of them and is not cached;
        a value larger than `maxsize` is returned and not kept.
        """
        with self._lock:
            if key in self._values:
                return self._values[key][0]
            pending = self._pending.get(key)
            if pending is None:
                own: Future[Value] = Future()
                self._pending[key] = own
        if pending is not None:
            return pending.result()
        try:
            value = compute()
            size = self._size(key, value)
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            own.set_exception(error)
            raise
        with self._lock:
            del self._pending[key]
            if size <= self._values.maxsize:
                self._values[key] = value, size
        own.set_result(value)
        return value
