"""The command `train` in this process: errors, output, and the command that it records."""

from __future__ import annotations

import errno
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inception import load
from inception.cli import numbers, options
from inception.cli.main import load_command, main
from inception.cli.train import recipe_of
from inception.training import loop
from inception.training.console import row_text
from inception.training.datasets import SPLITS
from inception.training.log import LogRow
from support.training import COLOURS, SHORT_RECIPE, colour_folders


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return colour_folders(tmp_path / "meadow", COLOURS, 20)


CPU_FULL = RuntimeError("[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize(
    ("error", "memory"),
    [(torch.OutOfMemoryError("CUDA out of memory"), "device"), (CPU_FULL, "computer"), (MemoryError(), "computer")],
)
@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_running_out_of_memory_is_reported_with_advice(
    error: Exception,
    memory: str,
    has_checkpoint: bool,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"

    def fail(*_: object, **__: object) -> None:
        out.mkdir()
        if has_checkpoint:
            (out / "checkpoint.pt").write_bytes(b"one")
        raise error

    monkeypatch.setattr(loop, "train", fail)
    assert main(["train", "--data", str(data), "--out", str(out), "--device", "cpu"]) == 2
    cpu_advice = " or --device cpu" if memory == "device" else ""
    advice = "please go on with --resume and" if has_checkpoint else "please choose"
    assert capsys.readouterr().err == (
        f"The memory of the {memory} is full; {advice} a larger --accumulate{cpu_advice}, or begin anew with a smaller "
        "--batch.\n"
    )


def test_an_unwritable_file_is_reported_in_a_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(loop, "train", fail)
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith(
        "The training has stopped because a file could not be read or written (Permission denied);"
    )
    assert stderr.endswith("and begin again.\n")
    assert stderr.count("\n") == 1


def test_the_final_output_lists_each_class_and_a_command_to_copy(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my out"
    (data / "sky" / "1.heic").write_bytes(b"one")
    (data / "sky" / "._0.png").write_bytes(b"hidden")
    recipe = replace(SHORT_RECIPE, epochs=1).as_options()
    arguments = ["--data", str(data), "--out", str(out), "--workers", "0", "--val-split", "0.25", *recipe]
    assert main(["train", *arguments]) == 0
    stdout, stderr = capsys.readouterr()
    assert "ignored: 1 .heic (photos end in .jpg" in stderr
    first, *classes, last = stdout.splitlines()
    assert re.search(r"calibration error 0\.\d{3} \(0\.\d{3} if perfectly calibrated\), no temperature: fewer", first)
    assert [line.split("  ")[-1] for line in classes] == ["grass", "sky"]
    weights = out / "model.safetensors"
    assert shlex.split(last.partition("look inside with ")[2])[-1] == str(weights)
    assert "--val-split 0.25" in load(weights).training["command"]


def test_a_folder_keeps_its_name_where_the_path_has_none(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {}

    def record(*_: object, **options: object) -> None:
        names.update(options)

    monkeypatch.setattr(loop, "train", record)
    monkeypatch.chdir(data)
    assert main(["train", "--data", ".", "--also", ".", "--out", str(tmp_path / "out")]) == 0
    assert (names["data_name"], names["data_options"]) == ("meadow", ["--also", "meadow"])


def test_the_share_of_photos_without_labels_has_the_bounds_of_the_recipe() -> None:
    for share in ("0", "1"):
        with pytest.raises(numbers.typer.BadParameter, match="above 0 and below 1"):
            load_command("train").make_context("train", ["--data", "d", "--out", "o", "--also-share", share])
    with load_command("train").make_context("train", ["--data", "d", "--out", "o", "--also-share", "0.5"]) as context:
        assert recipe_of(context.params).also_share == 0.5


def test_shell_completion_offers_the_existing_parts_of_data() -> None:
    assert tuple(SPLITS) == options.SPLITS


def test_weights_of_another_variant_are_refused_before_a_folder_is_made(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("--variant", "torchvision", "--from", "tiny-imagenet", "--epochs", "1", "--device", "cpu")
    assert main(["train", "--data", str(data), "--out", str(out), *arguments]) == 2
    assert "are of the variant 'batchnorm', not 'torchvision'" in capsys.readouterr().err
    assert not out.exists()


def test_the_last_row_of_a_timed_training_shows_how_much_of_its_epoch_it_covers() -> None:
    row = LogRow(3, 30, 1.0, 64, 0.1, 50.0, 0.5, 0.9, 0.6, 0.8, 1.0)
    assert row_text(row, 2, per_epoch=10).startswith("epoch   3  64 px")
    assert row_text(replace(row, step=34), 2, per_epoch=10).startswith("epoch   3.4  64 px")


def test_a_row_without_a_training_step_shows_the_evaluation_only() -> None:
    row = LogRow(3, 30, 1.0, 64, 0.1, 0.0, float("nan"), float("nan"), 0.6, 0.8, 1.0)
    assert row_text(row, 2, per_epoch=10) == "epoch   3  64 px  held out: loss 0.600  top-1 80.0%"
