"""The order of waiting work."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from inception.explain.ablation import single_ablation_logits
from inception.runtime.device import choose_device
from inception.service.backend import LocalBackend
from inception.service.priority import HEAVY, LIGHT, MAX_OVERTAKEN, PriorityLock
from inception.service.service import InferenceService
from support.paths import EXAMPLES


def order_of(*weights: int) -> list[int]:
    """Return the order in which waiting pieces of work are done, numbered by arrival."""
    lock, done, release = PriorityLock(), [], Event()

    def work(number: int, priority: int) -> None:
        with lock.acquire(priority):
            done.append(number)

    def hold() -> None:
        with lock.acquire():
            assert release.wait(10)

    with ThreadPoolExecutor(len(weights) + 1) as pool:
        pool.submit(hold)
        futures = []
        for number, weight in enumerate(weights):
            futures.append(pool.submit(work, number, weight))
            while lock.waiting < number + 1:
                time.sleep(0.001)
        release.set()
        for future in futures:
            future.result(10)
    assert lock.waiting == 0
    return done


def test_light_work_overtakes_heavy_work_and_equal_work_keeps_its_order() -> None:
    assert order_of(HEAVY, HEAVY, LIGHT, HEAVY, LIGHT) == [2, 4, 0, 1, 3]


def test_the_number_of_overtakings_is_bounded() -> None:
    lights = [LIGHT] * (MAX_OVERTAKEN + 3)
    assert order_of(HEAVY, *lights) == [*range(1, MAX_OVERTAKEN + 1), 0, *range(MAX_OVERTAKEN + 1, MAX_OVERTAKEN + 4)]


def test_heavy_work_does_not_start_while_light_work_is_expected() -> None:
    lock, done, started, release = PriorityLock(), [], Event(), Event()

    def heavy() -> None:
        with lock.acquire(HEAVY):
            done.append("heavy")

    def batches() -> None:
        with lock.expect_light():
            for number in range(2):
                with lock.acquire(LIGHT):
                    started.set()
                    assert number or release.wait(10)
                    done.append("light")
                time.sleep(0.05)  # the lock is free, and heavy work waits for it

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batches)
        assert started.wait(10)
        last = pool.submit(heavy)
        while lock.waiting < 1:
            time.sleep(0.001)
        release.set()
        first.result(10)
        last.result(10)
    assert done == ["light", "light", "heavy"]


def test_expected_light_work_does_not_delay_heavy_work_forever() -> None:
    lock, done = PriorityLock(), Event()

    def heavy() -> None:
        with lock.acquire(HEAVY):
            done.set()

    with ThreadPoolExecutor(1) as pool, lock.expect_light():
        with lock.acquire(LIGHT):
            pool.submit(heavy)
            while lock.waiting < 1:
                time.sleep(0.001)
        for number in range(MAX_OVERTAKEN):
            assert not done.is_set(), number
            with lock.acquire(LIGHT):
                pass
        assert done.wait(10)


def test_the_lock_is_released_after_an_error() -> None:
    lock = PriorityLock()
    with pytest.raises(ValueError, match="no"), lock.acquire():
        raise ValueError("no")
    with lock.acquire():
        pass


def test_an_interrupted_wait_does_not_block_the_lock() -> None:
    lock, started, release = PriorityLock(), Event(), Event()

    def hold() -> None:
        with lock.acquire():
            started.set()
            assert release.wait(10)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(hold)
            assert started.wait(10)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt), lock.acquire():
                pass
            assert lock.waiting == 0
            release.set()
    finally:
        signal.signal(signal.SIGALRM, previous)
    with lock.acquire():
        pass


def test_a_prediction_overtakes_an_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = PriorityLock()
    monkeypatch.setattr("inception.service.backend.PriorityLock", lambda: lock)
    backend = LocalBackend()
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"), backend)
    first, second = (service.query("tiny-imagenet", str(EXAMPLES / name)) for name in ("bison.jpg", "espresso.jpg"))
    service.prediction(first)
    order: list[str] = []
    started, release = Event(), Event()

    def hold(*_: object) -> None:
        started.set()
        assert release.wait(10)

    with ThreadPoolExecutor(3) as pool:
        pool.submit(backend.explain, service.pretrained("tiny-imagenet"), first, service.prediction(first), hold)
        assert started.wait(10)
        table = pool.submit(service.explained, first, single_ablation_logits, "zero")
        table.add_done_callback(lambda _: order.append("table"))
        while lock.waiting < 1:
            time.sleep(0.001)
        answer = pool.submit(service.prediction, second)
        answer.add_done_callback(lambda _: order.append("answer"))
        while lock.waiting < 2:
            time.sleep(0.001)
        release.set()
        logits = table.result(30)
        assert answer.result(30).top(1)[0].label
    assert order == ["answer", "table"]
    expected = single_ablation_logits(service.pretrained("tiny-imagenet"), service.prediction(first), "zero")
    assert all(np.array_equal(logits[block], expected[block]) for block in expected)
