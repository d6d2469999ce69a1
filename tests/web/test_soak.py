"""A short soak test, and the failures that it detects; docs/robustness.md has the results of half an hour."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.soak import LEFT_OPEN, WORK, SoakResult, Usage, soak

IDLE = Usage(memory=900, open_files=20, temporary=10)


def test_a_short_soak_has_no_errors_and_leaves_nothing_behind() -> None:
    with ThreadPoolExecutor(1) as thread:
        result, log = thread.submit(soak, minutes=0.15, visitors=6, pause=0.0, keep_minutes=0.06).result()
    assert result.errors == Counter()
    assert result.completed["refused"] > 0
    assert {"photos", "blocks"} <= set(result.completed)
    assert sum(result.completed.values()) > len(WORK)
    assert result.left_behind() == []
    assert "Traceback" not in log
    assert "memory, MiB" in result.table()


def soak_result(last_third: Usage, after: Usage = IDLE) -> SoakResult:
    return SoakResult(Counter(photos=9, refused=1), Counter(), IDLE, [IDLE] * 20 + [last_third] * 10, after)


def test_a_successful_soak_reports_no_failures() -> None:
    assert soak_result(IDLE).failures() == []


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (soak_result(Usage(990, 20, 10)), "memory grew to 1.100 times"),
        (soak_result(Usage(900, 30, 10)), "open_files grew to 1.500 times"),
        (soak_result(Usage(900, 20, 20)), "temporary grew to 2.000 times"),
        (soak_result(IDLE, Usage(900, 21 + LEFT_OPEN, 10)), "files stayed open"),
        (soak_result(IDLE, Usage(900, 20, 11)), "11 temporary files stayed, 10 before"),
        (
            SoakResult(Counter(refused=1), Counter({"AssertionError: no maps": 2}), IDLE, [IDLE] * 3, IDLE),
            "2 times: Asser",
        ),
        (SoakResult(Counter(photos=1), Counter(), IDLE, [IDLE] * 3, IDLE), "no bad photo was refused"),
    ],
)
def test_each_failure_of_a_soak_is_reported(result: SoakResult, expected: str) -> None:
    (failure,) = result.failures()
    assert expected in failure
