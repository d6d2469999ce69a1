"""Client of the replicas: calls a deployment, and repeats calls that were lost with a replica."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from ...errors import UserError
from ...prediction import Prediction
from ...pretrained.pretrained import PretrainedModel
from ..query import Query
from .errors import ServingError
from .replica import Figures

Result = TypeVar("Result")

# Ray itself repeats a call to a replica known to be dead, but not one in progress in a replica that dies. All calls
# here are safe to repeat.
LOST = (RayActorError, ObjectLostError, WorkerCrashedError, NodeDiedError, ReplicaUnavailableError)
# A call that is lost this often may be what kills the replicas.
ATTEMPTS = 4
PAUSE_SECONDS = 0.5  # before a repetition
# Longer than a replica takes to start, and than Ray takes to notice one that hangs.
TIMEOUT_SECONDS = 180.0

log = logging.getLogger(__name__)


class RayBackend:
    """A `Backend` whose calls go to the replicas of a Ray Serve deployment.

    The arrays of a result stay in Ray's shared memory until the result is garbage.

    Args:
        handle: of a deployment of `Replica`.
        at_once: number of calls of one kind worth having in progress.

    Raises (all methods):
        UserError: as the replica raised it.
        ServingError: if no replica answers.
    """

    needs_event = False

    def __init__(self, handle: DeploymentHandle, at_once: int) -> None:
        self.at_once = at_once
        self._handle = handle
        # Created once: the first method handle creates the router of both, which is not thread-safe.
        self._predict, self._explain = handle.predict, handle.explain

    def close(self) -> None:
        """Stop sending calls, before Ray is shut down; otherwise Ray's threads keep reporting metrics to it."""
        for handle in (self._handle, self._predict, self._explain):
            handle.shutdown()

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        return cast(Prediction, _call(self._predict, query))

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *arguments: Any,
    ) -> Result:
        # The query and not the prediction, which is forty times as large and may be in the replica's cache.
        return cast(Result, _call(self._explain, query, function, arguments))

    def figures(self) -> tuple[Figures, ...]:
        """Return the counts of each replica."""
        return tuple(self._handle.broadcast("figures").results(timeout_s=TIMEOUT_SECONDS))


def _call(method: DeploymentHandle, *arguments: Any) -> Any:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return method.remote(*arguments).result(timeout_s=TIMEOUT_SECONDS)
        except RayTaskError as error:
            # Ray wraps the replica's error. A `UserError` is passed on as it is; others keep the replica's traceback.
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        except LOST as error:
            log.warning("A replica was lost during a call (attempt %d): %s", attempt, type(error).__name__)
            time.sleep(PAUSE_SECONDS)
        except (DeploymentUnavailableError, TimeoutError) as error:
            log.warning("No replica answers: %s", error)
            break
    raise ServingError("serving_lost", "The machines that compute do not answer; please try again in a minute.")
