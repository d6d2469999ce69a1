"""Scale, options, errors, imports and costs of replicas behind Ray Serve; no replica is started."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.serving import Assumptions, ClickCost, plan
from inception.cli import serve as app
from inception.errors import ChoiceError
from inception.explain.ablation import AblationResult, ablate
from inception.prediction import Prediction
from inception.runtime.device import choose_device
from inception.service.query import Query
from inception.service.ray.errors import ServingError
from inception.service.ray.scale import MAX_AT_ONCE, MAX_REPLICA_BATCH, Scale
from inception.service.service import InferenceService
from support.event_loop import run_coroutine
from support.paths import EXAMPLES, ROOT
from support.ray import needs_ray


@pytest.mark.parametrize(("text", "minimum", "maximum"), [("1", 1, 1), ("3", 3, 3), ("1-8", 1, 8), ("2-2", 2, 2)])
def test_a_scale_is_a_number_of_replicas_or_a_range(text: str, minimum: int, maximum: int) -> None:
    scale = Scale.of(text, cpus=1.5)
    assert (scale.minimum, scale.maximum) == (minimum, maximum)
    assert scale.all_cpus == -(-maximum * 3 // 2)


@pytest.mark.parametrize("text", ["", "0", "0-2", "4-2", "two", "1-", "-1", "1.5", "1-2-3", "99999"])
def test_an_invalid_number_of_replicas_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="replicas"):
        Scale.of(text)


@pytest.mark.parametrize(("cpus", "gpus"), [(0, 0), (-1, 0), (1, -0.5), (float("nan"), 0), (1, float("inf"))])
def test_a_replica_needs_part_of_a_core_and_no_negative_part_of_a_gpu(cpus: float, gpus: float) -> None:
    with pytest.raises(ValueError, match="a part of a core"):
        Scale(1, 1, cpus, gpus)


def test_a_replica_has_a_thread_for_each_whole_core_and_uses_its_gpu() -> None:
    assert [Scale(cpus=cpus).threads for cpus in (0.25, 1, 2.5)] == [1, 1, 2]
    assert [Scale(gpus=gpus).device for gpus in (0, 0.25, 1)] == ["cpu", "cuda", "cuda"]
    assert [Scale(1, maximum).at_once for maximum in (1, 2, 50)] == [
        MAX_REPLICA_BATCH,
        2 * MAX_REPLICA_BATCH,
        MAX_AT_ONCE,
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--replicas", "2"], "need --backend ray"),
        (["--replica-gpus", "1"], "need --backend ray"),
        (["--ray-address", "auto"], "need --backend ray"),
        (["--backend", "ray", "--replicas", "many"], "'many' is not a number of replicas from 1 to 9999"),
        (["--backend", "ray", "--replicas", "0"], "'0' is not a number of replicas from 1 to 9999"),
        (["--backend", "ray", "--replicas", "3-2"], "'3-2' is not a number of replicas from 1 to 9999"),
        (["--backend", "ray", "--replica-cpus", "0"], "'0' is not allowed; it must be a number above 0"),
        (["--backend", "ray", "--replica-cpus", "some"], "'some' is not allowed; it must be a number above 0"),
        (["--backend", "ray", "--replica-gpus", "inf"], "at least 0 and at most 64"),
        (["--keep-minutes", "nan"], "'nan' is not allowed; it must be a number above 0 and at most 525600"),
        (["--backend", "spark"], "'spark' is not allowed; it must be one of: local, ray"),
    ],
)
def test_invalid_options_are_rejected_before_the_start(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_error:
        app.main(options)
    assert exit_error.value.code == 2
    assert message in capsys.readouterr().err


def test_errors_survive_pickling() -> None:
    for error in (ChoiceError("block", "9z", ("3a", "3b")), ServingError("serving_lost", "{what} is gone", what=1)):
        restored = pickle.loads(pickle.dumps(error))
        assert type(restored) is type(error)
        assert (str(restored), restored.kind, restored.details) == (str(error), error.kind, error.details)


def test_a_server_without_replicas_does_not_import_ray() -> None:
    code = "import sys, app, inception.web.blocks; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    assert "ray" not in (ROOT / "requirements.txt").read_text()


@needs_ray
def test_the_service_and_its_replicas_start_without_the_page() -> None:
    code = (
        "import sys\n"
        "from inception.service import service, spaces, zero_gpu\n"
        "from inception.service.ray import backend, cluster, replica\n"
        "print(*(name for name in sys.modules if name.startswith(('gradio', 'inception.web'))))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from inception.service.ray.cluster import cluster

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ServingError, match=r"requirements-ray\.txt"), cluster(1):
        pass


def test_a_plan_multiplies_the_cost_of_a_click_by_the_number_of_clicks() -> None:
    clicks = [ClickCost("photo", 0.1, 0.06, 9), ClickCost("block", 0.05, 0.03, 9), ClickCost("why", 0.1, 0.03, 9)]
    assumptions = Assumptions(photos=1, blocks=2, explanations=1, utilisation=0.5, price=0.04)
    # Each student costs 0.3 core-seconds a minute in pages and 0.15 in replicas, at half of what the cores could do.
    assert plan(clicks, assumptions, 100) == (1, 1, pytest.approx(0.08))
    assert plan(clicks, assumptions, 10_000) == (100, 50, pytest.approx(6))


@needs_ray
def test_a_replica_returns_predictions_that_are_too_large_for_its_cache(
    monkeypatch: pytest.MonkeyPatch, small_file: Path
) -> None:
    from inception.service.ray import replica

    async def unbatched(self: replica.Replica, query: Query) -> Prediction:
        return self.predict_batch([query])[0]

    monkeypatch.setattr(replica.Replica, "_batched", unbatched)  # Ray batches within its own processes only
    monkeypatch.setattr(replica, "CACHE_BYTES", 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # would slow down the tests after this one
    one = replica.Replica((str(small_file),), Scale(), "exact")
    query = InferenceService((str(small_file),), choose_device("cpu")).query(small_file.name, EXAMPLES / "bison.jpg")

    async def answers() -> tuple[Prediction, AblationResult]:
        return await one.predict(query), await one.explain(query, ablate, ("4c",))

    prediction, switched = run_coroutine(answers())
    assert switched.first_before.label == prediction.top(1)[0].label


@needs_ray
@pytest.mark.parametrize(
    "address", ["127.0.0.1:9", "nowhere", "ray://127.0.0.1:10001", "127.0.0.1:99999", "127.0.0.1:", "127.0.0.1:²"]
)
def test_a_missing_cluster_is_rejected_immediately(address: str) -> None:
    from inception.service.ray.cluster import check_address

    with pytest.raises((OSError, ValueError)):
        check_address(address)


@needs_ray
def test_a_cluster_that_fails_without_a_message_is_reported_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from inception.service.ray.cluster import cluster

    def fail(**_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(ray, "shutdown", lambda **_: None)
    with pytest.raises(ServingError, match=r"no Ray cluster at 'auto' \(ConnectionError\)"), cluster(1, "auto"):
        pass
