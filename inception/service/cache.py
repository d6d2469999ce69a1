"""What was worked out lately, kept for whoever asks next; what is being worked out is worked out once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


class SingleFlightCache(Generic[Value]):
    """Thread-safe. The least recently used makes room.

    Args:
        most: how much is kept, in the unit of `size`.
        size: what one value costs; by default values are counted.
    """

    def __init__(self, most: int, size: Callable[[Value], int] | None = None) -> None:
        self._kept: LRUCache[Hashable, Value] = LRUCache(most, size)
        self._begun: dict[Hashable, Future[Value]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`, from memory or by `make`.

        Whoever asks while another is at it waits for that one; if it fails, both fail and nothing is kept.
        """
        with self._lock:
            if key in self._kept:
                return self._kept[key]
            begun = self._begun.get(key)
            if begun is None:
                mine: Future[Value] = Future()
                self._begun[key] = mine
        if begun is not None:
            return begun.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._begun[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._begun[key]
            # What alone is larger than all that may be kept is answered, but not kept.
            if self._kept.getsizeof(value) <= self._kept.maxsize:
                self._kept[key] = value
        mine.set_result(value)
        return value
