"""Who does the arithmetic for the page: this process, or replicas elsewhere (`inception.serving`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Protocol, TypeVar

import torch
from PIL import Image

from ..memory import give_back
from ..observation import Observation, observe_together
from ..preprocessing import CENTRE, Frame
from ..weights import PRECISIONS, Pretrained
from .snapshot import Snapshot
from .together import MOST, Together
from .turns import HEAVY, LIGHT, Turns

Result = TypeVar("Result")
TIDY_EVERY = 64  # photos; they come and go between what stays, and after a few thousand half a gigabyte lies fallow


@dataclass(frozen=True)
class Look:
    """What a visitor is looking at: all that is needed to have the observation again.

    `precision` and `frame` are as `observe` takes them; `photo` is what the page shows of all of it.
    """

    model: str
    seen: Image.Image = field(repr=False)
    digest: str
    precision: str = PRECISIONS[0]
    frame: Frame = CENTRE
    photo: Snapshot | None = field(default=None, repr=False)

    @property
    def exact(self) -> Look:
        """The same, seen with all digits, as explanations need it to add up."""
        return replace(self, precision=PRECISIONS[0])


class Runner(Protocol):
    """Both methods may be called from many threads at once, and block until the result is there.

    `at_once` says how many questions of one kind are worth having under way.
    """

    at_once: int

    def observe(self, pretrained: Pretrained, look: Look) -> Observation:
        """One forward pass."""
        ...

    def explain(
        self, pretrained: Pretrained, look: Look, observation: Observation, function: Callable[..., Result], *told: Any
    ) -> Result:
        """`function(pretrained, observation, *told)`: a function of a module, and arguments that can be sent."""
        ...


class Here:
    """In this process. Those who wait for a forward pass share one; explanations wait behind it."""

    at_once = 2 * MOST  # a batch is computed while the next is being opened, or the one before drawn

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()
        self._turns = Turns()
        # Every thread that computes has helpers and working memory of its own for as long as it lives.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._together: dict[tuple[object, ...], Together[tuple[Pretrained, Look], Observation]] = {}
        self._lock = Lock()
        self._photos = 0  # since memory was tidied

    def observe(self, pretrained: Pretrained, look: Look) -> Observation:
        with self._lock:
            # By the device too, and the network not kept: it may have to move, and then is to leave nothing behind.
            key = (look.model, look.precision, pretrained.device)
            together = self._together.setdefault(key, Together(self._observe))
        return together.ask((pretrained, look))

    def _observe(self, asked: Sequence[tuple[Pretrained, Look]]) -> list[Observation]:
        pretrained, precision = asked[0][0], asked[0][1].precision
        with self._turns.turn(LIGHT):
            self._photos += len(asked)
            if self._photos >= TIDY_EVERY:
                self._photos = 0
                give_back()
            seen = [look.seen for _, look in asked]
            # In company a core is left to those who open and draw: else each layer waits for the one that it lost.
            threads = self._threads if len(asked) == 1 else max(1, self._threads - 1)
            return self._thread.submit(_with, threads, observe_together, pretrained, seen, precision).result()

    def explain(
        self, pretrained: Pretrained, look: Look, observation: Observation, function: Callable[..., Result], *told: Any
    ) -> Result:
        with self._turns.turn(HEAVY):
            return self._thread.submit(_with, self._threads, function, pretrained, observation, *told).result()


def _with(threads: int, function: Callable[..., Result], *told: Any) -> Result:
    """`function(*told)` with so many of PyTorch's threads."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return function(*told)
