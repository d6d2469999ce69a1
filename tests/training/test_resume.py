"""Trainings in this process: rejected folders, resumption, interruption and divergence."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from inception import load
from inception.pretrained.checkpoint import rejection_file
from inception.pretrained.rejection import RejectionRule
from inception.training import loop, trainer
from inception.training.checkpoint import CheckpointError
from inception.training.datasets import unlabelled_photos
from inception.training.loader import BatchSampler, data_loader
from inception.training.loop import train
from inception.training.photos import DataError, LabelledPhotos
from inception.training.recipe import Recipe, RecipeError
from inception.training.result import TrainingResult
from inception.training.split import training_photos
from inception.training.trainer import DivergenceError, Trainer
from support.paths import ROOT
from support.training import SHORT_RECIPE, colour_folders

Splits = tuple[LabelledPhotos, LabelledPhotos]


def small_training(splits: Splits, out: Path, recipe: Recipe = SHORT_RECIPE, **options) -> TrainingResult | None:
    device = torch.device("cpu")
    return train(recipe, *splits, out, device=device, data_name="meadow", workers=0, quiet=True, **options)


@pytest.fixture(scope="module")
def splits(meadow: Path) -> Splits:
    return training_photos(meadow, 0.2)


def interrupt_in_step(monkeypatch: pytest.MonkeyPatch, step_number: int, start: Callable[[], object]) -> None:
    """Run `start` and send SIGINT to this process in the training step `step_number`."""
    calls: list[int] = []
    train_step = Trainer.train_step

    def step(self: Trainer, *batch: torch.Tensor):
        calls.append(1)
        if len(calls) == step_number:
            os.kill(os.getpid(), signal.SIGINT)
        return train_step(self, *batch)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", step)
        with pytest.raises(KeyboardInterrupt):
            start()


# ---------------------------------------------------------------- folders


def test_a_folder_with_a_trained_network_is_rejected_even_without_a_checkpoint(tmp_path: Path, splits: Splits) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(RecipeError, match=r"already holds a trained network, model\.safetensors"):
        small_training(splits, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights"


def test_an_unwritable_folder_is_rejected_before_the_first_step(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "train_step", lambda *_: pytest.fail("the training has started"))
    with pytest.raises(Exception, match="Nothing can be written"):
        small_training(splits, Path("/proc/self/fd"))


def test_the_rejection_rule_of_earlier_weights_is_removed_and_reported(
    tmp_path: Path, splits: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    small_training(splits, tmp_path, replace(SHORT_RECIPE, epochs=1))
    rule = RejectionRule(threshold=0.9, inside=20, outside=20, doubted=0.1, caught=0.9, auroc=0.9)
    rejection_file(tmp_path / "model.safetensors").write_text(rule.to_json())
    assert load(tmp_path / "model.safetensors").rejection == rule
    device = torch.device("cpu")
    train(SHORT_RECIPE, *splits, tmp_path, device=device, data_name="meadow", workers=0, resume=True)
    assert load(tmp_path / "model.safetensors").rejection is None
    assert "removed the rejection rule of the earlier weights" in capsys.readouterr().err


# ---------------------------------------------------------------- resuming


def test_a_training_is_not_resumed_with_an_equal_number_of_other_photos(
    tmp_path: Path, meadow: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_in_step(monkeypatch, 2, lambda: small_training(splits, tmp_path))
    others = training_photos(meadow, 0.2, seed=1)
    assert [len(part) for part in others] == [len(part) for part in splits]
    with pytest.raises(CheckpointError, match="had other photos"):
        small_training(others, tmp_path, resume=True)
    # Checkpoints of earlier versions have no fingerprint.
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["fingerprint"]
    torch.save(state, tmp_path / "checkpoint.pt")
    assert small_training(splits, tmp_path, resume=True)


def test_a_training_is_not_resumed_with_other_photos_without_labels(
    tmp_path: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = small_training(splits, tmp_path / "teacher")
    assert teacher
    recipe = replace(SHORT_RECIPE, teacher=str(teacher.weights), teacher_size=32, also_share=0.25)
    sand, clay = (
        unlabelled_photos(colour_folders(tmp_path / name, {name: colour}, 3))
        for name, colour in (("sand", (230, 210, 150)), ("clay", (180, 90, 60)))
    )
    out = tmp_path / "out"
    interrupt_in_step(monkeypatch, 2, lambda: small_training(splits, out, recipe, also=sand))
    with pytest.raises(CheckpointError, match="without labels, or an earlier version began it with --also"):
        small_training(splits, out, recipe, also=clay, resume=True)


def test_signals_to_the_process_group_do_not_end_the_loading_of_photos(splits: Splits) -> None:
    batches = iter(data_loader(splits[0], SHORT_RECIPE, BatchSampler(len(splits[0]), SHORT_RECIPE, lambda step: 32), 1))
    next(batches)
    (worker,) = active_children()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid or 0, signal_number)
    for _ in range(8):  # more than are loaded ahead
        next(batches)
    assert worker.is_alive()


def test_a_training_shortened_to_less_than_an_epoch_still_has_a_result(
    tmp_path: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SHORT_RECIPE, minutes=5.0)
    interrupt_in_step(monkeypatch, 1, lambda: small_training(splits, tmp_path, recipe))
    result = small_training(splits, tmp_path, replace(recipe, minutes=0.0001), resume=True)
    assert result
    assert result.val.images == 8
    assert load(result.weights).training["steps"] == 1


def test_a_training_interrupted_during_evaluation_ends_with_the_same_weights(
    tmp_path: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_training(splits, tmp_path / "whole")
    evaluate, calls = loop.labelled_logits, []

    def interrupt_first_call(*arguments):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "labelled_logits", interrupt_first_call)
        with pytest.raises(KeyboardInterrupt):
            small_training(splits, tmp_path / "parts")
    assert not (tmp_path / "parts" / "log.csv").exists(), "the evaluation was not completed"
    small_training(splits, tmp_path / "parts", resume=True)
    expected, actual = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    line_counts = [(tmp_path / name / "log.csv").read_text().count("\n") for name in ("whole", "parts")]
    assert line_counts == [3, 3]


def test_a_signal_between_saving_and_stopping_leaves_a_checkpoint(
    tmp_path: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])

    @contextmanager
    def interruption() -> Iterator[Callable[[], bool]]:
        yield lambda: next(answers)

    monkeypatch.setattr(loop, "_interruption", interruption)
    with pytest.raises(KeyboardInterrupt):
        small_training(splits, tmp_path)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


INTERRUPTED_TWICE = """
import os, signal, sys, torch
from pathlib import Path
from inception.training import loop
from inception.training.split import training_photos
from support.training import SHORT_RECIPE

def evaluated_row(*_):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    print("the training continues", flush=True)

loop._evaluated_row = evaluated_row
splits = training_photos(Path(sys.argv[1]), 0.2)
loop.train(SHORT_RECIPE, *splits, Path(sys.argv[2]), device=torch.device("cpu"), data_name="d", workers=0, quiet=True,
           save_every=0)
"""


def test_a_second_interrupt_ends_a_training_immediately(tmp_path: Path, meadow: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", INTERRUPTED_TWICE, str(meadow), str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "Interrupted.\n")
    assert loop.interrupted_recipe(tmp_path) == SHORT_RECIPE, "the last checkpoint is complete"


# ---------------------------------------------------------------- the log


def test_the_speed_in_the_log_does_not_count_evaluations(
    tmp_path: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def passing(seconds: float, work: Callable) -> Callable:
        def worked(*arguments: object) -> object:
            clock[0] += seconds
            return work(*arguments)

        return worked

    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Trainer, "train_step", passing(2, Trainer.train_step))
    monkeypatch.setattr(loop, "labelled_logits", passing(1000, loop.labelled_logits))
    small_training(splits, tmp_path)
    with (tmp_path / "log.csv").open() as file:
        speeds = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    assert speeds == [4, 4], "8 photos in 2 seconds"


# ---------------------------------------------------------------- trainings that cannot succeed


@pytest.mark.parametrize(("variant", "rate"), [("googlenet", 1e30), ("batchnorm", 100.0)])
def test_divergence_is_reported_and_non_finite_weights_are_not_saved(
    tmp_path: Path, splits: Splits, variant: str, rate: float
) -> None:
    recipe = replace(SHORT_RECIPE, variant=variant, rate=rate, warm_up=0.0, average=0.0, epochs=3)
    with pytest.raises(DivergenceError, match=r"no longer finite at step \d+; please begin anew with a smaller --rate"):
        small_training(splits, tmp_path, recipe)
    if (tmp_path / "checkpoint.pt").exists():
        state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
        assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())


def test_single_photos_too_small_for_batchnorm_are_rejected_before_the_first_step(
    tmp_path: Path, splits: Splits
) -> None:
    for recipe in (replace(SHORT_RECIPE, batch=1), replace(SHORT_RECIPE, accumulate=8)):
        with pytest.raises(RecipeError, match="one photo of 32 pixels, too little for BatchNorm"):
            small_training(splits, tmp_path, recipe)


def test_classes_of_photos_without_labels_may_be_empty_or_unreadable(tmp_path: Path, splits: Splits) -> None:
    root = colour_folders(tmp_path / "further", {"sea": (0, 0, 200), "sand": (230, 210, 150)}, 3)
    for file in (root / "sand").iterdir():
        file.write_bytes(b"no photo")
    Image.new("RGB", (40, 40)).save(root / "sea" / "more.png")
    files = sorted(root.rglob("*.png"))
    further = LabelledPhotos(("sand", "sea", "none"), files, [int(file.parent.name == "sea") for file in files])
    teacher = small_training(splits, tmp_path / "teacher", replace(SHORT_RECIPE, epochs=1))
    assert teacher
    recipe = replace(SHORT_RECIPE, epochs=1, teacher=str(teacher.weights), teacher_size=32, also_share=0.25)
    result = small_training(splits, tmp_path / "out", recipe, also=further)
    assert result
    assert [Path(name).parent.name for name in result.skipped] == ["sand"] * 3
    assert load(result.weights).training["without_labels"] == 4


def test_photos_without_labels_that_cannot_be_read_are_reported_by_their_option(tmp_path: Path, splits: Splits) -> None:
    further = LabelledPhotos(("sea",), [b"no photo"], [0])
    teacher = small_training(splits, tmp_path / "teacher", replace(SHORT_RECIPE, epochs=1))
    assert teacher
    recipe = replace(SHORT_RECIPE, teacher=str(teacher.weights), teacher_size=32)
    with pytest.raises(DataError, match="None of the photos of --also can be read; please check the files"):
        small_training(splits, tmp_path / "out", recipe, also=further)


def test_a_loss_that_is_not_finite_ends_the_training_before_the_weights_change(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Trainer.backward
    monkeypatch.setattr(Trainer, "backward", lambda *arguments: replace(backward(*arguments), loss=float("nan")))
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *_: pytest.fail("the weights have changed"))
    with pytest.raises(DivergenceError, match="no longer finite at step 0;"):
        small_training(splits, tmp_path, save_every=0)
    assert not (tmp_path / "checkpoint.pt").exists()
