"""ZeroGPU of Hugging Face Spaces: a GPU that is lent for the length of one call, in a process beside the page.

The page keeps its networks on the CPU. What is to be computed is sent to a function that `spaces.GPU` has
decorated, which loads the networks there at its first call. Where no GPU is to be had, a visitor's share is used
up for instance, this process computes, as it would without ZeroGPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from ..errors import UserError
from ..observation import Observation, observe_together
from ..page.runner import Here, Look
from ..page.studio import Studio
from ..page.together import MOST, Together
from ..weights import Pretrained

Result = TypeVar("Result")
SECONDS = 15  # of a GPU that one call may take: who asks for less waits less

log = logging.getLogger(__name__)


class OnZeroGpu:
    """A `Runner` for the networks called `models`, which are names, or paths of checkpoints.

    To be made before the page is launched: Spaces then looks for a function that wants a GPU.
    """

    at_once = MOST

    def __init__(self, models: Sequence[str]) -> None:
        import spaces

        self._models = tuple(models)
        self._lent: Callable[..., Any] = spaces.GPU(duration=SECONDS)(computed)
        self._here = Here()
        self._together: Together[Look, Observation] = Together(self._observe)

    def observe(self, pretrained: Pretrained, look: Look) -> Observation:
        try:
            return self._together.ask(look)
        except NoGpuError:
            return self._here.observe(pretrained, look)

    def _observe(self, looks: Sequence[Look]) -> list[Observation]:
        return cast(list[Observation], self._asked("observe", tuple(looks)))

    def explain(
        self, pretrained: Pretrained, look: Look, observation: Observation, function: Callable[..., Result], *told: Any
    ) -> Result:
        try:
            return cast(Result, self._asked("explain", (look,), function, told))
        except NoGpuError:
            return self._here.explain(pretrained, look, observation, function, *told)

    def _asked(self, *question: Any) -> Any:
        from gradio.exceptions import Error

        try:
            answer = self._lent(self._models, *question)
        except Error as error:
            log.warning("ZeroGPU lends no GPU, so the CPU computes: %s", error)
            raise NoGpuError from error
        if isinstance(answer, UserError):
            raise answer
        return answer


class NoGpuError(Exception):
    """ZeroGPU said no."""


def computed(
    models: tuple[str, ...],
    what: str,
    looks: tuple[Look, ...],
    function: Callable[..., Any] | None = None,
    told: tuple[Any, ...] = (),
) -> Any:
    """Where the GPU is: the observations of `looks`, or what `function` says of the first one.

    A `UserError` is returned: raised, it would come out of that process as no more than its name.
    """
    studio = _studio(models)
    try:
        seen = _observed(studio, looks)
        if function is None:
            return seen
        return studio.with_network(looks[0].model, function, seen[0], *told)
    except UserError as error:
        return error


def _observed(studio: Studio, looks: Sequence[Look]) -> list[Observation]:
    """In one forward pass for each network and precision."""
    answers: dict[int, Observation] = {}
    alike: dict[tuple[str, str], list[int]] = {}
    for number, look in enumerate(looks):
        alike.setdefault((look.model, look.precision), []).append(number)
    for (model, precision), numbers in alike.items():
        pictures = [looks[number].seen for number in numbers]
        seen = studio.with_network(model, observe_together, pictures, precision)
        answers.update(zip(numbers, seen, strict=True))
    return [answers[number] for number in range(len(looks))]


@cache
def _studio(models: tuple[str, ...]) -> Studio:
    from ..device import choose_device

    return Studio(models, choose_device())
