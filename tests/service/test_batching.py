"""What many visitors ask for at once: batches by counting, and the same answers as alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from inception import open_photo, predict
from inception.network.inception_v1 import InceptionV1
from inception.network.overflow import ActivationOverflowError
from inception.prediction import Prediction, predict_batch
from inception.pretrained.zoo import load
from inception.runtime.device import choose_device
from inception.service.batching import Batcher, run_batch
from inception.service.service import InferenceService
from support.paths import EXAMPLES


class Slow:
    """Doubles numbers; its first run lasts until it is told to end."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.set()
        assert self.go.wait(10)
        if 13 in numbers:
            raise ValueError("thirteen")
        if 14 in numbers:
            raise ActivationOverflowError("weights_overflow", "fourteen")
        return [2 * number for number in numbers]


def waiting_behind_the_first(slow: Slow, batcher: Batcher[int, int], numbers: range, pool: ThreadPoolExecutor) -> list:
    first = pool.submit(batcher.submit, 100)
    assert slow.begun.wait(10)
    rest = [pool.submit(batcher.submit, number) for number in numbers]
    while batcher.waiting < len(numbers):
        threading.Event().wait(0.001)
    slow.go.set()
    return [first, *rest]


def test_the_first_call_runs_alone_and_waiting_calls_share_a_run() -> None:
    slow = Slow()
    batcher = Batcher(slow, max_batch=16)
    with ThreadPoolExecutor(40) as pool:
        told = waiting_behind_the_first(slow, batcher, range(12), pool)
        assert [future.result(10) for future in told] == [200, *(2 * number for number in range(12))]
    assert [len(batch) for batch in slow.batches] == [1, 12]


def test_a_batch_is_bounded_and_in_order_of_arrival() -> None:
    slow = Slow()
    batcher = Batcher(slow, max_batch=4)
    with ThreadPoolExecutor(40) as pool:
        told = waiting_behind_the_first(slow, batcher, range(10), pool)
        assert [future.result(10) for future in told] == [200, *(2 * number for number in range(10))]
    assert [len(batch) for batch in slow.batches] == [1, 4, 4, 2]
    assert sorted(slow.batches[1]) < sorted(slow.batches[3])


def test_an_error_reaches_its_own_batch_only() -> None:
    slow = Slow()
    batcher = Batcher(slow, max_batch=3)
    with ThreadPoolExecutor(40) as pool:
        told = waiting_behind_the_first(slow, batcher, range(11, 14), pool)
        assert told[0].result(10) == 200
        for future in told[1:]:
            with pytest.raises(ValueError, match="thirteen"):
                future.result(10)
    assert batcher.submit(1) == 2


def test_an_overflow_reaches_its_own_call_only() -> None:
    slow = Slow()
    batcher = Batcher(slow)
    with ThreadPoolExecutor(40) as pool:
        told = waiting_behind_the_first(slow, batcher, range(14, 17), pool)
        with pytest.raises(ActivationOverflowError, match="fourteen"):
            told[1].result(10)
        assert [future.result(10) for future in (told[0], *told[2:])] == [200, 30, 32]
    assert sorted(map(len, slow.batches)) == [1, 1, 1, 1, 3]


def test_of_a_batch_only_the_photo_that_overflows_fails() -> None:
    pretrained = load("tiny-imagenet")
    first = next(module for module in pretrained.model.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight.zero_()
        first.weight[:, 0, 3, 3] = 1e36  # overflows behind what is redder than the mean
    dark, red = (Image.new("RGB", (160, 160), colour) for colour in ("black", "red"))
    images = [dark, red, dark]
    with pytest.raises(ActivationOverflowError):
        predict_batch(pretrained, images)
    kinds = [type(result) for result in run_batch(partial(predict_batch, pretrained), images)]
    assert kinds == [Prediction, ActivationOverflowError, Prediction]


def test_thirty_concurrent_predictions_equal_single_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
    pretrained = service.pretrained("tiny-imagenet")
    photos = sorted(EXAMPLES.glob("*.jpg"))
    queries = [service.query("tiny-imagenet", str(photos[number % len(photos)])) for number in range(30)]
    runs: list[int] = []
    trace = InceptionV1.trace

    def counted(self: InceptionV1, x: torch.Tensor, start: str = "stem") -> object:
        runs.append(len(x))
        return trace(self, x, start=start)

    barrier = threading.Barrier(len(queries))

    def visit(number: int) -> object:
        barrier.wait()
        return service.prediction(queries[number])

    _ = pretrained.engine
    monkeypatch.setattr(InceptionV1, "trace", counted)
    with ThreadPoolExecutor(len(queries)) as pool:
        told = list(pool.map(visit, range(len(queries))))
    assert sum(runs) == len(photos), "each picture once, however many look at it"
    monkeypatch.undo()
    for number, seen in enumerate(told):
        alone = predict(pretrained, open_photo(photos[number % len(photos)]))
        assert np.abs(seen.logits - alone.logits).max() < 1e-4  # type: ignore[attr-defined]
        assert np.abs(seen.block("4c") - alone.block("4c")).max() < 1e-4  # type: ignore[attr-defined]
        assert not seen.block("4c").flags.writeable  # type: ignore[attr-defined]
