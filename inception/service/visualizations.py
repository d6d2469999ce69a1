"""Feature visualizations, optimised a few steps at a time, shared by all callers and kept for the next start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

from cachetools import LRUCache
from PIL import Image

from ..network.inception_v1 import STAGES, stage_of
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from ..units.feature_visualization import VisualizationSettings, VisualizationStep, visualize
from ..units.naturalness import Naturalness, example_photos, naturalness
from ..units.unit import Unit
from .backend import LocalBackend
from .cache import SingleFlightCache
from .image_files import ImageFiles
from .service import InferenceService

# What an image is made for, by name.
GOALS = {
    "excites": VisualizationSettings(),
    "inhibits": VisualizationSettings(sign=-1),
    "varied": VisualizationSettings(count=4, side=96),
}
KEPT = 512  # finished visualizations; one image of 128 pixels takes 50 kB, four of 96 pixels 110 kB
# Of unfinished ones. Each has a copy of the layers up to its branch, so that one takes 3 MB in 3a and 25 MB in 5b:
# enough for a class in any block but the last two.
RUNNING_BYTES = 512 * 2**20
IMAGE_BYTES = 2 * 2**20  # of an unfinished one beside its layers, with the state of its optimiser
RECALLED = 16  # read from files a moment ago


@dataclass(frozen=True)
class VisualizationProgress:
    """The last step so far of a visualization and, once it is finished, its path beside those of the example photos."""

    shown: VisualizationStep
    naturalness: Naturalness | None = None

    @property
    def is_finished(self) -> bool:
        return self.shown.step == self.shown.steps


@dataclass
class _Run:
    """An unfinished visualization of `nbytes` of memory. `lock` is held while it takes steps."""

    nbytes: int
    lock: Lock = field(default_factory=Lock)
    pretrained: PretrainedModel | None = None
    steps: Iterator[VisualizationStep] | None = None
    progress: VisualizationProgress | None = None


class Visualizations:
    """Visualizations by network, unit and goal, one of `GOALS`. Thread-safe.

    In this process a visualization takes a few steps at each call, so that predictions need not wait for all of it, and
    finished ones are also kept as files. Other back ends compute it in one piece.
    """

    def __init__(self, service: InferenceService) -> None:
        self._service = service
        self._finished: LRUCache[tuple[object, ...], VisualizationProgress] = LRUCache(KEPT)
        self._running: LRUCache[tuple[object, ...], _Run] = LRUCache(RUNNING_BYTES, lambda run: run.nbytes)
        self._files: SingleFlightCache[ImageFiles] = SingleFlightCache(len(service.models))
        # Compared once for all callers.
        self._recalled: SingleFlightCache[VisualizationProgress] = SingleFlightCache(RECALLED)
        self._lock = Lock()

    def known(self, model: str, unit: Unit, goal: str) -> VisualizationProgress | None:
        """Return the finished visualization, if there is one.

        Raises:
            UserError: if the network has no such unit.
            ChoiceError, WeightsError: as `InferenceService.pretrained`.
        """
        key = (model, unit, goal)
        with self._lock:
            if (finished := self._finished.get(key)) is not None:
                return finished
        backend = self._service.backend
        unit.check(self._service.pretrained(model))
        last = self._files_of(model).read(unit, GOALS[goal]) if isinstance(backend, LocalBackend) else None
        if last is None:
            return None
        return self._finish(key, self._recalled.get(key, lambda: self._compared(model, unit, goal, last)))

    def after(self, model: str, unit: Unit, goal: str, step: int) -> VisualizationProgress:
        """Return the visualization of a unit, further on than at `step`; at its end, that.

        One that had begun and made room for others is computed to its end: with however many callers, each comes to
        an end.

        Args:
            unit: a channel.

        Raises:
            UserError, ChoiceError, WeightsError: as `known`.
        """
        if (finished := self.known(model, unit, goal)) is not None:
            return finished
        key = (model, unit, goal)
        nbytes = run_bytes(self._service.pretrained(model), unit)
        with self._lock:
            run = self._running.get(key)
            if run is None:
                run = self._running[key] = _Run(nbytes)
                if step > 0:
                    step = GOALS[goal].steps
        with run.lock:
            # Predictions go in between two of these calls.
            while run.progress is None or not (run.progress.is_finished or run.progress.shown.step > step):
                run.progress = self._advance(run, model, unit, goal)
            progress = run.progress
        return self._finish(key, progress) if progress.is_finished else progress

    def _finish(self, key: tuple[object, ...], progress: VisualizationProgress) -> VisualizationProgress:
        with self._lock:
            self._finished[key] = progress
            self._running.pop(key, None)
        return progress

    def _files_of(self, model: str) -> ImageFiles:
        return self._files.get(model, lambda: self._service.compute(model, ImageFiles))

    def _advance(self, run: _Run, model: str, unit: Unit, goal: str) -> VisualizationProgress:
        service, settings = self._service, GOALS[goal]
        backend = service.backend
        if not isinstance(backend, LocalBackend):
            return service.explained(service.grey_query(model), finished_visualization, unit, settings)

        def advance(pretrained: PretrainedModel) -> VisualizationStep:
            # After a full GPU has given way to the CPU, it begins again there.
            if run.steps is None or run.pretrained is not pretrained:
                run.pretrained, run.steps = pretrained, visualize(pretrained, unit, settings)
            return next(run.steps)

        try:
            shown = service.compute(model, lambda pretrained: backend.run(advance, pretrained))
            progress = VisualizationProgress(shown)
            if not progress.is_finished:
                return progress
            self._files_of(model).write(unit, settings, shown)
            return self._compared(model, unit, goal, shown)
        except BaseException:
            run.steps = None  # a generator that has raised, or is at its end, has no further steps
            raise

    def _compared(self, model: str, unit: Unit, goal: str, last: VisualizationStep) -> VisualizationProgress:
        backend = self._service.backend
        assert isinstance(backend, LocalBackend)
        sign = GOALS[goal].sign
        return self._service.compute(model, lambda pretrained: backend.run(compared, pretrained, unit, sign, last))


def run_bytes(pretrained: PretrainedModel, unit: Unit) -> int:
    """Return about how many bytes an unfinished visualization of a unit takes, mostly for its copy of the layers."""
    stages = STAGES[: STAGES.index(stage_of(unit.block)) + 1]
    layers = (pretrained.model.get_submodule(stage) for stage in stages)
    return IMAGE_BYTES + sum(parameter.nbytes for layer in layers for parameter in layer.parameters())


def finished_visualization(
    pretrained: PretrainedModel, prediction: Prediction, unit: Unit, settings: VisualizationSettings
) -> VisualizationProgress:
    """Return the last step of `visualize`; it depends on no prediction."""
    *_, last = visualize(pretrained, unit, settings)
    return compared(pretrained, unit, settings.sign, last)


def compared(pretrained: PretrainedModel, unit: Unit, sign: int, shown: VisualizationStep) -> VisualizationProgress:
    """Return a finished visualization with its first image's path beside those of the example photos."""
    first = Image.fromarray(shown.image[0])
    return VisualizationProgress(shown, naturalness(pretrained, unit, first, example_photos(), sign))
