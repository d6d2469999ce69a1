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
from ..prediction import Prediction, predict_batch
from ..pretrained.pretrained import PretrainedModel
from .backend import LocalBackend
from .batching import MAX_BATCH, Batcher
from .query import Query
from .service import InferenceService

Result = TypeVar("Result")
SECONDS = 15  # of a GPU that one call may take: who asks for less waits less

log = logging.getLogger(__name__)


class ZeroGpuBackend:
    """A `Runner` for the networks called `models`, which are names, or paths of checkpoints.

    To be made before the page is launched: Spaces then looks for a function that wants a GPU.
    """

    at_once = MAX_BATCH

    def __init__(self, models: Sequence[str]) -> None:
        import spaces

        self._models = tuple(models)
        self._lent: Callable[..., Any] = spaces.GPU(duration=SECONDS)(computed)
        self._here = LocalBackend()
        self._together: Batcher[Query, Prediction] = Batcher(self._predict)

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        try:
            return self._together.ask(query)
        except NoGpuError:
            return self._here.predict(pretrained, query)

    def _predict(self, queries: Sequence[Query]) -> list[Prediction]:
        return cast(list[Prediction], self._asked("observe", tuple(queries)))

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *told: Any,
    ) -> Result:
        try:
            return cast(Result, self._asked("explain", (query,), function, told))
        except NoGpuError:
            return self._here.explain(pretrained, query, prediction, function, *told)

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
    queries: tuple[Query, ...],
    function: Callable[..., Any] | None = None,
    told: tuple[Any, ...] = (),
) -> Any:
    """Where the GPU is: the observations of `looks`, or what `function` says of the first one.

    A `UserError` is returned: raised, it would come out of that process as no more than its name.
    """
    service = _service(models)
    try:
        seen = _observed(service, queries)
        if function is None:
            return seen
        return service.with_network(queries[0].model, function, seen[0], *told)
    except UserError as error:
        return error


def _observed(service: InferenceService, queries: Sequence[Query]) -> list[Prediction]:
    """In one forward pass for each network and precision."""
    answers: dict[int, Prediction] = {}
    alike: dict[tuple[str, str], list[int]] = {}
    for number, query in enumerate(queries):
        alike.setdefault((query.model, query.precision), []).append(number)
    for (model, precision), numbers in alike.items():
        pictures = [queries[number].seen for number in numbers]
        seen = service.with_network(model, predict_batch, pictures, precision)
        answers.update(zip(numbers, seen, strict=True))
    return [answers[number] for number in range(len(queries))]


@cache
def _service(models: tuple[str, ...]) -> InferenceService:
    from ..runtime.device import choose_device

    return InferenceService(models, choose_device())
