"""The soak, in its short form, and that it would see what it looks for; half an hour of it is in docs/robustness.md."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.soak import LEFT_OPEN, WORK, Held, Told, soak

REST = Held(memory=900, open_files=20, temporary=10)


def test_some_visitors_come_and_go_without_an_error_and_leave_nothing_behind() -> None:
    with ThreadPoolExecutor(1) as thread:
        told, log = thread.submit(soak, minutes=0.25, visitors=6, pause=0.0, keep_minutes=0.06).result()
    assert told.errors == Counter()
    assert told.done["refused"] > 0
    assert {"photos", "blocks"} <= set(told.done)
    assert sum(told.done.values()) > len(WORK)
    assert told.left_behind() == []
    assert "Traceback" not in log
    assert "memory, MiB" in told.table()


def told(last: Held, after: Held = REST) -> Told:
    return Told(Counter(photos=9, refused=1), Counter(), REST, [REST] * 20 + [last] * 10, after)


def test_a_soak_in_which_all_is_well_says_nothing() -> None:
    assert told(REST).failures() == []


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (told(Held(990, 20, 10)), "memory grew to 1.100 times"),
        (told(Held(900, 30, 10)), "open_files grew to 1.500 times"),
        (told(Held(900, 20, 20)), "temporary grew to 2.000 times"),
        (told(REST, Held(900, 21 + LEFT_OPEN, 10)), "files stayed open"),
        (told(REST, Held(900, 20, 11)), "11 temporary files stayed, 10 before"),
        (Told(Counter(refused=1), Counter({"AssertionError: no maps": 2}), REST, [REST] * 3, REST), "2 times: Asser"),
        (Told(Counter(photos=1), Counter(), REST, [REST] * 3, REST), "no bad photo was refused"),
    ],
)
def test_a_soak_says_what_was_not_as_it_should_be(one: Told, said: str) -> None:
    (failure,) = one.failures()
    assert said in failure
