"""The page's end: asks a deployment, and asks again where a replica was lost on the way."""

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

# Ray sends a question on where a replica is known to be dead, but not one that was under way in a replica
# that dies. Every question here can be asked twice.
LOST = (RayActorError, ObjectLostError, WorkerCrashedError, NodeDiedError, ReplicaUnavailableError)
# A question that is lost so many times may itself be what the replicas die of.
ATTEMPTS = 4
PAUSE_SECONDS = 0.5  # before a question is asked again
# Longer than a new replica takes to begin, and than Ray takes to find that one hangs.
PATIENCE_SECONDS = 180.0

log = logging.getLogger(__name__)


class RayBackend:
    """A `Runner` for which the replicas of a Ray Serve deployment compute.

    What they answer lies in Ray's shared memory, for as long as the page keeps it.

    Args:
        handle: of a deployment of `Replica`.
        at_once: how many questions of one kind are worth having under way.

    Raises (of all methods):
        UserError: what the replica raised.
        ServingError: if no replica answers.
    """

    def __init__(self, handle: DeploymentHandle, at_once: int) -> None:
        self.at_once = at_once
        self._handle = handle
        # Made once: the first makes what both send through, which must not happen in two threads at the same time.
        self._predict, self._explain = handle.predict, handle.explain

    def close(self) -> None:
        """Ask nothing any more; before Ray ends. Else threads of Ray's go on telling it how much there is to do."""
        for handle in (self._handle, self._predict, self._explain):
            handle.shutdown()

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        return cast(Prediction, _asked(self._predict, query))

    def explain(
        self,
        pretrained: PretrainedModel,
        query: Query,
        prediction: Prediction,
        function: Callable[..., Result],
        *told: Any,
    ) -> Result:
        # The look and not the observation, which is forty times as large and may be known there.
        return cast(Result, _asked(self._explain, query, function, told))

    def figures(self) -> tuple[Figures, ...]:
        """What each replica has done."""
        return tuple(self._handle.broadcast("figures").results(timeout_s=PATIENCE_SECONDS))


def _asked(method: DeploymentHandle, *told: Any) -> Any:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return method.remote(*told).result(timeout_s=PATIENCE_SECONDS)
        except RayTaskError as error:
            # Ray's own class is around it. What no visitor can mend keeps the replica's traceback.
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        except LOST as error:
            log.warning("A replica was lost while it was asked (attempt %d): %s", attempt, type(error).__name__)
            time.sleep(PAUSE_SECONDS)
        except (DeploymentUnavailableError, TimeoutError) as error:
            log.warning("No replica answers: %s", error)
            break
    raise ServingError("serving_lost", "The machines that compute do not answer; please try again in a minute.")
