"""Who does the arithmetic for the page: this process, or replicas elsewhere (`inception.serving`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Protocol, TypeVar

from PIL import Image

from ..memory import give_back
from ..observation import Observation, observe_together
from ..weights import PRECISIONS, Pretrained
from .together import MOST, Together
from .turns import HEAVY, LIGHT, Turns

Result = TypeVar("Result")
TIDY_EVERY = 64  # photos; they come and go between what stays, and after a few thousand half a gigabyte lies fallow


@dataclass(frozen=True)
class Look:
    """What a visitor is looking at: all that is needed to have the observation again.

    `precision` is as `observe` takes it.
    """

    model: str
    seen: Image.Image = field(repr=False)
    digest: str
    precision: str = PRECISIONS[0]

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

    at_once = MOST

    def __init__(self) -> None:
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
            return self._thread.submit(observe_together, pretrained, seen, precision).result()

    def explain(
        self, pretrained: Pretrained, look: Look, observation: Observation, function: Callable[..., Result], *told: Any
    ) -> Result:
        with self._turns.turn(HEAVY):
            return self._thread.submit(function, pretrained, observation, *told).result()
