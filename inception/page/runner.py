"""Who does the arithmetic for the page: this process, or replicas elsewhere (`inception.serving`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Protocol, TypeVar

from PIL import Image

from ..observation import Observation, observe_together
from ..weights import Pretrained
from .together import Together
from .turns import HEAVY, LIGHT, Turns

Result = TypeVar("Result")


@dataclass(frozen=True)
class Look:
    """What a visitor is looking at: all that is needed to have the observation again."""

    model: str
    seen: Image.Image = field(repr=False)
    digest: str


class Runner(Protocol):
    """Both may be called from many threads at once, and block until the result is there."""

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

    def __init__(self) -> None:
        self._turns = Turns()
        self._together: dict[str, Together[Look, Observation]] = {}
        self._lock = Lock()

    def observe(self, pretrained: Pretrained, look: Look) -> Observation:
        with self._lock:
            together = self._together.setdefault(look.model, Together(partial(self._observe, pretrained)))
        return together.ask(look)

    def _observe(self, pretrained: Pretrained, looks: Sequence[Look]) -> list[Observation]:
        with self._turns.turn(LIGHT):
            return observe_together(pretrained, [look.seen for look in looks])

    def explain(
        self, pretrained: Pretrained, look: Look, observation: Observation, function: Callable[..., Result], *told: Any
    ) -> Result:
        with self._turns.turn(HEAVY):
            return function(pretrained, observation, *told)
