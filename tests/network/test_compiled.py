"""Stages compiled by OpenVINO, compared with the plain network."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inception import open_photo, predict
from inception.explain.branch_removal import ablated_prediction
from inception.explain.shapley import subset_logits
from inception.network import compiled
from inception.network.blocks import BLOCKS
from inception.network.compiled import CompiledTrace, Seconds, compile_stages, compile_where_faster
from inception.network.fused import HALF, fused_engine
from inception.network.inception_v1 import STAGES, VARIANTS, InceptionV1, stage_after
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.runtime.remembered import MAX_BYTES, cache_dir, remember
from inception.service.service import InferenceService
from support.networks import randomise
from support.paths import EXAMPLES

pytest.importorskip("openvino")


@pytest.fixture(scope="module", params=[*VARIANTS, "preact", "no bias"])
def model(request: pytest.FixtureRequest) -> InceptionV1:
    options = {"preact": {"preact": True}, "no bias": {"use_bias": False}}.get(
        request.param, {"variant": request.param}
    )
    return randomise(InceptionV1(classes=7, input_shape=(3, 96, 96), classifier_activation=None, **options)).eval()


@pytest.fixture(scope="module", params=["whole", "stages"])
def engine(model: InceptionV1, request: pytest.FixtureRequest) -> InceptionV1:
    engine = fused_engine(model)
    stages = compile_stages(engine, model)
    if request.param == "whole":
        engine.trace = CompiledTrace(engine, model)  # type: ignore[method-assign]
        for stage in stages:
            del stage.module.forward
    return engine


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 2, 3])
def test_all_stages_and_logits_match_the_plain_model(model: InceptionV1, engine: InceptionV1, count: int) -> None:
    photos = torch.randn(count, 3, 96, 96, generator=torch.Generator().manual_seed(count))
    trace, expected = engine.trace(photos), model.trace(photos)
    assert list(trace.stages) == list(STAGES)
    for name, values in expected.stages.items():
        torch.testing.assert_close(trace.stages[name], values, atol=1e-4, rtol=1e-4)
        assert trace.stages[name].is_contiguous(memory_format=torch.channels_last), name
    torch.testing.assert_close(trace.required_logits, expected.required_logits, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_pass_can_start_after_any_stage(model: InceptionV1, engine: InceptionV1) -> None:
    stages = model.trace(torch.randn(2, 3, 96, 96)).stages
    for name in STAGES:
        logits = engine.trace(stages[name], start=stage_after(name)).required_logits
        expected = model.trace(stages[name], start=stage_after(name)).required_logits
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_results_are_not_overwritten_by_the_next_photo(engine: InceptionV1) -> None:
    with torch.inference_mode():
        first = engine.trace(torch.zeros(1, 3, 96, 96))
        before = {name: values.clone() for name, values in first.stages.items()}
        engine.trace(torch.ones(1, 3, 96, 96))
    assert all(torch.equal(values, before[name]) for name, values in first.stages.items())


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 3])
def test_bfloat16_stages_and_logits_are_close_to_the_plain_model(model: InceptionV1, count: int) -> None:
    engine = fused_engine(model, HALF)
    compiled_trace = CompiledTrace(engine, model, HALF)
    photos = torch.randn(count, 3, 96, 96, generator=torch.Generator().manual_seed(count))
    trace, expected = compiled_trace(photos), model.trace(photos)
    assert list(trace.stages) == list(STAGES)
    for name, values in expected.stages.items():
        assert float((trace.stages[name] - values).norm()) < 0.02 * float(values.norm()), name
    logits = expected.required_logits
    assert float((trace.required_logits - logits).norm()) < 0.02 * float(logits.norm())
    start = stage_after("inception_4a")
    later_logits = compiled_trace(trace.stages["inception_4a"].to(HALF), start=start).required_logits
    assert float((later_logits - logits).norm()) < 0.02 * float(logits.norm())


def test_other_sizes_and_gradients_run_in_pytorch(model: InceptionV1, engine: InceptionV1) -> None:
    photo = torch.randn(1, 3, 64, 80)
    with torch.inference_mode():
        torch.testing.assert_close(engine.logits(photo), model.logits(photo), atol=1e-4, rtol=1e-4)
    photo = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (gradient,) = torch.autograd.grad(engine.logits(photo)[0, 3], photo)
    (expected,) = torch.autograd.grad(model.logits(photo)[0, 3], photo)
    # Norms, not elements: a ReLU within rounding of zero may be on in one engine and off in the other.
    assert float((gradient - expected).norm()) < 0.02 * float(expected.norm())


@pytest.fixture(scope="module")
def small() -> InceptionV1:
    return InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()


class EngineStub:
    """Stub of the measurement and the compiler that records their calls."""

    def __init__(self) -> None:
        self.seconds = Seconds(stages=1.0, pytorch=2.0, whole=0.9)
        self.measurement_count = 0
        self.compiled: list[object] = []

    def measure(self, *_: object) -> Seconds:
        self.measurement_count += 1
        return self.seconds

    output_shapes = ((64, 8, 8),)

    def compile(self, modules: object, *_: object) -> EngineStub:
        self.compiled.append(modules)
        return self

    def takes(self, _: object) -> bool:
        return False


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> EngineStub:
    monkeypatch.delenv(compiled.SWITCH, raising=False)
    stub = EngineStub()
    monkeypatch.setattr(compiled, "engine_seconds", stub.measure)
    monkeypatch.setattr(compiled, "Compiled", stub.compile)
    return stub


def compiled_parts(model: InceptionV1) -> tuple[bool, bool]:
    """Return whether OpenVINO computes single stages, and whether full passes, of `model`'s engine."""
    engine = fused_engine(model)
    compile_where_faster(engine, model)
    return "forward" in vars(engine.stem), "trace" in vars(engine)


def choices_file() -> Path:
    return cache_dir() / compiled.CHOICES_FILE


@pytest.mark.parametrize(
    ("seconds", "parts"),
    [
        (Seconds(stages=1.0, pytorch=2.0, whole=0.9), (True, True)),
        (Seconds(stages=1.0, pytorch=2.0, whole=0.99), (True, False)),
        (Seconds(stages=2.0, pytorch=1.0, whole=0.9), (False, True)),
        (Seconds(stages=0.99, pytorch=1.0, whole=1.0), (False, False)),
    ],
)
def test_openvino_is_used_where_faster_and_the_choice_is_remembered(
    small: InceptionV1, stub: EngineStub, seconds: Seconds, parts: tuple[bool, bool]
) -> None:
    stub.seconds = seconds
    assert compiled_parts(small) == parts
    assert len(stub.compiled) == len(STAGES) + 1, "both are compiled for the measurement"
    stub.compiled.clear()
    assert compiled_parts(small) == parts
    assert len(stub.compiled) == parts[0] * len(STAGES) + parts[1], "only what is used is compiled again"
    assert stub.measurement_count == 1


def test_bfloat16_compiles_only_full_passes_and_is_measured_separately(small: InceptionV1, stub: EngineStub) -> None:
    compiled_parts(small)
    stub.compiled.clear()
    for _ in range(2):
        engine = fused_engine(small, HALF)
        compile_where_faster(engine, small, HALF)
        assert ("forward" in vars(engine.stem), "trace" in vars(engine)) == (False, True)
    assert stub.measurement_count == 2, "once per precision"
    assert len(stub.compiled) == 2, "one graph per load"


def test_a_second_load_measures_nothing(monkeypatch: pytest.MonkeyPatch, small: InceptionV1) -> None:
    monkeypatch.delenv(compiled.SWITCH, raising=False)
    measurements: list[Seconds] = []
    measure = compiled.engine_seconds

    def record(*engines: Any) -> Seconds:
        measurements.append(replace(measure(*engines), steady=True))
        return measurements[-1]

    monkeypatch.setattr(compiled, "engine_seconds", record)
    first = compiled_parts(small)
    assert min(measurements[0].stages, measurements[0].pytorch, measurements[0].whole) > 0
    assert first == (compiled.faster(measurements[0]).stages, compiled.faster(measurements[0]).whole)
    assert compiled_parts(small) == first
    assert len(measurements) == 1


def test_a_choice_from_a_disturbed_measurement_is_not_remembered(small: InceptionV1, stub: EngineStub) -> None:
    stub.seconds = replace(stub.seconds, steady=False)
    assert compiled_parts(small) == compiled_parts(small) == (True, True)
    assert stub.measurement_count == 2


@pytest.mark.parametrize(("disturbed", "steady"), [(0, True), (3, False)])
def test_a_disturbed_measurement_is_recognised(
    monkeypatch: pytest.MonkeyPatch, small: InceptionV1, disturbed: int, steady: bool
) -> None:
    durations = [1.0] * (3 * compiled.MAX_PASSES)
    durations[4 : 4 + 3 * disturbed : 3] = [2.0] * disturbed  # passes of one engine, except its first
    now = 0.0

    def trace(*_: object) -> None:
        nonlocal now
        now += durations.pop(0) / 1000

    engine = fused_engine(small)
    monkeypatch.setattr(compiled, "perf_counter", lambda: now)
    monkeypatch.setattr(InceptionV1, "trace", trace)
    seconds = compiled.engine_seconds(engine, [], None)
    assert (seconds.steady, not durations) == (steady, True)


def test_choices_depend_on_versions_threads_layers_and_sizes_but_not_on_weights(
    monkeypatch: pytest.MonkeyPatch, small: InceptionV1, stub: EngineStub
) -> None:
    compiled_parts(small)
    compiled_parts(randomise(InceptionV1(classes=5, input_shape=(3, 32, 32))).eval())
    assert stub.measurement_count == 1
    other_options = (
        {"input_shape": (3, 64, 32)},
        {"input_shape": (3, 32, 32), "variant": "torchvision"},
        {"input_shape": (3, 32, 32), "preact": True},
        {"input_shape": (3, 32, 32), "use_bias": False},
    )
    keys = {compiled.choice_key(InceptionV1(classes=2, **options)) for options in other_options}
    for target, name, value in (
        (compiled, "cpu_name", lambda: "Another"),
        (compiled, "available_cores", lambda: 96),
        (compiled, "version", lambda _: "2031.1"),
        (torch, "__version__", "9.0"),
        (torch, "get_num_threads", lambda: 77),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            keys.add(compiled.choice_key(small))
            if name == "version":
                compiled_parts(small)
    assert len(keys | {compiled.choice_key(small)}) == 10
    assert stub.measurement_count == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1, 2",
        "[]",
        '{"KEY": true}',
        '{"KEY": {"stages": 1, "whole": "no"}}',
        '{"KEY": {"stages": true}}',
        '{"KEY": {"stages": true, "whole": true, "more": true}}',
        "[" * 50_000,
        " " * MAX_BYTES + '{"KEY": {"stages": true, "whole": true}}',
    ],
    ids=range(9),
)
def test_a_damaged_choices_file_is_measured_again_and_rewritten(
    small: InceptionV1, stub: EngineStub, content: str
) -> None:
    choices_file().parent.mkdir(parents=True)
    choices_file().write_text(content.replace("KEY", compiled.choice_key(small)))
    assert compiled_parts(small) == compiled_parts(small) == (True, True)
    assert stub.measurement_count == 1


def test_without_a_cache_folder_every_load_measures(
    monkeypatch: pytest.MonkeyPatch,
    small: InceptionV1,
    stub: EngineStub,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled_parts(small) == compiled_parts(small) == (True, True)
    assert stub.measurement_count == 2
    assert not caplog.text


def test_an_unreferenced_engine_is_freed() -> None:
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    engine.trace = CompiledTrace(engine, model)  # type: ignore[method-assign]
    reference = weakref.ref(engine)
    del engine
    assert reference() is None


@pytest.mark.parametrize(("setting", "is_compiled"), [("torch", False), ("openvino", True)])
def test_the_environment_variable_overrides_the_remembered_choice(
    monkeypatch: pytest.MonkeyPatch, small: InceptionV1, setting: str, is_compiled: bool
) -> None:
    opposite = {"stages": not is_compiled, "whole": not is_compiled}
    remember(compiled.CHOICES_FILE, compiled.choice_key(small), opposite)
    before = choices_file().read_bytes()
    monkeypatch.setenv(compiled.SWITCH, setting)
    monkeypatch.setattr(compiled, "engine_seconds", None)
    assert compiled_parts(small) == (is_compiled, is_compiled)
    assert choices_file().read_bytes() == before


def test_pytorch_computes_without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    monkeypatch.setenv(compiled.SWITCH, "openvino")
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    compile_where_faster(engine, model)
    assert "forward" not in vars(engine.stem)


def test_pytorch_computes_if_openvino_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(compiled.SWITCH, "openvino")
    original = compiled.Compiled
    compilations: list[object] = []

    def fail_after_three(*arguments: Any) -> Any:
        compilations.append(arguments)
        if len(compilations) > 3:
            raise RuntimeError("unknown processor")
        return original(*arguments)

    monkeypatch.setattr(compiled, "Compiled", fail_after_three)
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    compile_where_faster(engine, model)
    assert "forward" not in vars(engine.stem)
    assert "OpenVINO cannot be used; PyTorch computes: unknown processor" in caplog.text


def test_a_service_predicts_and_explains_with_a_compiled_engine(
    monkeypatch: pytest.MonkeyPatch, embedded: PretrainedModel
) -> None:
    monkeypatch.setenv(compiled.SWITCH, "openvino")
    monkeypatch.setattr("inception.service.service.COMPILE_AFTER", 0)
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
    engine = service.pretrained("tiny-imagenet").engine
    for thread in threading.enumerate():
        if thread.name == "compile":
            thread.join()
    assert "trace" in vars(engine)
    photo = EXAMPLES / "bison.jpg"
    query, expected = service.query("tiny-imagenet", str(photo)), predict(embedded, open_photo(photo))
    prediction = service.prediction(query)
    assert prediction.logits == pytest.approx(expected.logits, abs=1e-4)
    for block in BLOCKS:
        assert prediction.block(block) == pytest.approx(expected.block(block), abs=1e-4)
        subsets = service.explained(query, subset_logits, block, "zero")
        assert subsets == pytest.approx(subset_logits(embedded, expected, block, "zero"), abs=1e-4)
    removed = service.ablated(query, {"4b": ["3x3"], "5a": ["pool"]})
    assert removed.logits == pytest.approx(
        ablated_prediction(embedded, expected, {"4b": ["3x3"], "5a": ["pool"]}).logits, abs=1e-4
    )
