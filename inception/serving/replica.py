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

from ..device import choose_device
from ..observation import Observation, observe_together
from ..page.runner import Look
from ..page.studio import CACHE_BYTES, Studio
from ..page.turns import HEAVY, LIGHT, Turns
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
        self._studio = Studio(models, choose_device(scale.device), precision=precision)
        self._studio.pretrained(self._studio.models[0])  # who is ready can answer
        # What was seen lately, for those who ask why.
        self._recent: LRUCache[tuple[str, ...], Observation] = LRUCache(CACHE_BYTES, lambda seen: seen.nbytes)
        # A thread for each kind of work; whose turn it is, `Turns` says.
        self._turns = Turns()
        self._light, self._heavy = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches: Counter[int] = Counter()
        self._explanations = self._recalled = 0

    async def observe(self, look: Look) -> Observation:
        """One forward pass, shared with all who wait for one."""
        # Alone, and not in the batch: weights that cannot be had are no error of the others, nor have them wait.
        await asyncio.to_thread(self._studio.pretrained, look.model)
        # Ray closes a batch when its time is up, also while the one before still runs: whoever came then
        # would be a batch of its own. Here they gather until the way is free, as in `Together`.
        await self._idle.wait()
        observation: Observation = await self._together(look)
        self._recent[_key(look)] = observation
        return observation

    @serve.batch(max_batch_size=MOST_IN_A_BATCH, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
    async def _together(self, looks: list[Look]) -> list[Observation]:
        self._idle.clear()
        try:
            return await _in(self._light, self._pass, looks)
        finally:
            self._idle.set()

    def _pass(self, looks: Sequence[Look]) -> list[Observation]:
        """One forward pass for each network and precision that is asked for, mostly one."""
        alike: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for number, look in enumerate(looks):
            alike[look.model, look.precision].append(number)
        answers: dict[int, Observation] = {}
        with self._turns.turn(LIGHT):
            for (model, precision), numbers in alike.items():
                pictures = [looks[number].seen for number in numbers]
                seen = self._studio.with_network(model, observe_together, pictures, precision)
                answers.update(zip(numbers, seen, strict=True))
                self._batches[len(numbers)] += 1
        return [answers[number] for number in range(len(looks))]

    async def explain(self, look: Look, function: Callable[..., Any], told: tuple[Any, ...]) -> Any:
        """`function(pretrained, observation, *told)`, which waits behind forward passes."""
        observation = self._recent.get(_key(look))
        self._explanations += 1
        self._recalled += observation is not None
        if observation is None:
            observation = await self.observe(look)
        return await _in(self._heavy, self._explained, look.model, observation, function, told)

    def _explained(
        self, model: str, observation: Observation, function: Callable[..., Any], told: tuple[Any, ...]
    ) -> Any:
        with self._turns.turn(HEAVY):
            return self._studio.with_network(model, function, observation, *told)

    async def figures(self) -> Figures:
        """What this replica has done since it began."""
        return Figures(os.getpid(), torch.get_num_threads(), dict(self._batches), self._explanations, self._recalled)

    async def check_health(self) -> None:
        """Ray replaces a replica for which this fails: a GPU that has failed once computes no more in its process."""
        torch.ones(1, device=self._studio.device.torch_device).sum().item()


async def _in(thread: ThreadPoolExecutor, work: Callable[..., Any], *told: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(thread, work, *told)


def _key(look: Look) -> tuple[str, ...]:
    return look.model, look.digest, look.precision
