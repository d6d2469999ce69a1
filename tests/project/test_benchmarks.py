"""The benchmarks measure what their rows describe; times are not tested."""

from __future__ import annotations

import asyncio
import io
import json
from importlib import import_module
from pathlib import Path
from typing import ClassVar, cast

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import answer, arrivals, explain, forward, gpu, measure, training
from benchmarks.__main__ import FILES, RESULTS, as_json, results_file
from benchmarks.measure import Row, compare, row_of_ratios
from benchmarks.peers import hooks_and_matplotlib
from benchmarks.visitors import RefusedError, Visitor
from inception.explain.ablation import AblationTable
from inception.explain.attribution import GradCam
from inception.explain.shapley import BranchVotes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.fused import fused_engine
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from support.event_loop import run_coroutine
from support.paths import EXAMPLES


def test_each_explanation_row_computes_its_explanation(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, Image.open(EXAMPLES / "espresso.jpg").convert("RGB"))
    work = explain.explanations(embedded, prediction)
    assert list(work) == list(explain.BOUNDS) == ["votes-3a", "votes-4c", "glance", "grad-cam"]
    results = {name: run() for name, run in work.items()}
    for block in ("3a", "4c"):
        votes = results[f"votes-{block}"]
        assert isinstance(votes, BranchVotes)
        assert (votes.block, len(votes.subsets)) == (block, 16)
    table = results["glance"]
    assert isinstance(table, AblationTable)
    assert {block: set(falls) for block, falls in table.falls.items()} == {block: set(BRANCHES) for block in BLOCKS}
    maps = results["grad-cam"]
    assert isinstance(maps, dict)
    assert set(maps) == {None, *BRANCHES}
    assert all(isinstance(cam, GradCam) and cam.block == "4c" for cam in maps.values())


def test_a_forward_pass_returns_all_blocks_of_every_photo() -> None:
    model = explain.untrained_googlenet().model
    trace = forward.traced_forward(fused_engine(model), photos=2)()
    assert {name for name in trace.stages if name.startswith("inception_")} == {f"inception_{name}" for name in BLOCKS}
    assert trace.stages["inception_5b"].shape == (2, 1024, 7, 7)
    with torch.inference_mode():
        plain = model.trace(forward.noise(2)).logits
    assert torch.allclose(trace.logits, plain, rtol=1e-3, atol=1e-4)


def test_the_photos_of_the_training_rows_have_the_stated_sizes() -> None:
    small, middle = training.small_photos(2), training.middle_photos(2, 200)
    assert [small.photo(index).size for index in range(2)] == [(64, 64)] * 2
    assert [middle.photo(index).size for index in range(2)] == [(266, 200)] * 2
    assert small.sources[0] != small.sources[1]
    assert middle.sources[0] != middle.sources[1]


def test_answers_have_all_mean_maps_and_channels_and_take_another_photo_each_time() -> None:
    work = answer.answer_work(answer.InMemoryService(explain.untrained_googlenet(), "exact"))
    (scene, block), (other, _) = ([json.loads(text) for text in work()] for _ in range(2))
    assert {name: set(maps) for name, maps in scene["maps"].items()} == {name: set(BRANCHES) for name in BLOCKS}
    shapes = [branch["values"]["shape"] for branch in block["branches"].values()]
    assert shapes == [[count, 14, 14] for count in (192, 208, 48, 64)]
    assert other["digest"] != scene["digest"]


def test_hooks_and_matplotlib_draw_every_channel_of_each_branch() -> None:
    sheets = [Image.open(io.BytesIO(data)) for data in hooks_and_matplotlib()()]
    assert len(sheets) == 4
    assert [sheet.height for sheet in sheets] == [int(100 * count / 12) for count in (192, 208, 48, 64)]


def test_a_row_is_the_ratio_of_alternately_measured_times() -> None:
    calls: list[str] = []
    compared = compare("x", lambda: calls.append("ours"), lambda: calls.append("peer"), bound=2, rounds=3, warm_up=1)
    assert calls == ["ours", "peer"] * 4
    assert compared.bound == 2
    assert row_of_ratios("y", [3.0, 1.0, 2.0], 2.5) == Row("y", 2.0, 2.5, (1.0, 3.0))
    assert "within 2.5" in str(row_of_ratios("y", [3.0, 1.0, 2.0], 2.5))
    assert "ABOVE 1.5" in str(row_of_ratios("y", [3.0, 1.0, 2.0], 1.5))


def test_the_json_of_a_run_has_its_machine_and_its_rows() -> None:
    content = json.loads(as_json("two cores", [Row("start", 1.23456, 1.3, (1.2, 1.31))]))
    assert content == {
        "machine": "two cores",
        "rows": [{"name": "start", "ratio": 1.2346, "bound": 1.3, "spread": [1.2, 1.31]}],
    }


def test_only_a_run_of_all_files_replaces_the_committed_results(tmp_path: Path) -> None:
    assert results_file(FILES, None) == RESULTS
    assert results_file(["forward"], None) is None
    assert results_file(["forward"], tmp_path) == tmp_path


@pytest.mark.parametrize("file", FILES)
def test_each_file_has_rows_and_states_its_command(file: str) -> None:
    module = import_module(f"benchmarks.{file}")
    assert callable(module.rows)
    assert f"python -m benchmarks.{file}" in module.__doc__


def test_figures_of_a_gpu_are_stored_with_its_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs on the CPU, which gives the same rows."""
    file = tmp_path / "results" / "gpu.json"
    assert gpu.main(["--device", "cpu", "--batch", "2", "--rounds", "1", "--out", str(file)]) == 0
    content = json.loads(file.read_text())
    assert content["machine"].startswith("CPU, ")
    assert content["machine"].endswith("batch of 2")
    names = ["latency", "throughput-logits", "throughput-blocks", "throughput-returned"]
    assert [(figure["name"], figure["precision"]) for figure in content["figures"]] == [
        *((name, precision) for precision in ("exact", "fast") for name in names),
        ("glance", "exact"),
    ]
    assert all(figure["value"] > 0 for figure in content["figures"])
    assert {figure["unit"] for figure in content["figures"]} == {"ms", "photos/s"}
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_throughput_counts_every_photo_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "seconds_of", lambda *_: [0.5, 0.5, 0.5])
    measurements = {entry.name: entry for entry in gpu.measurements(explain.untrained_googlenet(), 3, 3)}
    assert measurements["throughput-blocks"].value == pytest.approx(6)
    assert measurements["latency"].value == measurements["glance"].value == pytest.approx(500)


class FakeVisitor:
    """Visitor without a server: a photo takes 0.2 s, every second block is refused, explanations are cut off."""

    subject: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.blocks = 0

    async def show_photo(self, data: bytes) -> None:
        await asyncio.sleep(0.2)

    async def unfold(self, block: str) -> None:
        self.blocks += 1
        if self.blocks % 2:
            raise RefusedError("Too many.")

    async def request(self, event: str, *arguments: object) -> None:
        raise httpx.ReadError("closed")


def test_clicks_arrive_without_waiting_for_answers_and_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "WARM_UP", 0.0)
    visitor = FakeVisitor()
    waits = run_coroutine(arrivals.measure_waits([cast(Visitor, visitor)] * 3000, [b""], 2))  # 200 clicks a second
    click_count = sum(map(len, waits.seconds.values())) + waits.failed.total()
    assert 300 < click_count < 500, "a closed loop with three clicks in progress would give 30"
    assert all(0.2 <= seconds < 2 for seconds in waits.seconds["photo"])
    assert waits.failed["“Too many.”"] == pytest.approx(len(waits.seconds["block"]), abs=1)
    assert waits.failed["connection lost"] > 50
    assert waits.seconds["why"] == []
    assert waits.line(3000).startswith("| 3,000 | 200.0 | 0.2")


def test_percentiles_match_numpy() -> None:
    values = np.random.default_rng(0).exponential(size=301).tolist()
    assert arrivals.percentiles(values) == pytest.approx(np.percentile(values, [50, 95, 99]))
    assert arrivals.percentiles([3.0]) == (3.0, 3.0, 3.0)
    assert arrivals.percentiles([]) == ()


def test_the_arithmetic_limit_is_that_of_a_matrix_product() -> None:
    left = torch.ones(1024, 1024)
    # For the multiplications of the product itself the limit is 1, apart from other load on the machine.
    assert measure.arithmetic_limit(1024**3, lambda: left @ left) == pytest.approx(1, abs=0.9)
    assert measure.arithmetic_limit(10 * 1024**3, lambda: left @ left) > 2
    content = json.loads(as_json("two cores", [Row("forward-fp32", 0.5, 0.7, (0.4, 0.6), limit=0.20001)]))
    assert content["rows"][0]["limit"] == 0.2
    assert str(Row("forward-fp32", 0.5, 0.7, (0.4, 0.6), limit=0.2)).endswith("within 0.7, arithmetic limit 0.200")
