"""Batching of concurrent requests: the sizes of batches, and results equal to those of single requests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from inception import open_photo, predict
from inception.network.inception_v1 import InceptionV1
from inception.network.overflow import ActivationOverflowError
from inception.runtime.device import choose_device
from inception.service.batching import Batcher
from inception.service.service import InferenceService
from support.paths import EXAMPLES


class SlowDoubler:
    """Doubles numbers; its first run waits for `release`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started, self.release = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.started.set()
        assert self.release.wait(10)
        if 13 in numbers:
            raise ValueError("thirteen")
        if 14 in numbers:
            raise ActivationOverflowError("weights_overflow", "fourteen")
        return [2 * number for number in numbers]


def submit_behind_the_first(
    doubler: SlowDoubler, batcher: Batcher[int, int], numbers: range, pool: ThreadPoolExecutor
) -> list:
    first = pool.submit(batcher.submit, 100)
    assert doubler.started.wait(10)
    others = [pool.submit(batcher.submit, number) for number in numbers]
    while batcher.waiting < len(numbers):
        threading.Event().wait(0.001)
    doubler.release.set()
    return [first, *others]


def test_the_first_call_runs_alone_and_waiting_calls_share_a_run() -> None:
    doubler = SlowDoubler()
    batcher = Batcher(doubler, max_batch=16)
    with ThreadPoolExecutor(40) as pool:
        futures = submit_behind_the_first(doubler, batcher, range(12), pool)
        assert [future.result(10) for future in futures] == [200, *(2 * number for number in range(12))]
    assert [len(batch) for batch in doubler.batches] == [1, 12]


def test_a_batch_is_bounded_and_in_order_of_arrival() -> None:
    doubler = SlowDoubler()
    batcher = Batcher(doubler, max_batch=4)
    with ThreadPoolExecutor(40) as pool:
        futures = submit_behind_the_first(doubler, batcher, range(10), pool)
        assert [future.result(10) for future in futures] == [200, *(2 * number for number in range(10))]
    assert [len(batch) for batch in doubler.batches] == [1, 4, 4, 2]
    assert sorted(doubler.batches[1]) < sorted(doubler.batches[3])


def test_an_error_reaches_only_its_own_batch() -> None:
    doubler = SlowDoubler()
    batcher = Batcher(doubler, max_batch=3)
    with ThreadPoolExecutor(40) as pool:
        futures = submit_behind_the_first(doubler, batcher, range(11, 14), pool)
        assert futures[0].result(10) == 200
        for future in futures[1:]:
            with pytest.raises(ValueError, match="thirteen"):
                future.result(10)
    assert batcher.submit(1) == 2


def test_an_overflow_reaches_only_its_own_call() -> None:
    doubler = SlowDoubler()
    batcher = Batcher(doubler)
    with ThreadPoolExecutor(40) as pool:
        futures = submit_behind_the_first(doubler, batcher, range(14, 17), pool)
        with pytest.raises(ActivationOverflowError, match="fourteen"):
            futures[1].result(10)
        assert [future.result(10) for future in (futures[0], *futures[2:])] == [200, 30, 32]
    assert sorted(map(len, doubler.batches)) == [1, 1, 1, 1, 3]


def test_thirty_concurrent_predictions_equal_single_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
    pretrained = service.pretrained("tiny-imagenet")
    photos = sorted(EXAMPLES.glob("*.jpg"))
    queries = [service.query("tiny-imagenet", str(photos[number % len(photos)])) for number in range(30)]
    batch_sizes: list[int] = []
    trace = InceptionV1.trace

    def counting_trace(self: InceptionV1, x: torch.Tensor, start: str = "stem") -> object:
        batch_sizes.append(len(x))
        return trace(self, x, start=start)

    barrier = threading.Barrier(len(queries))

    def visit(number: int) -> object:
        barrier.wait()
        return service.prediction(queries[number])

    _ = pretrained.engine
    monkeypatch.setattr(InceptionV1, "trace", counting_trace)
    with ThreadPoolExecutor(len(queries)) as pool:
        predictions = list(pool.map(visit, range(len(queries))))
    assert sum(batch_sizes) == len(photos), "each photo is computed once"
    monkeypatch.undo()
    for number, prediction in enumerate(predictions):
        expected = predict(pretrained, open_photo(photos[number % len(photos)]))
        assert np.abs(prediction.logits - expected.logits).max() < 1e-4  # type: ignore[attr-defined]
        assert np.abs(prediction.block("4c") - expected.block("4c")).max() < 1e-4  # type: ignore[attr-defined]
        assert not prediction.block("4c").flags.writeable  # type: ignore[attr-defined]
