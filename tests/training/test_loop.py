"""Complete trainings: distributed runs, output files, interruption and resumption."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from inception import load
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.prediction import predict
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.training import plots
from inception.training.calibration import best_temperature, branch_means, half_precision
from inception.training.checkpoint import CheckpointError
from inception.training.evaluation import evaluate
from inception.training.log import LogRow, write_log
from inception.training.loop import interrupted_recipe
from inception.training.photos import LabelledPhotos
from inception.training.split import training_photos
from inception.web.stage.network import network
from support.command import run_inception
from support.paths import EXAMPLES, ROOT
from support.training import COLOURS, SHORT_RECIPE, colour_folders

# ---------------------------------------------------------------- distributed training


def test_two_processes_train_together_and_only_one_writes(tmp_path: Path, meadow: Path) -> None:
    arguments = ["-m", "inception", "train", "--data", str(meadow), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    options = SHORT_RECIPE.as_options()
    run = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("validation photos") == 1
    assert load(tmp_path / "out" / "model.safetensors").labels == ("grass", "sky")
    position = options.index("--epochs")
    options[position : position + 2] = ["--minutes", "1"]
    rejected = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert "please give --epochs" in rejected.stderr


# ---------------------------------------------------------------- output files


def test_the_temperature_corrects_overconfident_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    calibrated = torch.randn(20_000, 5, generator=generator) * 2
    targets = torch.multinomial(calibrated.softmax(dim=1), 1, generator=generator).squeeze(1)
    assert best_temperature(calibrated, targets) == pytest.approx(1, abs=0.05)
    assert best_temperature(calibrated * 2.5, targets) == pytest.approx(2.5, abs=0.1)
    assert best_temperature(calibrated[:50] * 2.5, targets[:50]) == 1.0


def test_branch_means_match_predictions_photo_by_photo(embedded) -> None:
    files = sorted(EXAMPLES.glob("*.jpg"))[:3]
    photos = LabelledPhotos(("a", "b"), files, [0, 1, 0])
    predictions = [predict(embedded, photos.photo(index)) for index in range(3)]
    for maximum, indices in ((5000, (0, 1, 2)), (2, (0, 2))):
        means = branch_means(embedded, photos, batch=2, maximum=maximum)
        for block in BLOCKS:
            expected = np.mean([predictions[index].block(block).mean(axis=(1, 2)) for index in indices], axis=0)
            assert np.allclose(means[block].numpy(), expected, atol=1e-4)


def test_only_matrices_are_stored_in_half_precision_without_auxiliary_classifiers() -> None:
    state = InceptionV1(classes=2, aux_classifiers=True).state_dict()
    halved = half_precision(state)
    assert not [name for name in halved if name.startswith("aux.")]
    assert halved["head.classifier.weight"].dtype == torch.float16
    assert halved["inception_3a.1x1.bn.running_var"].dtype == torch.float32


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, meadow: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("trained") / "out"
    broken = meadow.parent / "with-broken"
    colour_folders(broken, COLOURS, 20)
    (broken / "sky" / "broken.jpg").write_bytes(b"no photo")
    recipe = replace(SHORT_RECIPE, epochs=20, sizes=((32, 1.0), (48, 1.0)), rate=0.05)
    return out, run_inception("train", "--data", broken, "--out", out, *recipe.as_options())


def test_a_training_learns_and_reports_its_results(trained) -> None:
    out, run = trained
    assert run.returncode == 0, run.stderr
    assert "broken.jpg" in run.stderr
    pretrained = load(out / "model.safetensors")
    assert pretrained.labels == ("grass", "sky")
    assert pretrained.input_size == 48
    assert pretrained.provenance.training_data.startswith("with-broken: ")
    assert pretrained.training["recipe"]["epochs"] == 20
    assert "--epochs 20 --sizes 32:1,48:1" in pretrained.training["command"]
    assert {block: len(mean) for block, mean in pretrained.means.items()} == {
        block: sum(pretrained.model.block(block).branch_channels.values()) for block in BLOCKS
    }
    reported = pretrained.training["val"]
    assert reported["top1"] == 1.0
    assert "100.0 % top-1 on 8 validation photos" in run.stdout
    # Evaluate the same photos with the public function.
    _, val = training_photos(_data_of(trained), 0.2)
    evaluation = evaluate(pretrained, val)
    assert (evaluation.images, evaluation.top1, evaluation.ece) == (
        reported["images"],
        reported["top1"],
        pytest.approx(reported["ece"], abs=1e-6),
    )


def _data_of(trained) -> Path:
    arguments = trained[1].args
    return Path(arguments[arguments.index("--data") + 1])


def test_the_log_has_a_row_for_each_epoch_and_the_plots_are_readable(trained) -> None:
    out, _ = trained
    with (out / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 21)]
    assert [row["size"] for row in rows] == ["32"] * 10 + ["48"] * 10
    assert float(rows[-1]["held_out_loss"]) < float(rows[0]["held_out_loss"])
    for name in ("curves", "confusion", "reliability", "mistakes"):
        with Image.open(out / f"{name}.png") as picture:
            assert min(picture.size) > 100


def test_the_stage_offers_the_trained_network_with_its_classes(trained) -> None:
    out, _ = trained
    service = InferenceService((str(out / "model.safetensors"), "tiny-imagenet"), choose_device("cpu"))
    description = network(service, "model.safetensors")
    assert (description["labels"], description["chinese"]) == (["grass", "sky"], {})
    assert description["about"]["accuracy"]


def read_log(path: Path) -> list[LogRow]:
    types = get_type_hints(LogRow)
    with path.open(newline="", encoding="utf-8") as file:
        return [LogRow(**{name: types[name](value) for name, value in row.items()}) for row in csv.DictReader(file)]


def test_the_log_holds_every_number_exactly(tmp_path: Path) -> None:
    rows = [
        LogRow(1, 10, 0.5, 32, 0.05, 100.0, 1.5, 0.25, 1.25, 0.5, 0.75),
        LogRow(2, 20, 1.0, 64, 0.0, 90.0, 1, 0, 1, 0, 1),
    ]
    write_log(tmp_path / "log.csv", rows)
    assert read_log(tmp_path / "log.csv") == rows


# ---------------------------------------------------------------- interruptions


def _training_command(data: Path, out: Path, *options: str) -> list[str]:
    arguments = ["-m", "inception", "train", "--data", str(data), "--out", str(out), "--workers", "1", *options]
    return [sys.executable, *arguments]


RECIPE = replace(SHORT_RECIPE, epochs=5, mix="mixup", colour=0.1).as_options()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, meadow: Path) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(_training_command(meadow, out, *RECIPE), cwd=ROOT, check=True, capture_output=True, timeout=200)
    return out


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, meadow: Path, uninterrupted: Path, signal_number: signal.Signals
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        _training_command(meadow, out, *RECIPE, "--save-every", "0"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "log.csv").exists():
        assert process.poll() is None, "the training ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal_number)
    _, stderr = process.communicate(timeout=60)
    assert not (out / "model.safetensors").exists()
    assert process.returncode == (-9 if signal_number == signal.SIGKILL else 130), stderr
    restarted = run_inception("train", "--data", meadow, "--out", out)
    assert restarted.returncode == 2
    assert "--resume" in restarted.stderr
    resumed = subprocess.run(
        _training_command(meadow, out, *RECIPE, "--resume"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert "resuming after step" in resumed.stderr
    expected, actual = (load_file(folder / "model.safetensors") for folder in (uninterrupted, out))
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    rows = [read_log(folder / "log.csv") for folder in (uninterrupted, out)]
    assert [row.held_out_loss for row in rows[0]] == [row.held_out_loss for row in rows[1]]


def test_impossible_resumptions_are_reported_in_a_sentence(tmp_path: Path, meadow: Path, uninterrupted: Path) -> None:
    not_started = run_inception("train", "--data", meadow, "--out", tmp_path / "empty", "--resume")
    assert not_started.returncode == 2
    assert "There is no interrupted training" in not_started.stderr
    other_recipe = run_inception("train", "--data", meadow, "--out", uninterrupted, "--resume", "--rate", "0.1")
    assert other_recipe.returncode == 2
    assert "has --rate 0.02, not --rate 0.1; please leave that option out" in other_recipe.stderr
    other_data = colour_folders(tmp_path / "others", {"sea": (0, 0, 200), "sand": (230, 210, 150)}, 5)
    other_photos = run_inception("train", "--data", other_data, "--out", uninterrupted, "--resume")
    assert other_photos.returncode == 2
    assert "The interrupted training had 28 photos of 2 classes, these are" in other_photos.stderr
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    damaged = run_inception("train", "--data", meadow, "--out", tmp_path, "--resume")
    assert damaged.returncode == 2
    assert "damaged" in damaged.stderr


def test_checkpoints_that_no_training_wrote_are_rejected(tmp_path: Path, uninterrupted: Path) -> None:
    valid = torch.load(uninterrupted / "checkpoint.pt", weights_only=True)
    assert interrupted_recipe(uninterrupted).to_dict() == valid["recipe"]
    invalid = ({}, [valid], {"state_dict": {}}, valid | {"recipe": {}}, valid | {"recipe": {"sizes": 3}})
    for state in (*invalid, valid | {"recipe": valid["recipe"] | {"momentum": 0.9}}, valid | {"step": "first"}):
        torch.save(state, tmp_path / "checkpoint.pt")
        with pytest.raises(CheckpointError, match="is damaged, or is not a training checkpoint"):
            interrupted_recipe(tmp_path)


def test_a_finished_training_can_be_extended(tmp_path: Path, meadow: Path, uninterrupted: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(uninterrupted, out)
    run = run_inception("train", "--data", meadow, "--out", out, "--workers", "1", "--resume", "--epochs", "6")
    assert run.returncode == 0, run.stderr
    before, after = read_log(uninterrupted / "log.csv"), read_log(out / "log.csv")
    assert after[: len(before)] == before
    assert after[-1].epoch == before[-1].epoch + 1


# ---------------------------------------------------------------- plots


def test_confusions_are_counted() -> None:
    targets, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    assert plots.confusion_counts(targets, predicted, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_plots_are_drawn_for_2_and_200_classes_and_without_mistakes() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 200):
        matrix = plots.confusion_counts(rng.integers(0, count, 500), rng.integers(0, count, 500), count)
        assert plots.confusion(matrix, [f"class {i}" for i in range(count)]).mode == "RGB"
    diagram = plots.reliability({"as it is": (rng.random(100), rng.random(100) < 0.5)})
    assert len(np.unique(np.asarray(diagram).reshape(-1, 3), axis=0)) > 10
    assert plots.mistakes([]).width > 100
