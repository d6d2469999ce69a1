"""Replicas behind Ray Serve: results equal those of this process, also when a replica dies."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from inception.errors import ChoiceError, UserError
from inception.explain.ablation import ablate, single_ablation_logits
from inception.explain.attribution import evidence, grad_cams
from inception.explain.masking import ExplanationError
from inception.explain.receptive_field import effective_field
from inception.explain.shapley import subset_logits
from inception.prediction import Prediction
from inception.runtime.device import choose_device
from inception.service.backend import LocalBackend
from inception.service.query import Query
from inception.service.ray.errors import ServingError
from inception.service.ray.scale import MAX_REPLICA_BATCH, Scale
from inception.service.service import InferenceService
from inception.web.blocks import build
from support.launched import launch
from support.paths import EXAMPLES
from support.ray import needs_ray
from support.server import running

NAME = "tiny-imagenet"
PHOTOS = sorted(EXAMPLES.glob("*.jpg"))


@pytest.fixture(scope="module", autouse=True)
def no_event_loop() -> Iterator[None]:
    """Hide the event loop that Playwright leaves in this thread; the page calls replicas from threads without one."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(scope="module")
def ray_backend() -> Iterator[Any]:
    """Two replicas with a core each, in a separate Ray cluster on this machine."""
    from inception.service.ray.cluster import cluster, replicas

    # A third core for the replicas that other tests add.
    with cluster(3), replicas((NAME,), Scale(2, 2)) as backend:
        yield backend


@pytest.fixture(scope="module")
def local_service() -> InferenceService:
    return InferenceService((NAME,), choose_device("cpu"), LocalBackend())


@pytest.fixture
def ray_service(ray_backend: Any) -> InferenceService:
    """A service with replicas and an empty cache."""
    return InferenceService((NAME,), choose_device("cpu"), ray_backend)


def photo(number: int) -> bytes:
    """Return a different photo for each number."""
    file = io.BytesIO()
    with Image.open(PHOTOS[number % len(PHOTOS)]) as image:
        inset = 4 * (number // len(PHOTOS))
        image.convert("RGB").crop((inset, inset, image.width - inset, image.height - inset)).save(file, "JPEG")
    return file.getvalue()


def queries_for(service: InferenceService, numbers: range) -> list[Query]:
    return [service.query(NAME, photo(number)) for number in numbers]


def predict_concurrently(
    predict: Callable[[Query], Prediction], queries: list[Query], threads: int
) -> list[Prediction]:
    """Return the predictions of all queries, requested simultaneously in threads."""
    barrier = threading.Barrier(threads)

    def run(number: int) -> Prediction:
        if number < threads:
            barrier.wait(30)
        return predict(queries[number])

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(len(queries))))


def assert_alike(actual: Any, expected: Any, share: float = 1e-5) -> None:
    """Check that two structures are equal, up to differences of numbers by `share` of the largest."""
    assert type(actual) is type(expected)
    if is_dataclass(actual):
        for field in fields(actual):
            assert_alike(getattr(actual, field.name), getattr(expected, field.name), share)
    elif isinstance(actual, np.ndarray):
        assert actual.shape == expected.shape
        assert np.abs(actual - expected).max(initial=0) <= share * max(1, np.abs(expected).max(initial=0))
    elif isinstance(actual, dict):
        assert list(actual) == list(expected)
        for key in actual:
            assert_alike(actual[key], expected[key], share)
    elif isinstance(actual, list | tuple):
        assert len(actual) == len(expected)
        for actual_part, expected_part in zip(actual, expected, strict=True):
            assert_alike(actual_part, expected_part, share)
    elif isinstance(actual, float):
        assert actual == pytest.approx(expected, rel=share, abs=share)
    else:
        assert actual == expected


def assert_predictions_match(actual: Prediction, expected: Prediction, share: float = 1e-5) -> None:
    assert actual.top(3)[0].label == expected.top(3)[0].label
    assert_alike((actual.logits, actual.probabilities), (expected.logits, expected.probabilities), share)
    assert_alike(dict(actual.stages), dict(expected.stages), share)


@needs_ray
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("precision", "share"),
    # A replica has another number of threads, and so another order in which bfloat16 products are summed. They
    # have eight bits, and their rounding errors of 2 ** -8 accumulate over the layers.
    [("exact", 1e-5), ("fast", 2e-2)],
)
def test_a_replica_predicts_as_this_process_does(
    ray_backend: Any, ray_service: InferenceService, local_service: InferenceService, precision: str, share: float
) -> None:
    for query in queries_for(InferenceService((NAME,), choose_device("cpu"), precision=precision), range(2)):
        assert query.precision == precision
        actual, expected = ray_service.prediction(query), local_service.prediction(query)
        assert_predictions_match(actual, expected, share)
        assert actual.labels == expected.labels
        assert actual.image.tobytes() == expected.image.tobytes()
        assert {block: dict(slices) for block, slices in actual.slices.items()} == {
            block: dict(slices) for block, slices in expected.slices.items()
        }
        for array in (actual.logits, actual.probabilities, actual.block("4c"), actual.branch("4c", "3x3")):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        with pytest.raises(TypeError):
            actual.stages["stem"] = actual.logits  # type: ignore[index]


@needs_ray
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (subset_logits, ("4c", "zero")),
        (subset_logits, ("3a", "mean")),
        (single_ablation_logits, ("zero",)),
        (ablate, ("4c", ("1x1", "pool"), (3, 17), "zero")),
        (evidence, (None,)),
        (evidence, ("espresso",)),
        (grad_cams, ("4c", None)),
        (effective_field, ("3b", "5x5", 4, 5)),
    ],
)
def test_a_replica_explains_as_this_process_does(
    ray_service: InferenceService,
    local_service: InferenceService,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    (query,) = queries_for(ray_service, range(1))
    assert_alike(
        ray_service.explained(query, function, *arguments), local_service.explained(query, function, *arguments)
    )


@needs_ray
@pytest.mark.parametrize(
    ("kind", "function", "arguments"),
    [
        (ChoiceError, subset_logits, ("9z", "zero")),
        (ExplanationError, ablate, ("4c", (), (100_000,), "zero")),
        (ExplanationError, evidence, ("no such thing",)),
    ],
)
def test_user_errors_of_a_replica_arrive_unchanged(
    ray_service: InferenceService,
    local_service: InferenceService,
    kind: type[UserError],
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    (query,) = queries_for(ray_service, range(1))
    errors = []
    for service in (ray_service, local_service):
        with pytest.raises(kind) as raised:
            service.explained(query, function, *arguments)
        errors.append((type(raised.value), str(raised.value), raised.value.kind, raised.value.details))
    assert errors[0] == errors[1]


@needs_ray
def test_concurrent_photos_share_forward_passes_in_both_replicas(
    ray_backend: Any, ray_service: InferenceService
) -> None:
    queries = queries_for(ray_service, range(64))
    before = {figures.pid: figures for figures in ray_backend.figures()}
    predictions = predict_concurrently(ray_service.prediction, queries, 32)
    after = {figures.pid: figures for figures in ray_backend.figures()}
    assert all(figures.threads == 1 for figures in after.values())
    assert set(before) == set(after)
    assert len(after) == 2
    answered, passes = [], 0
    for pid in after:
        batches = {
            size: count - before[pid].batches.get(size, 0)
            for size, count in after[pid].batches.items()
            if count > before[pid].batches.get(size, 0)
        }
        answered.append(sum(size * count for size, count in batches.items()))
        passes += sum(batches.values())
        assert max(batches) <= MAX_REPLICA_BATCH
    assert sum(answered) == 64, "each photo is computed once"
    assert min(answered) >= 8, "both replicas are used"
    assert passes <= 32, "photos share forward passes"
    for number in (0, 31, 63):
        assert_predictions_match(
            predictions[number], LocalBackend().predict(ray_service.pretrained(NAME), queries[number])
        )


@needs_ray
def test_a_replica_explains_cached_predictions_without_another_pass(
    ray_backend: Any, ray_service: InferenceService
) -> None:
    (query,) = queries_for(ray_service, range(1))

    def recalled_count() -> int:
        return sum(figures.recalled for figures in ray_backend.figures())

    before = recalled_count()
    # Each of the two replicas misses its cache once at most.
    for block in ("3a", "3b", "4a", "4b", "4c", "4d"):
        ray_service.explained(query, subset_logits, block, "zero")
    assert recalled_count() - before >= 4


@needs_ray
@pytest.mark.timeout(240)
def test_no_call_is_lost_when_one_of_two_replicas_is_killed(
    ray_backend: Any, ray_service: InferenceService, local_service: InferenceService, caplog: pytest.LogCaptureFixture
) -> None:
    queries = queries_for(ray_service, range(96))
    victim = max(ray_backend.figures(), key=lambda figures: figures.pid).pid
    answered = threading.Semaphore(0)

    def predict(query: Query) -> Prediction:
        prediction = ray_service.prediction(query)
        answered.release()
        return prediction

    def kill() -> None:
        for _ in range(16):
            assert answered.acquire(timeout=60)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    predictions = predict_concurrently(predict, queries, 32)
    killer.join()
    assert "A replica was lost" in caplog.text, "the replica was killed during a call"
    for query, prediction in zip(queries, predictions, strict=True):
        assert prediction.image.tobytes() == query.image.tobytes()
    for number in range(0, 96, 12):
        assert_predictions_match(predictions[number], local_service.prediction(queries[number]))
    (query,) = queries_for(ray_service, range(1))
    assert ray_service.explained(query, subset_logits, "4c", "zero").shape == (16, 200)
    # A second replica is started again.
    end = time.monotonic() + 90
    pids: set[int] = set()
    while time.monotonic() < end and (len(pids) < 2 or victim in pids):
        time.sleep(1)
        pids = {figures.pid for figures in ray_backend.figures()}
    assert len(pids) == 2
    assert victim not in pids


@needs_ray
def test_the_page_predicts_and_explains_with_replicas(
    ray_backend: Any, ray_service: InferenceService, local_service: InferenceService
) -> None:
    before = sum(figures.explanations for figures in ray_backend.figures())
    page = build(ray_service)
    address = launch(page)
    try:
        client = Client(address, verbose=False)
        file = EXAMPLES / "bison.jpg"
        response = client.predict(handle_file(str(file)), NAME, 3, api_name="/predict")
        expected = local_service.prediction(local_service.query(NAME, str(file)))
        assert [row["label"] for row in response["top"]] == [guess.label for guess in expected.top(3)]
        votes = client.predict(handle_file(str(file)), NAME, "4c", "", "zero", api_name="/branch_votes")
        assert votes["logit"] == pytest.approx(float(expected.logits.max()), abs=1e-4)
        with pytest.raises(Exception, match="has no class"):
            client.predict(handle_file(str(file)), NAME, "no such thing", api_name="/class_evidence")
    finally:
        page.close(verbose=False)
    assert sum(figures.explanations for figures in ray_backend.figures()) == before + 2


@needs_ray
def test_too_large_a_scale_is_rejected_immediately(ray_backend: Any) -> None:
    from inception.service.ray.cluster import replicas

    for scale in (Scale(4, 8), Scale(1, 1, 1, 64)):
        with pytest.raises(ServingError, match="please ask for fewer"), replicas((NAME,), scale):
            pass


@needs_ray
def test_replicas_that_cannot_start_report_the_cause_and_are_removed(ray_backend: Any, tmp_path: Path) -> None:
    from ray import serve

    from inception.service.ray.cluster import replicas

    missing = str(tmp_path / "gone.pth")
    with pytest.raises(ServingError, match=r"There is no file 'gone\.pth'"), replicas((missing,), Scale(1, 1, 0.5)):
        pass
    assert len(serve.status().applications) == 1


@needs_ray
def test_replicas_whose_application_was_deleted_report_the_cause(
    ray_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import serve

    from inception.service.ray.cluster import replicas

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("The application was deleted.")

    monkeypatch.setattr(serve, "run", fail)
    with pytest.raises(ServingError, match="could not start: The application was deleted"), replicas((NAME,), Scale()):
        pass


@needs_ray
@pytest.mark.timeout(240)
def test_a_server_joins_a_cluster_and_leaves_it_unchanged(ray_backend: Any) -> None:
    import ray
    from ray import serve

    address = ray.get_runtime_context().gcs_address
    before = set(serve.status().applications)
    options = ("--backend", "ray", "--replica-cpus", 0.5, "--ray-address", address)
    with running("app.py", *options) as (page, process):
        assert len(serve.status().applications) == 2
        response = Client(page, verbose=False).predict(
            handle_file(str(EXAMPLES / "bison.jpg")), NAME, 1, api_name="/predict"
        )
        assert response["top"][0]["label"] == "bison"
        process.terminate()
        assert process.wait(60) == 0
    assert set(serve.status().applications) == before
    assert len(ray_backend.figures()) == 2


@needs_ray
@pytest.mark.timeout(240)
def test_a_server_that_started_ray_stops_all_of_it(tmp_path: Path) -> None:
    options = ("--backend", "ray", "--replicas", "1-2", "--replica-cpus", 0.5)
    with running("app.py", *options, IL_TEST=str(tmp_path)) as (page, process):
        started = [pid for pid in processes(str(tmp_path)) if pid != process.pid]
        assert len(started) >= 5
        response = Client(page, verbose=False).predict(
            handle_file(str(EXAMPLES / "bison.jpg")), NAME, 1, api_name="/predict"
        )
        assert response["top"][0]["label"] == "bison"
        process.terminate()
        assert process.wait(60) == 0
    assert processes(str(tmp_path)) == []
    stderr = process.stderr.read() if process.stderr else ""
    assert "Traceback" not in stderr


def processes(mark: str) -> list[int]:
    """Return the running processes with `mark` in their environment, which their children inherit."""
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "environ").read_bytes():
                pids.append(int(path.name))
        except OSError:
            continue
    return pids
