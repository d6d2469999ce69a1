"""A GPU without free memory: the CPU takes over, the stage reports the device, and no answer is lost."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.visitors import Visitor
from inception import open_photo, predict
from inception.cli.main import main
from inception.explain import linear_piece
from inception.explain.ablation import single_ablation_logits
from inception.network.copies import copy_module
from inception.prediction import Prediction
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load
from inception.runtime.device import Device, choose_device
from inception.service import zero_gpu
from inception.service.backend import LocalBackend
from inception.service.query import Query
from inception.service.service import InferenceService
from inception.web.api.endpoints import add_endpoints
from inception.web.blocks import build
from inception.web.stage.assets import example_photos
from inception.web.stage.endpoints import add_stage_events
from support import stage
from support.event_loop import run_coroutine
from support.launched import launch
from support.paths import EXAMPLES
from support.photos import distinct_photos


def full_gpu() -> Device:
    """Return a device other than the CPU that every machine has; it holds shapes and no numbers."""
    return Device(torch.device("meta"), "GPU")


class PredictsOnCpu(LocalBackend):
    """Predictions succeed on any device, as if there were memory for them."""

    def __init__(self, network: PretrainedModel) -> None:
        super().__init__()
        self._network = network

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        return super().predict(self._network, query)


def exhaust(service: InferenceService) -> list[str]:
    """Let memory run out during each forward pass of the engine; return the devices on which that happened."""
    failures: list[str] = []

    def run_out(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        failures.append(inputs[0].device.type)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    service.pretrained(service.models[0]).engine.block("4c").register_forward_pre_hook(run_out)
    return failures


def exhaust_everywhere(service: InferenceService, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let memory run out in each layer and in arithmetic with weights; return the operations that failed."""
    failures: list[str] = []

    def run_out(operation: str) -> NoReturn:
        failures.append(operation)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    for layer in service.pretrained(service.models[0]).engine.modules():
        layer.register_forward_pre_hook(lambda module, _: run_out(type(module).__name__))

    def fail_off_cpu(original: Callable[..., torch.Tensor], operation: str) -> Callable[..., torch.Tensor]:
        return lambda tensor: original(tensor) if tensor.device.type == "cpu" else run_out(operation)

    for owner, operation in (
        (torch.Tensor, "square"),
        (torch.Tensor, "any"),
        (torch.Tensor, "cpu"),
        (torch, "isfinite"),
    ):
        monkeypatch.setattr(owner, operation, fail_off_cpu(getattr(owner, operation), operation))

    def copy_or_run_out(module: torch.nn.Module, device: str) -> torch.nn.Module:
        return copy_module(module, device) if next(module.parameters()).is_cpu else run_out("copy_module")

    monkeypatch.setattr(linear_piece, "copy_module", copy_or_run_out)
    return failures


def test_the_cpu_replaces_a_full_gpu(embedded: PretrainedModel, caplog: pytest.LogCaptureFixture) -> None:
    service = InferenceService(("tiny-imagenet",), full_gpu())
    failures = exhaust(service)
    photo = str(EXAMPLES / "bison.jpg")
    prediction = service.prediction(service.query("tiny-imagenet", photo))
    assert failures == ["meta"]
    np.testing.assert_allclose(prediction.logits, predict(embedded, open_photo(photo)).logits, atol=1e-3)
    assert service.device.fell_back_from == "meta"
    assert caplog.text.count("The memory of the meta device is full; the network runs on the CPU") == 1, "logged once"

    # The service stays on the CPU, also for explanations.
    assert_logits_match(
        service.explained(service.query("tiny-imagenet", photo), single_ablation_logits, "zero"), embedded, photo
    )
    assert failures == ["meta"]


def test_a_network_that_does_not_fit_on_the_gpu_is_loaded_once_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str] = []

    def load_on_cpu_only(name: str, device: torch.device) -> PretrainedModel:
        devices.append(device.type)
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        return load(name, device)

    monkeypatch.setattr("inception.service.service.load", load_on_cpu_only)
    service = InferenceService(("tiny-imagenet",), full_gpu())
    with ThreadPoolExecutor(4) as threads:
        networks = list(threads.map(service.pretrained, ["tiny-imagenet"] * 4))
    assert all(network is service.pretrained("tiny-imagenet") for network in networks)
    assert devices == ["meta", "cpu"]


def assert_logits_match(actual: dict[str, np.ndarray], embedded: PretrainedModel, photo: str) -> None:
    expected = single_ablation_logits(embedded, predict(embedded, open_photo(photo)), "zero")
    for block, logits in expected.items():
        np.testing.assert_allclose(actual[block], logits, atol=1e-3)


def test_the_stage_responds_from_the_cpu_and_reports_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    service = InferenceService(("tiny-imagenet",), full_gpu())
    exhaust_everywhere(service, monkeypatch)
    page = build(service)
    address = launch(page)

    async def visit() -> None:
        async with Visitor(address.rstrip("/")) as visitor:
            await visitor.show_photo(distinct_photos(1)[0])
            assert visitor.answer_label == "ox", "the request succeeds"
            assert (await visitor.request("start"))["device"] == "CPU"

    try:
        assert stage.event_result(address, "start")["device"] == "GPU"
        run_coroutine(visit())
    finally:
        page.close()


def test_concurrent_predictions_on_a_full_gpu_all_succeed(embedded: PretrainedModel) -> None:
    service = InferenceService(("tiny-imagenet",), full_gpu())
    exhaust(service)
    files = distinct_photos(12)
    with ThreadPoolExecutor(12) as threads:
        queries = list(threads.map(lambda photo: service.query("tiny-imagenet", photo), files))
        predictions = list(threads.map(service.prediction, queries))
    for photo, prediction in zip(files, predictions, strict=True):
        expected = predict(embedded, open_photo(photo))
        np.testing.assert_allclose(prediction.logits, expected.logits, atol=1e-3)


def test_an_explanation_falls_back_to_the_cpu(embedded: PretrainedModel) -> None:
    service = InferenceService(("tiny-imagenet",), full_gpu(), PredictsOnCpu(embedded))
    photo = str(EXAMPLES / "bison.jpg")
    failures = exhaust(service)
    logits = service.explained(service.query("tiny-imagenet", photo), single_ablation_logits, "zero")
    assert failures == ["meta"], "the GPU was tried first"
    assert service.device.fell_back_from == "meta"
    assert_logits_match(logits, embedded, photo)


SMALL = "small.safetensors"
ARGUMENTS: dict[str, object] = {
    "photo": str(EXAMPLES / "bison.jpg"),
    "other_photo": str(EXAMPLES / "espresso.jpg"),
    "model": SMALL,
    "other_model": SMALL,
    "block": "4c",
    "branch": "3x3",
    "branches": ["pool"],
    "channels": [3],
    "channel": 1,
    "row": 2,
    "column": 3,
    "method": "evidence",
    "view": "mean",
    "scale": "shared",
    "colours": "viridis",
    "class_name": "",
    "off": "zero",
    "top_k": 3,
    "language": "en",
    "kind": "json",
    **{"in_channels": 64, "reduced_to": 8, "out_channels": 32, "kernel": 5, "cells": 784},
}
ENDPOINTS = [
    *("predict", "maps", "channel", "bottleneck", "compare", "branch_votes", "network_table", "switch_off"),
    *("class_evidence", "grad_cam", "overlays", "cell", "keep", "classes", "anatomy", "reading", "bottleneck_cost"),
    *("network_size", "models", "logit_circuit", "circuit", "occlusion", "integrated_gradients", "faithfulness"),
]


@pytest.fixture(scope="module")
def app(small_file: Path) -> tuple[InferenceService, gr.Blocks]:
    service = InferenceService((str(small_file),), choose_device("cpu"))
    return service, build(service)


@pytest.fixture
def service_on_full_gpu(small_file: Path, app: tuple[InferenceService, gr.Blocks]) -> InferenceService:
    """A service that predicts, but has no memory for anything else after `exhaust_everywhere`."""
    backend = PredictsOnCpu(app[0].pretrained(SMALL))
    return InferenceService((str(small_file),), full_gpu(), backend, compiles=False)


def endpoint_response(page: gr.Blocks, name: str) -> list[object]:
    """Return the response of an endpoint to `ARGUMENTS`, with pictures as arrays."""
    function = next(fn.fn for fn in page.fns.values() if fn.api_name == name)
    assert function
    response = function(*(ARGUMENTS[argument] for argument in inspect.signature(function).parameters))
    parts = response if isinstance(response, tuple) else (response,)
    return [np.asarray(part) if isinstance(part, Image.Image) else part for part in parts]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_endpoint_falls_back_to_the_cpu(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    app: tuple[InferenceService, gr.Blocks],
    service_on_full_gpu: InferenceService,
) -> None:
    expected = endpoint_response(app[1], name)
    service = service_on_full_gpu
    with gr.Blocks() as page:
        add_endpoints(service)
    failures = exhaust_everywhere(service, monkeypatch)
    for part, expected_part in zip(endpoint_response(page, name), expected, strict=True):
        if isinstance(expected_part, np.ndarray):
            assert np.array_equal(part, expected_part)
        elif name != "keep":  # its file has another path
            assert part == expected_part
    assert bool(service.device.fell_back_from) == bool(failures)


def test_all_public_endpoints_are_tested(app: tuple[InferenceService, gr.Blocks]) -> None:
    public = {fn.api_name for fn in app[1].fns.values() if fn.api_visibility == "public"}
    assert public == set(ENDPOINTS)


BISON = {"photo": "example:bison", "model": SMALL, "crop": None}
EVENTS: dict[str, list[object]] = {
    "scene": [BISON, {"4b": ["3x3"]}],
    "block": [BISON, {"4b": ["3x3"]}, "4c"],
    "votes": [BISON, "4c"],
    "worth": [BISON, [3], "4c"],
    "field": [BISON, "4c"],
    "cell": [BISON, "4c", "3x3", 1, 2, 3],
    "kernel": [BISON, "4c", "3x3", 1, 2, 3],
    "effective": [BISON, "4c", "3x3", 2, 3],
    "bottleneck": [BISON, "4c"],
    "evidence": [BISON, None],
    "cam": [BISON, "4c", None],
    "table": [BISON],
    "network": [SMALL],
    "tuning": [SMALL, "4c", "disc"],
    "attribution": [BISON, "evidence", "4c", None],
    "trust": [BISON, "evidence", "4c", None],
    "circuit": [BISON, "4b", "3x3", 1, 2, 3],
    "logit_circuit": [BISON, None],
    "block_tuning": [SMALL, "3a"],
    "census": [SMALL],
    "unit_tuning": [SMALL, "3a", "1x1", 1],
    "unit_image": [SMALL, "3a", "1x1", 1, "excites", 0],
}


def event_response(page: gr.Blocks, name: str) -> dict[str, Any]:
    """Return the response of an event of the stage to `EVENTS`, without its duration."""
    function = next(fn.fn for fn in page.fns.values() if fn.api_name == f"stage_{name}")
    assert function
    return {key: value for key, value in function(*EVENTS[name]).items() if key != "seconds"}


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_of_the_stage_falls_back_to_the_cpu(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    app: tuple[InferenceService, gr.Blocks],
    service_on_full_gpu: InferenceService,
) -> None:
    expected = event_response(app[1], name)
    service = service_on_full_gpu
    with gr.Blocks() as page:
        add_stage_events(service, example_photos())
    failures = exhaust_everywhere(service, monkeypatch)
    if "full" in expected:  # a scene names the device that it did not fit on
        assert expected["full"] is None
        expected["full"] = "meta"
    assert event_response(page, name) == expected
    assert bool(service.device.fell_back_from) == bool(failures)
    assert failures


def test_all_events_that_compute_are_tested(app: tuple[InferenceService, gr.Blocks]) -> None:
    events = {fn.api_name.removeprefix("stage_") for fn in app[1].fns.values() if fn.api_visibility != "public"}
    assert events == {*EVENTS, "start", "picture", "unit_wiring", "unit_atlas"}  # these four run no network


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install -r requirements-ray.txt")
def test_a_replica_falls_back_to_the_cpu(monkeypatch: pytest.MonkeyPatch, embedded: PretrainedModel) -> None:
    from inception.service.ray.replica import Replica
    from inception.service.ray.scale import Scale

    failures: list[str] = []

    def run_out(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        failures.append(inputs[0].device.type)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    def load_and_exhaust(name: str, device: torch.device) -> PretrainedModel:
        pretrained = load(name, device)
        if device.type != "cpu":
            pretrained.engine.block("4c").register_forward_pre_hook(run_out)
        return pretrained

    monkeypatch.setattr("inception.service.ray.replica.choose_device", lambda wish: full_gpu())
    monkeypatch.setattr("inception.service.service.load", load_and_exhaust)
    photo = str(EXAMPLES / "bison.jpg")
    query = InferenceService(("tiny-imagenet",), choose_device("cpu")).query("tiny-imagenet", photo)
    replica = Replica(("tiny-imagenet",), Scale(cpus=torch.get_num_threads(), gpus=1), "exact")
    (prediction,) = replica.predict_batch([query])
    logits = replica.explain_prediction("tiny-imagenet", prediction, single_ablation_logits, ("zero",))
    assert_logits_match(logits, embedded, photo)
    assert failures == ["meta"]


def test_zero_gpu_falls_back_to_the_cpu(monkeypatch: pytest.MonkeyPatch, embedded: PretrainedModel) -> None:
    photo = str(EXAMPLES / "bison.jpg")
    service = InferenceService(("tiny-imagenet",), full_gpu())
    failures = exhaust(service)
    monkeypatch.setattr(zero_gpu, "service_on_gpu", lambda models: service)
    queries = (service.query("tiny-imagenet", photo),)
    (prediction,) = zero_gpu.compute_on_gpu(service.models, queries)
    np.testing.assert_allclose(prediction.logits, predict(embedded, open_photo(photo)).logits, atol=1e-3)
    logits = zero_gpu.compute_on_gpu(service.models, queries, single_ablation_logits, ("zero",))
    assert_logits_match(logits, embedded, photo)
    assert failures == ["meta"]


def test_other_device_errors_cause_no_fallback() -> None:
    service = InferenceService(("tiny-imagenet",), full_gpu())

    def broken(*_: object) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    service.pretrained("tiny-imagenet").engine.block("4c").register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        service.prediction(service.query("tiny-imagenet", str(EXAMPLES / "bison.jpg")))
    assert service.device.fell_back_from == ""


@pytest.fixture
def full_after_one(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU whose memory runs out at the second photo; the list contains the device of each attempt."""
    devices: list[str] = []

    def choose_full_gpu(wish: str) -> Device:
        return choose_device("cpu") if wish == "cpu" else full_gpu()

    def predict_once(pretrained: PretrainedModel, photo: object) -> object:
        devices.append(pretrained.device.type)
        if pretrained.device.type != "cpu" and len(devices) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        # Meta tensors hold no numbers, so the CPU computes the answer of the GPU.
        return predict(load("tiny-imagenet"), photo)

    monkeypatch.setattr("inception.runtime.device.choose_device", choose_full_gpu)
    monkeypatch.setattr("inception.prediction.predict", predict_once)
    return devices


def test_the_command_line_falls_back_to_the_cpu(
    full_after_one: list[str], embedded: PretrainedModel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    photos = [tmp_path / "bad.jpg", *(EXAMPLES / f"{name}.jpg" for name in ("bison", "espresso", "macaw"))]
    assert main(["predict", *map(str, photos), "--top", "1", "--json"]) == 1, "one photo is invalid"
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [Path(line["photo"]) for line in lines] == photos, "each photo is reported once"
    for photo, line in zip(photos[1:], lines[1:], strict=True):
        assert line["top"][0]["label"] == predict(embedded, open_photo(photo)).top(1)[0].label
    assert full_after_one == ["meta", "meta", "cpu", "cpu"]
    assert captured.err.count("The memory of the meta device is full; the network runs on the CPU from now on.") == 1


def test_a_training_without_gpu_memory_suggests_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run_out(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    monkeypatch.setattr("inception.training.loop.train", run_out)
    for name in ("bison", "espresso"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "data" / name / f"{number}.jpg").symlink_to(EXAMPLES / f"{name}.jpg")
    assert main(["train", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 2
    stderr = capsys.readouterr().err
    assert "choose a larger --accumulate or --device cpu" in stderr
    assert "a smaller --batch" in stderr
