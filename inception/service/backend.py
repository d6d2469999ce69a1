"""Back ends: where forward passes and explanations are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol, TypeVar

import torch

from ..prediction import Prediction, predict_batch
from ..pretrained.pretrained import PretrainedModel
from ..runtime.memory import trim_heap
from .batching import MAX_BATCH, Batcher
from .priority import HEAVY, LIGHT, PriorityLock
from .query import Query

Result = TypeVar("Result")
# Photos between two calls of `trim_heap`: what each leaves free between kept arrays is half a gigabyte after thousands.
PHOTOS_PER_TRIM = 32


class Backend(Protocol):
    """Computes for `InferenceService`. Both methods block, and may be called from many threads at once.

    `at_once` is the number of calls of one kind that are worth having in progress; `needs_event` says whether it
    computes within Gradio's events only.
    """

    at_once: int
    needs_event: bool

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        """Return the prediction of one forward pass."""
        ...

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *arguments: Any,
    ) -> Result:
        """Return `function(pretrained, prediction, *arguments)`.

        `function` is defined at the top of a module and `arguments` can be pickled: they may go to another process.
        """
        ...


class LocalBackend:
    """Computes in this process. Concurrent predictions share a forward pass; explanations wait behind them."""

    at_once = 2 * MAX_BATCH  # one batch is computed while the next is prepared, or the last one rendered
    needs_event = False

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()
        self._lock = PriorityLock()
        # One thread for all arithmetic: PyTorch gives every calling thread helpers and memory pools of its own.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._batchers: dict[tuple[object, ...], Batcher[tuple[PretrainedModel, Query], Prediction]] = {}
        self._batchers_lock = Lock()
        self._photos = 0  # since the last `trim_heap`

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        # The device belongs to the key and the network does not: after a fallback to the CPU, the batcher that
        # remains from the GPU must not keep the old network alive.
        key = (query.model, query.precision, pretrained.device)
        with self._batchers_lock:
            batcher = self._batchers.setdefault(key, Batcher(self._predict))
        with self._lock.expect_light():
            return batcher.submit((pretrained, query))

    def _predict(self, batch: Sequence[tuple[PretrainedModel, Query]]) -> list[Prediction]:
        pretrained, precision = batch[0][0], batch[0][1].precision
        with self._lock.acquire(LIGHT):
            self._photos += len(batch)
            if self._photos >= PHOTOS_PER_TRIM:
                self._photos = 0
                trim_heap()
            images = [query.image for _, query in batch]
            # Under load one core is left for decoding and rendering; otherwise each layer waits for its slowest thread.
            threads = self._threads if len(batch) == 1 else max(1, self._threads - 1)
            return self._executor.submit(_with_threads, threads, predict_batch, pretrained, images, precision).result()

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *arguments: Any,
    ) -> Result:
        return self.run(function, pretrained, prediction, *arguments)

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return `function(*arguments)`, computed when no prediction waits."""
        with self._lock.acquire(HEAVY):
            return self._executor.submit(_with_threads, self._threads, function, *arguments).result()


def _with_threads(threads: int, function: Callable[..., Result], *arguments: Any) -> Result:
    """Return `function(*arguments)`, computed with this number of PyTorch threads."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return function(*arguments)
