"""The single-flight cache: eviction, concurrent misses and errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from inception.service.cache import SingleFlightCache


def test_a_value_is_computed_once_and_then_cached() -> None:
    cache: SingleFlightCache[int] = SingleFlightCache(10)
    calls: list[str] = []

    def compute() -> int:
        calls.append("made")
        return 7

    assert [cache.get("key", compute) for _ in range(3)] == [7, 7, 7]
    assert calls == ["made"]


def test_the_least_recently_used_value_is_evicted_by_size() -> None:
    cache: SingleFlightCache[str] = SingleFlightCache(10, lambda _, text: len(text))
    computed: list[str] = []

    def request(text: str) -> str:
        def compute() -> str:
            computed.append(text)
            return text

        return cache.get(text, compute)

    for text in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb"):
        request(text)
    assert computed == ["aaaa", "bbbb", "cccc", "bbbb"], "bbbb was evicted for cccc, as aaaa had been used since"
    assert request("longer than ten letters") == "longer than ten letters"
    request("bbbb")
    assert computed[-1] == "longer than ten letters", "a value that does not fit evicts nothing"


def test_the_size_of_a_key_counts() -> None:
    cache: SingleFlightCache[int] = SingleFlightCache(10, lambda key, _: len(str(key)))
    assert cache.get("long key", lambda: 1) == cache.get("another", lambda: 1) == 1
    assert cache.get("long key", lambda: 2) == 2, "evicted by the other key"


def test_concurrent_misses_compute_once() -> None:
    cache: SingleFlightCache[int] = SingleFlightCache(10)
    started, release, calls = Event(), Event(), []

    def compute() -> int:
        calls.append(1)
        started.set()
        assert release.wait(10)
        return 7

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(cache.get, "key", compute)
        assert started.wait(10)
        others = [pool.submit(cache.get, "key", compute) for _ in range(7)]
        # Another key does not wait.
        assert cache.get("other", lambda: 8) == 8
        release.set()
        assert [future.result(10) for future in (first, *others)] == [7] * 8
    assert calls == [1]


def test_an_error_reaches_all_waiting_calls_and_is_not_cached() -> None:
    cache: SingleFlightCache[int] = SingleFlightCache(10)
    started, release = Event(), Event()

    def fail() -> int:
        started.set()
        assert release.wait(10)
        raise ValueError("no")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "key", fail)
        assert started.wait(10)
        second = pool.submit(cache.get, "key", fail)
        release.set()
        for future in (first, second):
            with pytest.raises(ValueError, match="no"):
                future.result(10)
    assert cache.get("key", lambda: 7) == 7
