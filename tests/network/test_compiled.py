"""Stages compiled by OpenVINO, against the plain network."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import pytest
import torch

from inception import open_photo, predict
from inception.explain.branch_removal import ablated_prediction
from inception.explain.shapley import subset_logits
from inception.network import compiled
from inception.network.blocks import BLOCKS
from inception.network.compiled import CompiledTrace, compile_stages, compile_where_faster
from inception.network.fused import fused_engine
from inception.network.inception_v1 import STAGES, VARIANTS, InceptionV1, stage_after
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from support.networks import lively
from support.paths import EXAMPLES

pytest.importorskip("openvino")


@pytest.fixture(scope="module", params=[*VARIANTS, "preact", "no bias"])
def model(request: pytest.FixtureRequest) -> InceptionV1:
    options = {"preact": {"preact": True}, "no bias": {"use_bias": False}}.get(
        request.param, {"variant": request.param}
    )
    return lively(InceptionV1(classes=7, input_shape=(3, 96, 96), classifier_activation=None, **options)).eval()


@pytest.fixture(scope="module", params=["whole", "stages"])
def engine(model: InceptionV1, request: pytest.FixtureRequest) -> InceptionV1:
    engine = fused_engine(model)
    stages = compile_stages(engine, model)
    if request.param == "whole":
        engine.trace = CompiledTrace(engine, model)  # type: ignore[method-assign]
        for stage in stages:
            stage.remove()
    return engine


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 3])
def test_all_stages_and_logits_are_those_of_the_plain_model(
    model: InceptionV1, engine: InceptionV1, count: int
) -> None:
    photos = torch.randn(count, 3, 96, 96, generator=torch.Generator().manual_seed(count))
    told, expected = engine.trace(photos), model.trace(photos)
    assert list(told.stages) == list(STAGES)
    for name, values in expected.stages.items():
        torch.testing.assert_close(told.stages[name], values, atol=1e-4, rtol=1e-4)
        assert told.stages[name].is_contiguous(memory_format=torch.channels_last), name
    torch.testing.assert_close(told.required_logits, expected.required_logits, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_pass_may_start_behind_any_block(model: InceptionV1, engine: InceptionV1) -> None:
    stages = model.trace(torch.randn(2, 3, 96, 96)).stages
    for name in STAGES:
        told = engine.trace(stages[name], start=stage_after(name)).required_logits
        expected = model.trace(stages[name], start=stage_after(name)).required_logits
        torch.testing.assert_close(told, expected, atol=1e-4, rtol=1e-4)


def test_results_stay_when_the_next_photo_comes(engine: InceptionV1) -> None:
    with torch.inference_mode():
        first = engine.trace(torch.zeros(1, 3, 96, 96))
        before = {name: values.clone() for name, values in first.stages.items()}
        engine.trace(torch.ones(1, 3, 96, 96))
    assert all(torch.equal(values, before[name]) for name, values in first.stages.items())


def test_other_sizes_and_gradients_run_in_pytorch(model: InceptionV1, engine: InceptionV1) -> None:
    photo = torch.randn(1, 3, 64, 80)
    with torch.inference_mode():
        torch.testing.assert_close(engine.logits(photo), model.logits(photo), atol=1e-4, rtol=1e-4)
    photo = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (told,) = torch.autograd.grad(engine.logits(photo)[0, 3], photo)
    (expected,) = torch.autograd.grad(model.logits(photo)[0, 3], photo)
    torch.testing.assert_close(told, expected, atol=1e-3 * float(expected.abs().max()), rtol=1e-3)


@pytest.mark.parametrize(
    ("seconds", "by_stage", "whole"),
    [
        ([1.0, 2.0, 0.9], True, True),
        ([1.0, 2.0, 0.99], True, False),
        ([2.0, 1.0, 0.9], False, True),
        ([0.99, 1.0, 1.0], False, False),
    ],
)
def test_it_is_used_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], by_stage: bool, whole: bool
) -> None:
    monkeypatch.delenv(compiled.SWITCH, raising=False)
    times = iter(seconds)  # stage by stage, in PyTorch, as a whole
    monkeypatch.setattr(compiled, "_seconds", lambda _: next(times))
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    compile_where_faster(engine, model)
    assert ("forward" in vars(engine.stem), "trace" in vars(engine)) == (by_stage, whole)


def test_an_engine_that_nobody_holds_is_freed() -> None:
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    engine.trace = CompiledTrace(engine, model)  # type: ignore[method-assign]
    gone = weakref.ref(engine)
    del engine
    assert gone() is None


@pytest.mark.parametrize(("wish", "is_compiled"), [("torch", False), ("openvino", True)])
def test_the_environment_may_decide(monkeypatch: pytest.MonkeyPatch, wish: str, is_compiled: bool) -> None:
    monkeypatch.setenv(compiled.SWITCH, wish)
    monkeypatch.setattr(compiled, "_seconds", None)
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    compile_where_faster(engine, model)
    assert ("forward" in vars(engine.stem)) is ("trace" in vars(engine)) is is_compiled


def test_without_openvino_pytorch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    monkeypatch.setenv(compiled.SWITCH, "openvino")
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    compile_where_faster(engine, model)
    assert "forward" not in vars(engine.stem)


def test_where_openvino_fails_pytorch_computes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(compiled.SWITCH, "openvino")
    usual = compiled.Compiled
    made: list[object] = []

    def fails_later(*arguments: Any) -> Any:
        made.append(arguments)
        if len(made) > 3:
            raise RuntimeError("unknown processor")
        return usual(*arguments)

    monkeypatch.setattr(compiled, "Compiled", fails_later)
    model = InceptionV1(classes=2, input_shape=(3, 32, 32)).eval()
    engine = fused_engine(model)
    compile_where_faster(engine, model)
    assert "forward" not in vars(engine.stem)
    assert "OpenVINO cannot be used; PyTorch computes: unknown processor" in caplog.text


def test_a_service_answers_and_explains_with_it(monkeypatch: pytest.MonkeyPatch, embedded: PretrainedModel) -> None:
    monkeypatch.setenv(compiled.SWITCH, "openvino")
    monkeypatch.setattr("inception.service.service.COMPILE_AFTER", 0)
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
    engine = service.pretrained("tiny-imagenet").engine
    for thread in threading.enumerate():
        if thread.name == "compile":
            thread.join()
    assert "trace" in vars(engine)
    photo = EXAMPLES / "bison.jpg"
    query, alone = service.query("tiny-imagenet", str(photo)), predict(embedded, open_photo(photo))
    told = service.prediction(query)
    assert told.logits == pytest.approx(alone.logits, abs=1e-4)
    for block in BLOCKS:
        assert told.block(block) == pytest.approx(alone.block(block), abs=1e-4)
        subsets = service.explained(query, subset_logits, block, "zero")
        assert subsets == pytest.approx(subset_logits(embedded, alone, block, "zero"), abs=1e-4)
    removed = service.ablated(query, {"4b": ["3x3"], "5a": ["pool"]})
    assert removed.logits == pytest.approx(
        ablated_prediction(embedded, alone, {"4b": ["3x3"], "5a": ["pool"]}).logits, abs=1e-4
    )
