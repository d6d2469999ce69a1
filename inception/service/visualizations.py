"""Feature visualizations that grow in small steps, shared by all callers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

from cachetools import LRUCache

from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from ..units.feature_visualization import VisualizationSettings, VisualizationStep, visualize
from ..units.unit import Unit
from .backend import LocalBackend
from .service import InferenceService

KEPT = 512  # finished images; one of 128 pixels takes 50 kB
RUNNING = 16  # unfinished ones; the others begin again


@dataclass
class _Run:
    """An unfinished visualization. `lock` is held while it takes steps."""

    lock: Lock = field(default_factory=Lock)
    pretrained: PretrainedModel | None = None
    steps: Iterator[VisualizationStep] | None = None
    shown: VisualizationStep | None = None


class Visualizations:
    """Visualizations by network and unit. Thread-safe.

    In this process a visualization takes a few steps at each call, so that predictions need not wait for all of it.
    Other back ends compute it in one piece.
    """

    def __init__(self, service: InferenceService) -> None:
        self._service = service
        self._finished: LRUCache[tuple[object, ...], VisualizationStep] = LRUCache(KEPT)
        self._running: LRUCache[tuple[object, ...], _Run] = LRUCache(RUNNING)
        self._lock = Lock()

    def known(self, model: str, unit: Unit, sign: int) -> VisualizationStep | None:
        """Return the finished visualization, if there is one."""
        with self._lock:
            return self._finished.get((model, unit, sign))

    def after(self, model: str, unit: Unit, sign: int, step: int) -> VisualizationStep:
        """Return the visualization of a unit, further on than at `step`; at its end, that.

        Args:
            unit: a channel.
            sign: +1 for what excites it, -1 for the opposite.

        Raises:
            UserError: if the network has no such unit.
            ChoiceError, WeightsError: as `InferenceService.pretrained`.
        """
        key = (model, unit, sign)
        with self._lock:
            if (finished := self._finished.get(key)) is not None:
                return finished
            run = self._running.get(key) or _Run()
            self._running[key] = run
        with run.lock:
            if run.shown is None or run.shown.step <= min(step, run.shown.steps - 1):
                run.shown = self._advance(run, model, unit, sign)
            shown = run.shown
        if shown.step == shown.steps:
            with self._lock:
                self._finished[key] = shown
                self._running.pop(key, None)
        return shown

    def _advance(self, run: _Run, model: str, unit: Unit, sign: int) -> VisualizationStep:
        service = self._service
        settings = VisualizationSettings(sign=sign)
        backend = service.backend
        if not isinstance(backend, LocalBackend):
            return service.explained(service.grey_query(model), finished_visualization, unit, settings)

        def advance(pretrained: PretrainedModel) -> VisualizationStep:
            # After a full GPU has given way to the CPU, it begins again there.
            if run.steps is None or run.pretrained is not pretrained:
                run.pretrained, run.steps = pretrained, visualize(pretrained, unit, settings)
            return next(run.steps)

        return service.compute(model, lambda pretrained: backend.run(advance, pretrained))


def finished_visualization(
    pretrained: PretrainedModel, prediction: Prediction, unit: Unit, settings: VisualizationSettings
) -> VisualizationStep:
    """Return the last step of `visualize`; it depends on no prediction."""
    *_, last = visualize(pretrained, unit, settings)
    return last
