"""Back end on ZeroGPU of Hugging Face Spaces, which lends a GPU for the length of one call, in another process.

This process keeps its networks on the CPU. Calls go to a function decorated by `spaces.GPU`, which loads the networks
in the GPU's process at its first call. Without a GPU, for instance when the visitor's quota is used up, this process
computes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

from ..errors import UserError
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from ..runtime.device import choose_device, compute_in_full_float32
from .backend import LocalBackend
from .batching import MAX_BATCH, Batcher
from .query import Query
from .service import InferenceService

Result = TypeVar("Result")
SECONDS = 15  # of GPU time reserved for one call; shorter reservations wait less

log = logging.getLogger(__name__)


class ZeroGpuBackend:
    """A `Backend` for the networks called `models`: names, or paths of checkpoints.

    Create it before the page is launched, when Spaces looks for decorated functions.
    """

    at_once = MAX_BATCH
    needs_event = True

    def __init__(self, models: Sequence[str]) -> None:
        import spaces

        self._models = tuple(models)
        self._on_gpu: Callable[..., Any] = spaces.GPU(duration=SECONDS)(compute_on_gpu)
        self._local = LocalBackend()
        self._batcher: Batcher[Query, Prediction] = Batcher(self._predict)

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        try:
            return self._batcher.submit(query)
        except NoGpuError as error:
            # A batch runs on the quota of one of its visitors, which is no reason to refuse the others.
            if error.photos > 1:
                with suppress(NoGpuError):
                    return self._predict([query])[0]
            return self._local.predict(pretrained, query)

    def _predict(self, queries: Sequence[Query]) -> list[Prediction]:
        return cast(list[Prediction], self._call(tuple(queries)))

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *arguments: Any,
    ) -> Result:
        try:
            return cast(Result, self._call((query,), function, arguments))
        except NoGpuError:
            return self._local.explain(pretrained, query, prediction, function, *arguments)

    def _call(self, queries: tuple[Query, ...], *arguments: Any) -> Any:
        try:
            result = self._on_gpu(self._models, queries, *arguments)
        except Exception as error:
            if not _is_refusal(error):
                raise
            log.warning("ZeroGPU lends no GPU, so the CPU computes: %s", error)
            raise NoGpuError(len(queries)) from error
        if isinstance(result, UserError):
            raise result
        return result


class NoGpuError(Exception):
    """ZeroGPU lent no GPU for a batch of `photos`."""

    def __init__(self, photos: int) -> None:
        super().__init__(photos)
        self.photos = photos


def _is_refusal(error: Exception) -> bool:
    # `spaces` refuses with `gradio.exceptions.Error`; compared by name, as this package does not import Gradio.
    return any((kind.__module__, kind.__name__) == ("gradio.exceptions", "Error") for kind in type(error).__mro__)


def compute_on_gpu(
    models: tuple[str, ...],
    queries: tuple[Query, ...],
    function: Callable[..., Any] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Any:
    """Return the predictions of `queries`, or an explanation of the first one; runs in the process that has the GPU.

    A `UserError` is returned and not raised: of a raised one only the name would leave that process.
    """
    service = service_on_gpu(models)
    try:
        predictions = service.predict_batch(queries)
        if function is None:
            return predictions
        return service.compute(queries[0].model, function, predictions[0], *arguments)
    except UserError as error:
        return error


@cache
def service_on_gpu(models: tuple[str, ...]) -> InferenceService:
    """Return the service of the process that has the GPU."""
    compute_in_full_float32()
    return InferenceService(models, choose_device(), compiles=False)
