"""The commands `evaluate`, `census` and `visualize`: errors before the computation, and parts of data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from inception.cli import evaluate, visualize
from inception.cli.main import main
from inception.training import evaluation
from support.narrow import narrow_model
from support.photo_folders import class_folders, make_photo
from support.training import COLOURS, colour_folders

PHOTOS = {"bee": ["honey_bee.jpg"], "espresso": ["espresso.jpg"]}


@pytest.fixture
def no_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "labelled_logits", lambda *_: pytest.fail("the computation has started"))


def test_a_rule_that_cannot_be_stored_is_rejected_before_the_evaluation(
    no_computation: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = class_folders(tmp_path, PHOTOS)
    command = ["evaluate", "googlenet", "--data", str(root), "--unknown", str(root), "--keep"]
    assert main(command) == 2
    assert capsys.readouterr().err.startswith("'googlenet' is not a file of yours, so the rule cannot be stored")


def test_words_for_photos_that_are_not_named_are_rejected_before_the_evaluation(
    no_computation: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = class_folders(tmp_path, PHOTOS)
    assert main(["evaluate", "tiny-imagenet", "--data", str(root), "--outside", "cartoons"]) == 2
    assert capsys.readouterr().err == "--outside says what the photos of --unknown DIR show; please name that folder.\n"


def test_too_few_photos_for_a_rule_are_rejected_before_the_evaluation(
    no_computation: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = class_folders(tmp_path, PHOTOS)
    assert main(["evaluate", "tiny-imagenet", "--data", str(root), "--unknown", str(root)]) == 2
    assert "at least 20 photos of each kind are needed, there are 2 inside and 2 outside" in capsys.readouterr().err


def test_the_accuracy_is_printed_even_if_the_rule_cannot_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = narrow_model(48)
    data = colour_folders(
        tmp_path / "data", {network.labels[0]: COLOURS["sky"], network.labels[1]: COLOURS["grass"]}, 10
    )
    for number in range(20):
        make_photo(tmp_path / "strange" / f"{number:02}.jpg", number)
    (tmp_path / "strange" / "19.jpg").write_bytes(b"no photo")
    monkeypatch.setattr(evaluate, "load_pretrained", lambda *_: network)
    assert main(["evaluate", "any", "--data", str(data), "--unknown", str(tmp_path / "strange")]) == 2
    stdout, stderr = capsys.readouterr()
    assert "top-1" in stdout
    assert "there are 20 inside and 19 outside" in stderr


def test_an_unwritable_picture_is_rejected_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(visualize, "load_pretrained", lambda *_: pytest.fail("a model was loaded"))
    assert main(["visualize", "4c:3x3", "--out", "/proc/nowhere/x.png"]) == 2
    assert "The folder '/proc/nowhere' cannot be made" in capsys.readouterr().err


def test_the_test_part_of_data_can_be_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = narrow_model(48)
    classes = {network.labels[0]: COLOURS["sky"], network.labels[1]: COLOURS["grass"]}
    for part, count in (("train", 3), ("test", 2)):
        colour_folders(tmp_path / part, classes, count)
    monkeypatch.setattr(evaluate, "load_pretrained", lambda *_: network)
    assert main(["evaluate", "any", "--data", str(tmp_path), "--split", "test"]) == 0
    stdout, stderr = capsys.readouterr()
    assert "4 photos of 2 classes" in stdout
    assert "part" not in stderr
    assert main(["evaluate", "any", "--data", str(tmp_path / "test")]) == 0
    assert capsys.readouterr().err.endswith(
        "test has no part val: all of it is measured, which does not test a network trained on it\n"
    )
    assert main(["census", "any", "--data", str(tmp_path), "--split", "tests"]) == 2
    assert "one of: train, val, test" in capsys.readouterr().err
