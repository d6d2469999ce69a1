"""A replica: networks in a process of their own, with batched forward passes, and explanations behind them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from ray import serve

from ...network.overflow import ActivationOverflowError, run_batch
from ...prediction import Prediction
from ...runtime.device import choose_device, compute_in_full_float32
from ..priority import HEAVY, LIGHT, PriorityLock
from ..query import Query
from ..service import CACHE_BYTES, InferenceService
from .scale import MAX_REPLICA_BATCH, Scale


@dataclass(frozen=True)
class Figures:
    """Counts of one replica since its start."""

    pid: int
    threads: int
    batches: dict[int, int]  # number of forward passes by batch size
    explanations: int
    recalled: int  # explanations whose prediction was still in the replica's cache


class Replica:
    """Ray Serve creates one in each replica's process, and calls its methods in one event loop.

    Args:
        models: names, or paths of checkpoints on the replica's machine.
        scale: resources of this replica.
        precision: of predictions.

    Raises:
        WeightsError: if the first of `models` cannot be loaded.
    """

    def __init__(self, models: tuple[str, ...], scale: Scale, precision: str) -> None:
        torch.set_num_threads(scale.threads)
        compute_in_full_float32()
        self._service = InferenceService(models, choose_device(scale.device), precision=precision)
        self._service.pretrained(self._service.models[0])  # a replica that is ready can answer
        # Recent predictions: an explanation of one of them needs no second forward pass.
        self._recent: LRUCache[tuple[str, ...], Prediction] = LRUCache(
            CACHE_BYTES, lambda prediction: prediction.nbytes
        )
        # One thread for each priority class; the lock decides which of them computes.
        self._lock = PriorityLock()
        self._light, self._heavy = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches: Counter[int] = Counter()
        self._explanations = self._recalled = 0

    async def predict(self, query: Query) -> Prediction:
        """Return the prediction of a forward pass that waiting queries share."""
        # Outside the batch: a network that cannot be loaded must neither fail nor delay the others.
        await asyncio.to_thread(self._service.pretrained, query.model)
        # Ray closes a batch after its waiting time even while another runs, which would make small batches. Waiting
        # here lets them grow, as in `Batcher`.
        await self._idle.wait()
        prediction: Prediction | ActivationOverflowError = await self._batched(query)
        if isinstance(prediction, ActivationOverflowError):
            raise prediction
        if prediction.nbytes <= self._recent.maxsize:  # of larger values the cache raises an error
            self._recent[_key(query)] = prediction
        return prediction

    @serve.batch(max_batch_size=MAX_REPLICA_BATCH, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
    async def _batched(self, queries: list[Query]) -> list[Prediction | ActivationOverflowError]:
        self._idle.clear()
        try:
            return await _run_in(self._light, run_batch, self.predict_batch, queries)
        finally:
            self._idle.set()

    def predict_batch(self, queries: Sequence[Query]) -> list[Prediction]:
        """Return the predictions of one batch: a forward pass for each network and precision, mostly one."""
        with self._lock.acquire(LIGHT):
            predictions = self._service.predict_batch(queries)
            self._batches.update(Counter((query.model, query.precision) for query in queries).values())
            return predictions

    async def explain(self, query: Query, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Return `function(pretrained, prediction, *arguments)`; waits behind forward passes."""
        prediction = self._recent.get(_key(query))
        self._explanations += 1
        self._recalled += prediction is not None
        if prediction is None:
            prediction = await self.predict(query)
        return await _run_in(self._heavy, self.explain_prediction, query.model, prediction, function, arguments)

    def explain_prediction(
        self, model: str, prediction: Prediction, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """Return the explanation of a prediction that is there already."""
        with self._lock.acquire(HEAVY):
            return self._service.compute(model, function, prediction, *arguments)

    async def figures(self) -> Figures:
        """Return the counts of this replica."""
        return Figures(os.getpid(), torch.get_num_threads(), dict(self._batches), self._explanations, self._recalled)

    async def check_health(self) -> None:
        """Raise if the device fails; Ray then replaces the replica. A GPU does not recover within its process."""
        torch.ones(1, device=self._service.device.torch_device).sum().item()


async def _run_in(executor: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


def _key(query: Query) -> tuple[str, ...]:
    return query.model, query.digest, query.precision
