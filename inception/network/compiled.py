"""A fused network compiled by OpenVINO, for the CPU.

`compile_where_faster(engine, model)` replaces how `engine` computes and keeps its interface: the same tensors (float32,
channels last) go in and come out, and whatever OpenVINO was not compiled for (gradients, other sizes, other types) runs
in PyTorch as before. A full pass from the photo is compiled as one graph. Passes that start elsewhere run stage by
stage, each stage compiled separately: two copies of the weights instead of one for each possible start. Tests compare
the results with the plain model's, to 1e-4. Engines in bfloat16 are compiled as two graphs: the layers of `ALWAYS_FULL`
in float32, the others in bfloat16.

What was found faster is remembered in the user's cache folder, for this processor, these versions and such a network.
Only that is compiled the next time.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from threading import Lock
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..runtime.device import cpu_name
from ..runtime.remembered import recall, remember
from ..runtime.threads import WAITING, available_cores
from .blocks import BRANCHES, InceptionBlock, side_of
from .fused import ALWAYS_FULL, FULL, HALF
from .inception_v1 import STAGES, InceptionV1, Trace

SWITCH = "INCEPTION_ENGINE"  # environment: "torch" or "openvino" instead of a measurement
MIN_PASSES, MAX_PASSES, MAX_SECONDS = 3, 6, 1.0  # timed passes of each engine, and when no more are begun
STEADY = 1.3  # median to shortest time; above it, other work disturbed the measurement
NOTICEABLE = 0.95  # of PyTorch's time; a smaller gain is not worth a second engine
# Of larger batches OpenVINO is the slower one: the 15 passes of a block's votes took it a fifth longer than PyTorch.
MAX_STAGE_BATCH = 2
CHOICES_FILE = "engines.json"  # in the cache folder


@dataclass(frozen=True)
class Choice:
    """What OpenVINO computes: passes that start behind a block (`stages`), and passes from the photo (`whole`)."""

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
    stages = seconds.stages < NOTICEABLE * seconds.pytorch
    return Choice(stages, whole=seconds.whole <= NOTICEABLE * min(seconds.stages, seconds.pytorch))


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
    """Replacement of a stage's `forward`: (N, C_in, H, W) to (N, C_out, H', W'), for any N and one C_in, H and W.

    Batches of more than `MAX_STAGE_BATCH` run in PyTorch.

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
        is_small = len(x) <= MAX_STAGE_BATCH
        return self._function(x)[0] if is_small and self._function.takes(x) else self.forward(x)


class CompiledTrace:
    """Replacement of an engine's `trace` that runs a full pass from the photo as one graph.

    With `precision` `HALF` as two: the layers of `ALWAYS_FULL` come first. Outputs are float32 all the same.
    """

    def __init__(self, engine: InceptionV1, model: InceptionV1, precision: torch.dtype = FULL) -> None:
        self._engine = cast(InceptionV1, weakref.proxy(engine))  # which holds this object
        stem, *others = (model.get_submodule(name) for name in STAGES)
        shape = tuple(engine.input_shape)
        self._first: Compiled | None = None
        if precision == HALF:
            first, stem = _split(cast(nn.Sequential, stem))
            self._first = Compiled([first], shape)
            (shape,) = self._first.output_shapes
        self._function = Compiled([stem, *others], shape, precision)

    def __call__(self, x: Tensor, start: str = STAGES[0]) -> Trace:
        first = self._first or self._function
        if start != STAGES[0] or not first.takes(x):
            return InceptionV1.trace(self._engine, x, start)
        if self._first is not None:
            (x,) = self._first(x)
        stages = dict(zip(STAGES, self._function(x), strict=True))
        head = self._engine.head
        return Trace(stages, None if head is None else head(stages[STAGES[-1]]), {})


def _split(stem: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the layers of a stem up to the last of `ALWAYS_FULL`, and those behind it."""
    last = max(number for number, (name, _) in enumerate(stem.named_children()) if name in ALWAYS_FULL)
    return stem[: last + 1], stem[last + 1 :]


class Compiled:
    """Modules, one after another, compiled by OpenVINO: from (N, C, H, W) to the output of each, for any N.

    Attributes:
        output_shapes: (C, H, W) of the output of each.
    """

    def __init__(self, modules: Sequence[nn.Module], shape: tuple[int, ...], precision: torch.dtype = FULL) -> None:
        self._shape = shape
        self._model = _compile(modules, shape, precision)
        self._request = self._model.create_infer_request()
        self._lock = Lock()  # a request computes one thing at a time
        self._sides = [tuple(side.get_length() for side in output.partial_shape[1:]) for output in self._model.outputs]
        self.output_shapes = [(channels, height, width) for height, width, channels in self._sides]

    def takes(self, x: Tensor) -> bool:
        """Return whether it was compiled for such an input, and no gradient is wanted of it."""
        return x.is_cpu and x.dtype == torch.float32 and tuple(x.shape[1:]) == self._shape and not x.requires_grad

    def __call__(self, x: Tensor) -> list[Tensor]:
        import openvino

        samples = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy()
        outputs = [np.empty((len(x), *sides), np.float32) for sides in self._sides]
        with self._lock:
            self._request.set_input_tensor(openvino.Tensor(samples, shared_memory=True))
            for number, output in enumerate(outputs):
                self._request.set_output_tensor(number, openvino.Tensor(output, shared_memory=True))
            self._request.infer()
        return [torch.from_numpy(output).permute(0, 3, 1, 2) for output in outputs]


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _compile(modules: Sequence[nn.Module], shape: tuple[int, ...], precision: torch.dtype) -> Any:
    """Return OpenVINO's compiled model of modules in a row, with channels last at both ends."""
    import openvino
    from openvino import opset14 as ops

    x = parameter = ops.parameter([-1, *shape], np.float32)
    results = []
    for module in modules:
        x = _node(module, x)
        results.append(ops.result(x))
    steps = openvino.preprocess.PrePostProcessor(openvino.Model(results, [parameter]))
    for end in (steps.input(), *(steps.output(number) for number in range(len(results)))):
        end.model().set_layout(openvino.Layout("NCHW"))
        end.tensor().set_layout(openvino.Layout("NHWC"))
    options = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32" if precision == FULL else "bf16",
        "PERFORMANCE_HINT": "LATENCY",
    }
    return _core().compile_model(steps.build(), "CPU", options)


def _node(module: nn.Module, x: Any) -> Any:
    """Return a module applied to a node of OpenVINO's graph, as a node."""
    from openvino import opset14 as ops

    if isinstance(module, InceptionBlock):
        return ops.concat([_chain((module[layer] for layer in layers), x) for layers in BRANCHES.values()], 1)
    if isinstance(module, nn.Sequential):
        return _chain(module, x)
    if isinstance(module, nn.Conv2d):
        padding = [side_of(module.padding)] * 2
        y = ops.convolution(x, _constant(module.weight), list(module.stride), padding, padding, [1, 1])
        return y if module.bias is None else ops.add(y, _per_channel(module.bias))
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_mean is not None
        assert module.running_var is not None
        # In float64, so that there is a single rounding.
        scale = module.weight.double() / torch.sqrt(module.running_var.double() + module.eps)
        shift = module.bias.double() - module.running_mean.double() * scale
        return ops.add(ops.multiply(x, _per_channel(scale)), _per_channel(shift))
    if isinstance(module, nn.MaxPool2d):
        kernel, stride, padding = ([side_of(one)] * 2 for one in (module.kernel_size, module.stride, module.padding))
        rounding = "ceil_torch" if module.ceil_mode else "floor"
        return ops.max_pool(x, stride, [1, 1], padding, padding, kernel, rounding).output(0)
    if isinstance(module, nn.LocalResponseNorm):
        return ops.lrn(x, ops.constant(np.array([1])), module.alpha, module.beta, module.k, module.size)
    assert isinstance(module, nn.ReLU)
    return ops.relu(x)


def _chain(modules: Iterable[nn.Module], x: Any) -> Any:
    for module in modules:
        x = _node(module, x)
    return x


def _constant(values: Tensor) -> Any:
    from openvino import opset14 as ops

    return ops.constant(values.detach().float().contiguous().numpy())


def _per_channel(values: Tensor) -> Any:
    return _constant(values.view(1, -1, 1, 1))
