"""Who does the arithmetic for the page: this process, or replicas elsewhere (`inception.serving`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol, TypeVar

import torch

from inception.service.query import Query

from ..prediction import Prediction, predict_batch
from ..pretrained.pretrained import PretrainedModel
from ..runtime.memory import trim_heap
from .batching import MAX_BATCH, Batcher
from .priority import HEAVY, LIGHT, PriorityLock

Result = TypeVar("Result")
TIDY_EVERY = 64  # photos; they come and go between what stays, and after a few thousand half a gigabyte lies fallow


class Backend(Protocol):
    """Both methods may be called from many threads at once, and block until the result is there.

    `at_once` says how many questions of one kind are worth having under way.
    """

    at_once: int

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        """One forward pass."""
        ...

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *told: Any,
    ) -> Result:
        """`function(pretrained, observation, *told)`: a function of a module, and arguments that can be sent."""
        ...


class LocalBackend:
    """In this process. Those who wait for a forward pass share one; explanations wait behind it."""

    at_once = 2 * MAX_BATCH  # a batch is computed while the next is being opened, or the one before drawn

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()
        self._turns = PriorityLock()
        # Every thread that computes has helpers and working memory of its own for as long as it lives.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._together: dict[tuple[object, ...], Batcher[tuple[PretrainedModel, Query], Prediction]] = {}
        self._lock = Lock()
        self._photos = 0  # since memory was tidied

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        with self._lock:
            # By the device too, and the network not kept: it may have to move, and then is to leave nothing behind.
            key = (query.model, query.precision, pretrained.device)
            together = self._together.setdefault(key, Batcher(self._predict))
        return together.ask((pretrained, query))

    def _predict(self, asked: Sequence[tuple[PretrainedModel, Query]]) -> list[Prediction]:
        pretrained, precision = asked[0][0], asked[0][1].precision
        with self._turns.turn(LIGHT):
            self._photos += len(asked)
            if self._photos >= TIDY_EVERY:
                self._photos = 0
                trim_heap()
            seen = [query.seen for _, query in asked]
            # In company a core is left to those who open and draw: else each layer waits for the one that it lost.
            threads = self._threads if len(asked) == 1 else max(1, self._threads - 1)
            return self._thread.submit(_with, threads, predict_batch, pretrained, seen, precision).result()

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *told: Any,
    ) -> Result:
        with self._turns.turn(HEAVY):
            return self._thread.submit(_with, self._threads, function, pretrained, prediction, *told).result()


def _with(threads: int, function: Callable[..., Result], *told: Any) -> Result:
    """`function(*told)` with so many of PyTorch's threads."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return function(*told)
