"""A fused network compiled by OpenVINO, for the CPU.

`compile_where_faster(engine, model)` replaces how `engine` computes and keeps its interface: the same tensors (float32,
channels last) go in and come out, and whatever OpenVINO was not compiled for (gradients, other sizes, other types) runs
in PyTorch as before. Tests compare the results with the plain model's, to 1e-4.

A full pass from the photo is compiled as one graph. Passes that start elsewhere run stage by stage, each stage compiled
separately: two copies of the weights instead of one for each possible start, each of which would take about 50 MB.

Graphs take one photo, because OpenVINO is a fifth slower where the batch size is left open. A batch from the photo on
runs photo by photo, which is no slower, as the activations of one fit into the processor's cache.

What was found faster is remembered in the user's cache folder, for this processor, these versions and such a network.
Only that is compiled the next time.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import cast

import torch
from torch import Tensor, nn

from ..runtime.device import cpu_name
from ..runtime.remembered import recall, remember
from ..runtime.threads import WAITING, available_cores
from .fused import FULL, HALF
from .graph import Compiled
from .inception_v1 import HEAD, STAGES, InceptionV1, Trace

SWITCH = "INCEPTION_ENGINE"  # environment: "torch" or "openvino" instead of a measurement
MIN_PASSES, MAX_PASSES, MAX_SECONDS = 3, 6, 1.0  # timed passes of each engine, and when no more are begun
STEADY = 1.3  # median to shortest time; above it, other work disturbed the measurement
MAX_TIME_RATIO = 0.95  # of OpenVINO to PyTorch; a smaller gain does not justify a second engine
CHOICES_FILE = "engines.json"  # in the cache folder


@dataclass(frozen=True)
class Choice:
    """Whether OpenVINO computes passes that start behind a block (`stages`), and passes from the photo (`whole`)."""

    stages: bool
    whole: bool


@dataclass(frozen=True)
class Seconds:
    """Time of a pass from the photo, by engine, and whether little else ran on the machine meanwhile."""

    stages: float
    pytorch: float
    whole: float
    steady: bool = True


def compile_engines(model: InceptionV1, full: InceptionV1, fast: InceptionV1) -> None:
    """Compile both engines of `model` where that is faster; `fast` is that of `fast_engine`, which may be `full`."""
    compile_where_faster(full, model)
    if fast is not full:
        compile_where_faster(fast, model, HALF)


def compile_where_faster(engine: InceptionV1, model: InceptionV1, precision: torch.dtype = FULL) -> None:
    """Compile `engine`, the fused copy of `model`, as far as a few timed passes have shown that to be faster.

    An engine of `precision` `HALF` only computes predictions, so only full passes from the photo are compiled.

    The environment variable `INCEPTION_ENGINE` may say "torch" or "openvino" instead. Nothing happens on other devices
    than the CPU, where OpenVINO is not installed, and where it fails.
    """
    wish = os.environ.get(SWITCH, "")
    if wish == "torch" or find_spec("openvino") is None or next(model.parameters()).device.type != "cpu":
        return
    try:
        _compile_where_faster(engine, model, precision, wish)
    # Another processor or build may raise anything; PyTorch always works.
    except Exception as error:
        _use([], None, engine)
        logging.getLogger(__name__).warning("OpenVINO cannot be used; PyTorch computes: %s", error)


def _compile_where_faster(engine: InceptionV1, model: InceptionV1, precision: torch.dtype, wish: str) -> None:
    key = choice_key(model, precision)
    choice = Choice(stages=True, whole=True) if wish == "openvino" else _remembered(key)
    stages = compile_stages(engine, model) if precision == FULL and (choice is None or choice.stages) else []
    whole = CompiledTrace(engine, model, precision) if choice is None or choice.whole else None
    if choice is None:
        seconds = engine_seconds(engine, stages, whole)
        choice = faster(seconds)
        # What a busy moment decided is not to stay.
        if seconds.steady:
            remember(CHOICES_FILE, key, asdict(choice))
    _use(stages if choice.stages else [], whole if choice.whole else None, engine)


def choice_key(model: InceptionV1, precision: torch.dtype = FULL) -> str:
    """Return what the fastest engine depends on: processor, threads and how they wait, versions, layers, precision."""
    processor = f"{cpu_name()} ({torch.backends.cpu.get_cpu_capability()}), {available_cores()} cores"
    versions = f"PyTorch {torch.__version__}, OpenVINO {version('openvino')}"
    layers = sha256("".join(repr(model.get_submodule(name)) for name in STAGES).encode()).hexdigest()[:12]
    shape = "x".join(str(side) for side in model.input_shape)
    network = f"{model.variant.name} {layers} {shape} {precision}"
    waiting = " ".join(os.environ.get(name, "-") for name in WAITING)
    return f"{processor}, {torch.get_num_threads()} threads ({waiting}), {versions}, {network}"


def faster(seconds: Seconds) -> Choice:
    """Return what OpenVINO should compute after these times."""
    stages = seconds.stages < MAX_TIME_RATIO * seconds.pytorch
    return Choice(stages, whole=seconds.whole <= MAX_TIME_RATIO * min(seconds.stages, seconds.pytorch))


def _remembered(key: str) -> Choice | None:
    """Return an earlier choice, or None if there is no valid one."""
    values = recall(CHOICES_FILE, key)
    if not isinstance(values, dict) or set(values) != {"stages", "whole"}:
        return None
    return Choice(**values) if all(isinstance(value, bool) for value in values.values()) else None


def _use(stages: Sequence[CompiledStage], whole: CompiledTrace | None, engine: InceptionV1) -> None:
    """Let OpenVINO compute these, and PyTorch everything else."""
    for name in STAGES:
        vars(engine.get_submodule(name)).pop("forward", None)
    for stage in stages:
        stage.insert()
    vars(engine).pop("trace", None)
    if whole is not None:
        engine.trace = whole  # type: ignore[method-assign]


def compile_stages(engine: InceptionV1, model: InceptionV1) -> list[CompiledStage]:
    """Compile every stage of `engine` for photos of its input shape, from the modules of `model`; return the stages."""
    shape, stages = tuple(engine.input_shape), []
    with torch.inference_mode():
        x = torch.zeros(1, *shape)
        for name in STAGES:
            stage = CompiledStage(engine.get_submodule(name), model.get_submodule(name), tuple(x.shape[1:]))
            stages.append(stage)
            x = stage(x)
    return stages


@torch.inference_mode()
def engine_seconds(engine: InceptionV1, stages: Sequence[CompiledStage], whole: CompiledTrace | None) -> Seconds:
    """Time some passes over one photo with each engine and return the shortest, not counting the first."""
    photo = torch.zeros(1, *engine.input_shape).contiguous(memory_format=torch.channels_last)
    times: list[list[float]] = [[], [], []]
    start = perf_counter()
    # In turns, so that other work on the machine slows all of them down.
    for number in range(MAX_PASSES):
        if number >= MIN_PASSES and perf_counter() - start > MAX_SECONDS:
            break
        for own, engines in zip(times, ((stages, None), ([], None), ([], whole)), strict=True):
            _use(*engines, engine)
            begin = perf_counter()
            engine.trace(photo)
            own.append(perf_counter() - begin)
    by_stage, in_pytorch, as_a_whole = (min(own[1:]) for own in times)
    steady = all(median(own[1:]) <= STEADY * min(own[1:]) for own in times)
    return Seconds(by_stage, in_pytorch, as_a_whole, steady)


class CompiledStage:
    """Replacement of a stage's `forward`: (1, C_in, H, W) to (1, C_out, H', W'), for one C_in, H and W.

    Batches run in PyTorch, which is as fast.

    Args:
        module: the fused stage, whose `forward` is replaced.
        plain: the same stage of the plain model, which is compiled.
        shape: (C_in, H, W).
    """

    def __init__(self, module: nn.Module, plain: nn.Module, shape: tuple[int, ...]) -> None:
        self.module, self.forward = module, module.forward
        self._function = Compiled([plain], shape)
        self.insert()

    def insert(self) -> None:
        """Let the module compute in OpenVINO."""
        self.module.forward = self

    def __call__(self, x: Tensor) -> Tensor:
        return self._function(x)[0] if len(x) == 1 and self._function.takes(x) else self.forward(x)


class CompiledTrace:
    """Replacement of an engine's `trace` that runs a full pass from the photo in OpenVINO.

    Outputs are float32 also with `precision` `HALF`.
    """

    def __init__(self, engine: InceptionV1, model: InceptionV1, precision: torch.dtype = FULL) -> None:
        self._engine = cast(InceptionV1, weakref.proxy(engine))  # which holds this object
        modules = [model.get_submodule(name) for name in (*STAGES, *([] if model.head is None else [HEAD]))]
        self._function = Compiled(modules, tuple(engine.input_shape), precision)

    def __call__(self, x: Tensor, start: str = STAGES[0]) -> Trace:
        if start != STAGES[0] or not self._function.takes(x):
            return InceptionV1.trace(self._engine, x, start)
        outputs = dict(zip((*STAGES, HEAD), self._function(x), strict=False))
        logits = outputs.pop(HEAD, None)
        return Trace(outputs, logits, {})
