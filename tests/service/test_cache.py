"""What is kept, and what happens when many want the same at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from inception.service.cache import SingleFlightCache


def test_a_value_is_computed_once_and_then_cached() -> None:
    memo: SingleFlightCache[int] = SingleFlightCache(10)
    made: list[str] = []

    def make() -> int:
        made.append("made")
        return 7

    assert [memo.get("key", make) for _ in range(3)] == [7, 7, 7]
    assert made == ["made"]


def test_the_least_recently_used_value_is_evicted_by_size() -> None:
    memo: SingleFlightCache[str] = SingleFlightCache(10, len)
    made: list[str] = []

    def word(text: str) -> str:
        def make() -> str:
            made.append(text)
            return text

        return memo.get(text, make)

    for text in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb"):
        word(text)
    assert made == ["aaaa", "bbbb", "cccc", "bbbb"], "bbbb had to go for cccc, aaaa had been used since"
    assert word("longer than ten letters") == "longer than ten letters"
    word("bbbb")
    assert made[-1] == "longer than ten letters", "what does not fit pushes nothing out"


def test_concurrent_misses_compute_once() -> None:
    memo: SingleFlightCache[int] = SingleFlightCache(10)
    begun, go, made = Event(), Event(), []

    def make() -> int:
        made.append(1)
        begun.set()
        assert go.wait(10)
        return 7

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(memo.get, "key", make)
        assert begun.wait(10)
        others = [pool.submit(memo.get, "key", make) for _ in range(7)]
        # Another key need not wait.
        assert memo.get("other", lambda: 8) == 8
        go.set()
        assert [one.result(10) for one in (first, *others)] == [7] * 8
    assert made == [1]


def test_an_error_reaches_all_waiting_calls_and_is_not_cached() -> None:
    memo: SingleFlightCache[int] = SingleFlightCache(10)
    begun, go = Event(), Event()

    def fail() -> int:
        begun.set()
        assert go.wait(10)
        raise ValueError("no")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memo.get, "key", fail)
        assert begun.wait(10)
        second = pool.submit(memo.get, "key", fail)
        go.set()
        for one in (first, second):
            with pytest.raises(ValueError, match="no"):
                one.result(10)
    assert memo.get("key", lambda: 7) == 7
