"""Whole trainings: what they leave, and runs that are shared out, killed and resumed."""

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
from inception.training import plots as figures
from inception.training.calibration import best_temperature, branch_means, half_precision
from inception.training.checkpoint import CheckpointError
from inception.training.datasets import LabelledPhotos
from inception.training.evaluation import evaluate
from inception.training.log import LogRow, write_log
from inception.training.loop import interrupted_recipe
from inception.training.split import training_photos
from inception.web.stage.network import network
from support.command import inception
from support.paths import EXAMPLES, ROOT
from support.training import COLOURS, SMALL, painted

# ---------------------------------------------------------------- several processes


def test_two_processes_train_and_one_of_them_writes(tmp_path: Path, meadow: Path) -> None:
    words = ["-m", "inception", "train", "--data", str(meadow), "--out", str(tmp_path / "out"), *SMALL.as_options()]
    both = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    run = subprocess.run(both, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("validation photos") == 1
    assert load(tmp_path / "out" / "model.safetensors").labels == ("grass", "sky")
    refused = subprocess.run([*both, "--minutes", "1"], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert "please give --epochs" in refused.stderr


# ---------------------------------------------------------------- what it leaves


def test_the_temperature_undoes_what_was_too_sure() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(20_000, 5, generator=generator) * 2
    targets = torch.multinomial(honest.softmax(dim=1), 1, generator=generator).squeeze(1)
    assert best_temperature(honest, targets) == pytest.approx(1, abs=0.05)
    assert best_temperature(honest * 2.5, targets) == pytest.approx(2.5, abs=0.1)
    assert best_temperature(honest[:50] * 2.5, targets[:50]) == 1.0


def test_branch_means_are_those_of_looking_at_each_photo(embedded) -> None:
    files = sorted(EXAMPLES.glob("*.jpg"))[:3]
    photos = LabelledPhotos(("a", "b"), files, [0, 1, 0])
    seen = [predict(embedded, photos.photo(index)) for index in range(3)]
    for most, looked_at in ((5000, (0, 1, 2)), (2, (0, 2))):
        means = branch_means(embedded, photos, batch=2, maximum=most)
        for block in BLOCKS:
            by_hand = np.mean([seen[index].block(block).mean(axis=(1, 2)) for index in looked_at], axis=0)
            assert np.allclose(means[block].numpy(), by_hand, atol=1e-4)


def test_only_matrices_are_halved_and_side_classifiers_left_out() -> None:
    state = InceptionV1(classes=2, aux_classifiers=True).state_dict()
    kept = half_precision(state)
    assert not [name for name in kept if name.startswith("aux.")]
    assert kept["head.classifier.weight"].dtype == torch.float16
    assert kept["inception_3a.1x1.bn.running_var"].dtype == torch.float32


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, meadow: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("trained") / "out"
    broken = meadow.parent / "with-broken"
    painted(broken, COLOURS, 20)
    (broken / "sky" / "broken.jpg").write_bytes(b"no photo")
    recipe = replace(SMALL, epochs=20, sizes=((32, 1.0), (48, 1.0)), rate=0.05)
    return out, inception("train", "--data", broken, "--out", out, *recipe.as_options())


def test_a_training_learns_and_says_what_it_left(trained) -> None:
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
    figures_told = pretrained.training["val"]
    assert figures_told["top1"] == 1.0
    assert "100.0 % top-1 on 8 validation photos" in run.stdout
    # The same photos again, by the way of everybody else.
    _, val = training_photos(_data_of(trained), 0.2)
    told = evaluate(pretrained, val)
    assert (told.images, told.top1, told.ece) == (
        figures_told["images"],
        figures_told["top1"],
        pytest.approx(figures_told["ece"], abs=1e-6),
    )


def _data_of(trained) -> Path:
    words = trained[1].args
    return Path(words[words.index("--data") + 1])


def test_the_log_tells_each_epoch_and_the_pictures_open(trained) -> None:
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
    told = network(service, "model.safetensors")
    assert (told["labels"], told["chinese"]) == (["grass", "sky"], {})
    assert told["about"]["accuracy"]


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


def _training(data: Path, out: Path, *more: str) -> list[str]:
    words = ["-m", "inception", "train", "--data", str(data), "--out", str(out), "--workers", "1", *more]
    return [sys.executable, *words]


RECIPE = replace(SMALL, epochs=5, mix="mixup", colour=0.1).as_options()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, meadow: Path) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(_training(meadow, out, *RECIPE), cwd=ROOT, check=True, capture_output=True, timeout=200)
    return out


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, meadow: Path, uninterrupted: Path, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    started = subprocess.Popen(
        _training(meadow, out, *RECIPE, "--save-every", "0"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "log.csv").exists():
        assert started.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started.send_signal(how)
    _, said = started.communicate(timeout=60)
    assert not (out / "model.safetensors").exists()
    assert started.returncode == (-9 if how == signal.SIGKILL else 130), said
    again = subprocess.run(_training(meadow, out), cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    resumed = subprocess.run(
        _training(meadow, out, *RECIPE, "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
    assert "resuming after step" in resumed.stderr
    whole, parts = (load_file(folder / "model.safetensors") for folder in (uninterrupted, out))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    rows = [read_log(folder / "log.csv") for folder in (uninterrupted, out)]
    assert [row.held_out_loss for row in rows[0]] == [row.held_out_loss for row in rows[1]]


def test_what_cannot_be_resumed_is_told_in_a_sentence(tmp_path: Path, meadow: Path, uninterrupted: Path) -> None:
    nothing = inception("train", "--data", meadow, "--out", tmp_path / "empty", "--resume")
    assert nothing.returncode == 2
    assert "There is no interrupted training" in nothing.stderr
    recipe = inception("train", "--data", meadow, "--out", uninterrupted, "--resume", "--rate", "0.1")
    assert recipe.returncode == 2
    assert "has --rate 0.02, not --rate 0.1; please leave that option out" in recipe.stderr
    others = painted(tmp_path / "others", {"sea": (0, 0, 200), "sand": (230, 210, 150)}, 5)
    other = inception("train", "--data", others, "--out", uninterrupted, "--resume")
    assert other.returncode == 2
    assert "The interrupted training had 28 photos of 2 classes, these are" in other.stderr
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    damaged = inception("train", "--data", meadow, "--out", tmp_path, "--resume")
    assert damaged.returncode == 2
    assert "damaged" in damaged.stderr


def test_a_foreign_checkpoint_is_told_from_one_of_a_training(tmp_path: Path, uninterrupted: Path) -> None:
    own = torch.load(uninterrupted / "checkpoint.pt", weights_only=True)
    assert interrupted_recipe(uninterrupted).to_dict() == own["recipe"]
    wrong = ({}, [own], {"state_dict": {}}, own | {"recipe": {}}, own | {"recipe": {"sizes": 3}})
    for state in (*wrong, own | {"recipe": own["recipe"] | {"momentum": 0.9}}, own | {"step": "first"}):
        torch.save(state, tmp_path / "checkpoint.pt")
        with pytest.raises(CheckpointError, match="is damaged, or is not a training checkpoint"):
            interrupted_recipe(tmp_path)


def test_a_training_that_is_over_can_be_made_longer(tmp_path: Path, meadow: Path, uninterrupted: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(uninterrupted, out)
    longer = inception("train", "--data", meadow, "--out", out, "--workers", "1", "--resume", "--epochs", "6")
    assert longer.returncode == 0, longer.stderr
    before, after = read_log(uninterrupted / "log.csv"), read_log(out / "log.csv")
    assert after[: len(before)] == before
    assert after[-1].epoch == before[-1].epoch + 1


# ---------------------------------------------------------------- pictures


def test_confusions_are_counted() -> None:
    right, chosen = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    assert figures.confusion_counts(right, chosen, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_pictures_are_drawn_for_two_classes_and_for_two_hundred_and_without_mistakes() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 200):
        matrix = figures.confusion_counts(rng.integers(0, count, 500), rng.integers(0, count, 500), count)
        assert figures.confusion(matrix, [f"class {i}" for i in range(count)]).mode == "RGB"
    shown = figures.reliability({"as it is": (rng.random(100), rng.random(100) < 0.5)})
    assert len(np.unique(np.asarray(shown).reshape(-1, 3), axis=0)) > 10
    assert figures.mistakes([]).width > 100
