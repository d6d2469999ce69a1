"""Replicas behind Ray Serve: the same answers as in this process, also when one of them dies."""

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
from inception.web.blocks import build, launch_options
from support.paths import EXAMPLES
from support.ray import needs_ray
from support.server import running

NAME = "tiny-imagenet"
PHOTOS = sorted(EXAMPLES.glob("*.jpg"))


@pytest.fixture(scope="module", autouse=True)
def no_event_loop() -> Iterator[None]:
    """Playwright leaves its loop running in this thread; the page asks replicas from threads that have none."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(scope="module")
def two() -> Iterator[Any]:
    """Two replicas with a core each, in a Ray of their own on this machine."""
    from inception.service.ray.cluster import cluster, replicas

    # A third core for what other tests put beside them.
    with cluster(3), replicas((NAME,), Scale(2, 2)) as backend:
        yield backend


@pytest.fixture(scope="module")
def here() -> InferenceService:
    return InferenceService((NAME,), choose_device("cpu"), LocalBackend())


@pytest.fixture
def there(two: Any) -> InferenceService:
    """A studio that has seen nothing yet."""
    return InferenceService((NAME,), choose_device("cpu"), two)


def photo(number: int) -> bytes:
    """As many different photos as are wanted."""
    file = io.BytesIO()
    with Image.open(PHOTOS[number % len(PHOTOS)]) as image:
        inset = 4 * (number // len(PHOTOS))
        image.convert("RGB").crop((inset, inset, image.width - inset, image.height - inset)).save(file, "JPEG")
    return file.getvalue()


def looks_at(service: InferenceService, numbers: range) -> list[Query]:
    return [service.query(NAME, photo(number)) for number in numbers]


def at_once(ask: Callable[[Query], Prediction], queries: list[Query], threads: int) -> list[Prediction]:
    """What each is told when all who ask begin at the same moment."""
    barrier = threading.Barrier(threads)

    def begin(number: int) -> Prediction:
        if number < threads:
            barrier.wait(30)
        return ask(queries[number])

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(len(queries))))


def assert_alike(one: Any, other: Any, share: float = 1e-5) -> None:
    """The same structure, and numbers that differ by no more than that share of the largest."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for part in fields(one):
            assert_alike(getattr(one, part.name), getattr(other, part.name), share)
    elif isinstance(one, np.ndarray):
        assert one.shape == other.shape
        assert np.abs(one - other).max(initial=0) <= share * max(1, np.abs(other).max(initial=0))
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_alike(one[key], other[key], share)
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, yours in zip(one, other, strict=True):
            assert_alike(mine, yours, share)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=share, abs=share)
    else:
        assert one == other


def assert_seen_alike(seen: Prediction, wanted: Prediction, share: float = 1e-5) -> None:
    assert seen.top(3)[0].label == wanted.top(3)[0].label
    assert_alike((seen.logits, seen.probabilities), (wanted.logits, wanted.probabilities), share)
    assert_alike(dict(seen.stages), dict(wanted.stages), share)


@needs_ray
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("precision", "share"),
    # A replica has threads of its own, and their number changes the order in which bfloat16 products are
    # added up: eight bits each, 2 ** -8 of a figure, layer upon layer.
    [("exact", 1e-5), ("fast", 2e-2)],
)
def test_a_replica_predicts_as_this_process_does(
    two: Any, there: InferenceService, here: InferenceService, precision: str, share: float
) -> None:
    for query in looks_at(InferenceService((NAME,), choose_device("cpu"), precision=precision), range(2)):
        assert query.precision == precision
        seen, wanted = there.prediction(query), here.prediction(query)
        assert_seen_alike(seen, wanted, share)
        assert seen.labels == wanted.labels
        assert seen.image.tobytes() == wanted.image.tobytes()
        assert {block: dict(slices) for block, slices in seen.slices.items()} == {
            block: dict(slices) for block, slices in wanted.slices.items()
        }
        for array in (seen.logits, seen.probabilities, seen.block("4c"), seen.branch("4c", "3x3")):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        with pytest.raises(TypeError):
            seen.stages["stem"] = seen.logits  # type: ignore[index]


@needs_ray
@pytest.mark.parametrize(
    ("function", "told"),
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
    there: InferenceService, here: InferenceService, function: Callable[..., Any], told: tuple[Any, ...]
) -> None:
    (query,) = looks_at(there, range(1))
    assert_alike(there.explained(query, function, *told), here.explained(query, function, *told))


@needs_ray
@pytest.mark.parametrize(
    ("kind", "function", "told"),
    [
        (ChoiceError, subset_logits, ("9z", "zero")),
        (ExplanationError, ablate, ("4c", (), (100_000,), "zero")),
        (ExplanationError, evidence, ("no such thing",)),
    ],
)
def test_user_errors_of_a_replica_arrive_unchanged(
    there: InferenceService,
    here: InferenceService,
    kind: type[UserError],
    function: Callable[..., Any],
    told: tuple[Any, ...],
) -> None:
    (query,) = looks_at(there, range(1))
    errors = []
    for service in (there, here):
        with pytest.raises(kind) as raised:
            service.explained(query, function, *told)
        errors.append((type(raised.value), str(raised.value), raised.value.kind, raised.value.details))
    assert errors[0] == errors[1]


@needs_ray
def test_concurrent_photos_share_passes_in_both_replicas(two: Any, there: InferenceService) -> None:
    queries = looks_at(there, range(64))
    before = {figures.pid: figures for figures in two.figures()}
    seen = at_once(there.prediction, queries, 32)
    after = {figures.pid: figures for figures in two.figures()}
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
    assert sum(answered) == 64, "each photo once"
    assert min(answered) >= 8, "both have work"
    assert passes <= 32, "photos share passes"
    for number in (0, 31, 63):
        assert_seen_alike(seen[number], LocalBackend().predict(there.pretrained(NAME), queries[number]))


@needs_ray
def test_a_replica_explains_cached_predictions_without_another_pass(two: Any, there: InferenceService) -> None:
    (query,) = looks_at(there, range(1))

    def recalled() -> int:
        return sum(figures.recalled for figures in two.figures())

    before = recalled()
    # By two replicas, of which each has seen it after it was asked once.
    for block in ("3a", "3b", "4a", "4b", "4c", "4d"):
        there.explained(query, subset_logits, block, "zero")
    assert recalled() - before >= 4


@needs_ray
@pytest.mark.timeout(240)
def test_no_call_is_lost_when_one_of_two_replicas_is_killed(
    two: Any, there: InferenceService, here: InferenceService, caplog: pytest.LogCaptureFixture
) -> None:
    queries = looks_at(there, range(96))
    victim = max(two.figures(), key=lambda figures: figures.pid).pid
    answered = threading.Semaphore(0)

    def ask(query: Query) -> Prediction:
        seen = there.prediction(query)
        answered.release()
        return seen

    def kill() -> None:
        for _ in range(16):
            assert answered.acquire(timeout=60)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    seen = at_once(ask, queries, 32)
    killer.join()
    assert "A replica was lost" in caplog.text, "it was killed while it was asked"
    for query, told in zip(queries, seen, strict=True):
        assert told.image.tobytes() == query.image.tobytes()
    for number in range(0, 96, 12):
        assert_seen_alike(seen[number], here.prediction(queries[number]))
    (query,) = looks_at(there, range(1))
    assert there.explained(query, subset_logits, "4c", "zero").shape == (16, 200)
    # And there will be two again.
    end = time.monotonic() + 90
    pids: set[int] = set()
    while time.monotonic() < end and (len(pids) < 2 or victim in pids):
        time.sleep(1)
        pids = {figures.pid for figures in two.figures()}
    assert len(pids) == 2
    assert victim not in pids


@needs_ray
def test_the_page_answers_and_explains_with_replicas(two: Any, there: InferenceService, here: InferenceService) -> None:
    before = sum(figures.explanations for figures in two.figures())
    page = build(there)
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    try:
        client = Client(address, verbose=False)
        file = EXAMPLES / "bison.jpg"
        told = client.predict(handle_file(str(file)), NAME, 3, api_name="/predict")
        wanted = here.prediction(here.query(NAME, str(file)))
        assert [row["label"] for row in told["top"]] == [guess.label for guess in wanted.top(3)]
        votes = client.predict(handle_file(str(file)), NAME, "4c", "", "zero", api_name="/branch_votes")
        assert votes["logit"] == pytest.approx(float(wanted.logits.max()), abs=1e-4)
        with pytest.raises(Exception, match="has no class"):
            client.predict(handle_file(str(file)), NAME, "no such thing", api_name="/class_evidence")
    finally:
        page.close(verbose=False)
    assert sum(figures.explanations for figures in two.figures()) == before + 2


@needs_ray
def test_too_large_a_scale_is_refused_at_once(two: Any) -> None:
    from inception.service.ray.cluster import replicas

    for scale in (Scale(4, 8), Scale(1, 1, 1, 64)):
        with pytest.raises(ServingError, match="please ask for fewer"), replicas((NAME,), scale):
            pass


@needs_ray
def test_replicas_that_cannot_start_give_the_cause_and_are_removed(two: Any, tmp_path: Path) -> None:
    from ray import serve

    from inception.service.ray.cluster import replicas

    gone = str(tmp_path / "gone.pth")
    with pytest.raises(ServingError, match=r"There is no file 'gone\.pth'"), replicas((gone,), Scale(1, 1, 0.5)):
        pass
    assert len(serve.status().applications) == 1


@needs_ray
def test_replicas_whose_application_is_gone_give_the_cause(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import serve

    from inception.service.ray.cluster import replicas

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("The application was deleted.")

    monkeypatch.setattr(serve, "run", fail)
    with pytest.raises(ServingError, match="could not start: The application was deleted"), replicas((NAME,), Scale()):
        pass


@needs_ray
@pytest.mark.timeout(240)
def test_a_server_joins_a_cluster_and_leaves_it_unchanged(two: Any) -> None:
    import ray
    from ray import serve

    address = ray.get_runtime_context().gcs_address
    before = set(serve.status().applications)
    options = ("--backend", "ray", "--replica-cpus", 0.5, "--ray-address", address)
    with running("app.py", *options) as (page, process):
        assert len(serve.status().applications) == 2
        told = Client(page, verbose=False).predict(
            handle_file(str(EXAMPLES / "bison.jpg")), NAME, 1, api_name="/predict"
        )
        assert told["top"][0]["label"] == "bison"
        process.terminate()
        assert process.wait(60) == 0
    assert set(serve.status().applications) == before
    assert len(two.figures()) == 2


@needs_ray
@pytest.mark.timeout(240)
def test_a_server_that_started_ray_stops_all_of_it(tmp_path: Path) -> None:
    options = ("--backend", "ray", "--replicas", "1-2", "--replica-cpus", 0.5)
    with running("app.py", *options, IL_TEST=str(tmp_path)) as (page, process):
        begun = [pid for pid in processes(str(tmp_path)) if pid != process.pid]
        assert len(begun) >= 5
        told = Client(page, verbose=False).predict(
            handle_file(str(EXAMPLES / "bison.jpg")), NAME, 1, api_name="/predict"
        )
        assert told["top"][0]["label"] == "bison"
        process.terminate()
        assert process.wait(60) == 0
    assert processes(str(tmp_path)) == []
    said = process.stderr.read() if process.stderr else ""
    assert "Traceback" not in said


def processes(mark: str) -> list[int]:
    """Those that live and have `mark` in their environment: a process hands it on to all that it begins."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found
