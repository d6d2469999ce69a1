"""The benchmarks measure what their rows say; how long it takes is no test."""

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
from benchmarks.__main__ import FILES, as_json
from benchmarks.measure import Row, compared, row
from benchmarks.peers import hooks_and_matplotlib
from benchmarks.visitors import RefusedError, Visitor
from inception.explain.ablation import AblationTable
from inception.explain.attribution import GradCam
from inception.explain.shapley import BranchVotes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.fused import fused_engine
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from support.event_loop import in_a_thread
from support.paths import EXAMPLES


def test_each_row_of_the_explanations_does_what_its_name_says(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, Image.open(EXAMPLES / "espresso.jpg").convert("RGB"))
    work = explain.explanations(embedded, prediction)
    assert list(work) == list(explain.BOUNDS) == ["votes-3a", "votes-4c", "glance", "grad-cam"]
    done = {name: run() for name, run in work.items()}
    for block in ("3a", "4c"):
        told = done[f"votes-{block}"]
        assert isinstance(told, BranchVotes)
        assert (told.block, len(told.subsets)) == (block, 16)
    table = done["glance"]
    assert isinstance(table, AblationTable)
    assert {block: set(falls) for block, falls in table.falls.items()} == {block: set(BRANCHES) for block in BLOCKS}
    maps = done["grad-cam"]
    assert isinstance(maps, dict)
    assert set(maps) == {None, *BRANCHES}
    assert all(isinstance(one, GradCam) and one.block == "4c" for one in maps.values())


def test_a_forward_pass_keeps_all_blocks_of_every_photo() -> None:
    model = explain.untrained().model
    told = forward.forward(fused_engine(model), photos=2)()
    assert {name for name in told.stages if name.startswith("inception_")} == {f"inception_{name}" for name in BLOCKS}
    assert told.stages["inception_5b"].shape == (2, 1024, 7, 7)
    with torch.inference_mode():
        plain = model.trace(forward.noise(2)).logits
    assert torch.allclose(told.logits, plain, rtol=1e-3, atol=1e-4)


def test_the_photos_of_the_data_path_are_of_the_sizes_that_its_rows_name() -> None:
    small, middle = training.small_photos(2), training.middle_photos(2, 200)
    assert [small.photo(index).size for index in range(2)] == [(64, 64)] * 2
    assert [middle.photo(index).size for index in range(2)] == [(266, 200)] * 2
    assert small.sources[0] != small.sources[1]
    assert middle.sources[0] != middle.sources[1]


def test_an_answer_is_all_mean_maps_and_every_channel_of_each_branch_each_time_of_another_photo() -> None:
    work = answer.answer(answer.OneNetwork(explain.untrained(), "exact"))
    (scene, block), (other, _) = ([json.loads(text) for text in work()] for _ in range(2))
    assert {name: set(maps) for name, maps in scene["maps"].items()} == {name: set(BRANCHES) for name in BLOCKS}
    shapes = [branch["values"]["shape"] for branch in block["branches"].values()]
    assert shapes == [[count, 14, 14] for count in (192, 208, 48, 64)]
    assert other["digest"] != scene["digest"]


def test_the_usual_way_draws_every_channel_of_each_branch_too() -> None:
    sheets = [Image.open(io.BytesIO(data)) for data in hooks_and_matplotlib()()]
    assert len(sheets) == 4
    assert [sheet.height for sheet in sheets] == [int(100 * count / 12) for count in (192, 208, 48, 64)]


def test_a_row_is_a_ratio_of_times_taken_in_turns() -> None:
    calls: list[str] = []
    told = compared("x", lambda: calls.append("ours"), lambda: calls.append("peer"), bound=2, rounds=3, warm_up=1)
    assert calls == ["ours", "peer"] * 4
    assert told.bound == 2
    assert row("y", [3.0, 1.0, 2.0], 2.5) == Row("y", 2.0, 2.5, (1.0, 3.0))
    assert "within 2.5" in str(row("y", [3.0, 1.0, 2.0], 2.5))
    assert "ABOVE 1.5" in str(row("y", [3.0, 1.0, 2.0], 1.5))


def test_what_is_kept_of_a_run_says_on_which_machine_and_which_rows() -> None:
    kept = json.loads(as_json("two cores", [Row("start", 1.23456, 1.3, (1.2, 1.31))]))
    assert kept == {
        "machine": "two cores",
        "rows": [{"name": "start", "ratio": 1.2346, "bound": 1.3, "spread": [1.2, 1.31]}],
    }


@pytest.mark.parametrize("file", FILES)
def test_each_file_has_rows_and_says_which(file: str) -> None:
    module = import_module(f"benchmarks.{file}")
    assert callable(module.rows)
    assert f"python -m benchmarks.{file}" in module.__doc__


def test_a_gpus_figures_are_kept_with_their_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the CPU here: what a figure says is the same."""
    file = tmp_path / "results" / "gpu.json"
    assert gpu.main(["--device", "cpu", "--batch", "2", "--rounds", "1", "--out", str(file)]) == 0
    told = json.loads(file.read_text())
    assert told["machine"].startswith("CPU, ")
    assert told["machine"].endswith("batch of 2")
    names = ["latency", "throughput-logits", "throughput-blocks", "throughput-returned"]
    assert [(figure["name"], figure["precision"]) for figure in told["figures"]] == [
        *((name, precision) for precision in ("exact", "fast") for name in names),
        ("glance", "exact"),
    ]
    assert all(figure["value"] > 0 for figure in told["figures"])
    assert {figure["unit"] for figure in told["figures"]} == {"ms", "photos/s"}
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_photos_per_second_are_those_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "seconds_of", lambda *_: [0.5, 0.5, 0.5])
    told = {figure.name: figure for figure in gpu.figures(explain.untrained(), 3, 3)}
    assert told["throughput-blocks"].value == pytest.approx(6)
    assert told["latency"].value == told["glance"].value == pytest.approx(500)


class Guest:
    """A visitor of nothing: a photo takes 0.2 seconds, every second block is refused, an explanation breaks off."""

    subject: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.blocks = 0

    async def photo(self, data: bytes) -> None:
        await asyncio.sleep(0.2)

    async def unfold(self, block: str) -> None:
        self.blocks += 1
        if self.blocks % 2:
            raise RefusedError("Too many.")

    async def ask(self, event: str, *arguments: object) -> None:
        raise httpx.ReadError("closed")


def test_arrivals_do_not_wait_for_answers_and_every_click_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "WARM_UP", 0.0)
    one = Guest()
    waits = in_a_thread(arrivals.measured([cast(Visitor, one)] * 3000, [b""], 2))  # 200 clicks a second
    told = sum(map(len, waits.seconds.values())) + waits.lost.total()
    assert 300 < told < 500, "three waiting at a time would be 30"
    assert all(0.2 <= seconds < 2 for seconds in waits.seconds["photo"])
    assert waits.lost["“Too many.”"] == pytest.approx(len(waits.seconds["block"]), abs=1)
    assert waits.lost["connection lost"] > 50
    assert waits.seconds["why"] == []
    assert waits.line(3000).startswith("| 3,000 | 200.0 | 0.2")


def test_percentiles_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).exponential(size=301).tolist()
    assert arrivals.percentiles(values) == pytest.approx(np.percentile(values, [50, 95, 99]))
    assert arrivals.percentiles([3.0]) == (3.0, 3.0, 3.0)
    assert arrivals.percentiles([]) == ()


def test_a_limit_is_that_of_a_matrix_product() -> None:
    left = torch.ones(1024, 1024)
    # As many multiplications as the product itself takes exactly as long, up to what else runs.
    assert measure.arithmetic_limit(1024**3, lambda: left @ left) == pytest.approx(1, abs=0.9)
    assert measure.arithmetic_limit(10 * 1024**3, lambda: left @ left) > 2
    told = json.loads(as_json("two cores", [Row("forward-fp32", 0.5, 0.7, (0.4, 0.6), limit=0.20001)]))
    assert told["rows"][0]["limit"] == 0.2
    assert str(Row("forward-fp32", 0.5, 0.7, (0.4, 0.6), limit=0.2)).endswith("within 0.7, arithmetic limit 0.200")
