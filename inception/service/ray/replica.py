"""What runs in a replica: the networks, forward passes for several visitors at once, and explanations."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from ray import serve

from ...prediction import Prediction, predict_batch
from ...runtime.device import choose_device
from ..priority import HEAVY, LIGHT, PriorityLock
from ..query import Query
from ..service import CACHE_BYTES, InferenceService
from .scale import MOST_IN_A_BATCH, Scale


@dataclass(frozen=True)
class Figures:
    """What one replica has done."""

    pid: int
    threads: int
    batches: dict[int, int]  # how many there were of each size
    explanations: int
    recalled: int  # explanations whose photo needed no second forward pass


class Replica:
    """Ray Serve makes one in each replica's process and calls its methods in one event loop.

    Args:
        models: names, or paths of checkpoints that lie where the replica runs.
        scale: what this replica is given.
        precision: the one that photos will be answered with.

    Raises:
        WeightsError: if the first of `models` cannot be had.
    """

    def __init__(self, models: tuple[str, ...], scale: Scale, precision: str) -> None:
        torch.set_num_threads(scale.threads)
        self._service = InferenceService(models, choose_device(scale.device), precision=precision)
        self._service.pretrained(self._service.models[0])  # who is ready can answer
        # What was seen lately, for those who ask why.
        self._recent: LRUCache[tuple[str, ...], Prediction] = LRUCache(CACHE_BYTES, lambda seen: seen.nbytes)
        # A thread for each kind of work; whose turn it is, `Turns` says.
        self._turns = PriorityLock()
        self._light, self._heavy = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches: Counter[int] = Counter()
        self._explanations = self._recalled = 0

    async def predict(self, query: Query) -> Prediction:
        """One forward pass, shared with all who wait for one."""
        # Alone, and not in the batch: weights that cannot be had are no error of the others, nor have them wait.
        await asyncio.to_thread(self._service.pretrained, query.model)
        # Ray closes a batch when its time is up, also while the one before still runs: whoever came then
        # would be a batch of its own. Here they gather until the way is free, as in `Together`.
        await self._idle.wait()
        prediction: Prediction = await self._together(query)
        self._recent[_key(query)] = prediction
        return prediction

    @serve.batch(max_batch_size=MOST_IN_A_BATCH, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
    async def _together(self, queries: list[Query]) -> list[Prediction]:
        self._idle.clear()
        try:
            return await _in(self._light, self._pass, queries)
        finally:
            self._idle.set()

    def _pass(self, queries: Sequence[Query]) -> list[Prediction]:
        """One forward pass for each network and precision that is asked for, mostly one."""
        alike: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for number, query in enumerate(queries):
            alike[query.model, query.precision].append(number)
        answers: dict[int, Prediction] = {}
        with self._turns.turn(LIGHT):
            for (model, precision), numbers in alike.items():
                pictures = [queries[number].seen for number in numbers]
                seen = self._service.with_network(model, predict_batch, pictures, precision)
                answers.update(zip(numbers, seen, strict=True))
                self._batches[len(numbers)] += 1
        return [answers[number] for number in range(len(queries))]

    async def explain(self, query: Query, function: Callable[..., Any], told: tuple[Any, ...]) -> Any:
        """`function(pretrained, observation, *told)`, which waits behind forward passes."""
        prediction = self._recent.get(_key(query))
        self._explanations += 1
        self._recalled += prediction is not None
        if prediction is None:
            prediction = await self.predict(query)
        return await _in(self._heavy, self._explained, query.model, prediction, function, told)

    def _explained(
        self, model: str, prediction: Prediction, function: Callable[..., Any], told: tuple[Any, ...]
    ) -> Any:
        with self._turns.turn(HEAVY):
            return self._service.with_network(model, function, prediction, *told)

    async def figures(self) -> Figures:
        """What this replica has done since it began."""
        return Figures(os.getpid(), torch.get_num_threads(), dict(self._batches), self._explanations, self._recalled)

    async def check_health(self) -> None:
        """Ray replaces a replica for which this fails: a GPU that has failed once computes no more in its process."""
        torch.ones(1, device=self._service.device.torch_device).sum().item()


async def _in(thread: ThreadPoolExecutor, work: Callable[..., Any], *told: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(thread, work, *told)


def _key(query: Query) -> tuple[str, ...]:
    return query.model, query.digest, query.precision
