"""The command `visualize`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inception.cli import numbers
from inception.units import feature_visualization
from support.command import run_inception


def test_visualize_writes_a_picture_of_the_requested_size(tmp_path: Path) -> None:
    file = tmp_path / "new" / "unit.png"
    run = run_inception("visualize", "3a:3x3:9", "--out", file, "--steps", 12, "--size", 64, "--diverse", 2, "--json")
    report = json.loads(run.stdout)
    assert (run.returncode, run.stderr) == (0, "")
    assert (report["unit"], report["height"], report["width"], report["file"]) == ("3a:3x3:9", 43, 43, str(file))
    assert min(report["activation"]) > 0
    assert [row["block"] for row in report["naturalness"]["blocks"]] == ["3a"]
    picture = np.asarray(Image.open(file))
    assert picture.shape == (64, 128, 3)
    assert picture.std() > 5
    negative = tmp_path / "negative.png"
    run = run_inception("visualize", "3a:3x3:9@4,4", "--out", negative, "--steps", 12, "--negative")
    assert run.stdout.startswith("3a:3x3:9@4,4  activation -")
    assert "  image of 43x43 pixels  " in run.stdout
    assert run.stdout.splitlines()[1].startswith("Up to block 3a the network processes this image ")
    assert Image.open(negative).size == (128, 128)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["4c"], "'4c' is not a unit; write BLOCK:BRANCH, BLOCK:BRANCH:CHANNEL"),
        (["4c:3x3:300"], "There is no channel 300 in 4c/3x3; its channels are numbered 0 to 255."),
        (["4c:3x3", "--negative"], "No image drives the branch 4c:3x3 below zero"),
        (["4c:3x3", "--size", "16"], "a whole number from 32 to 512"),
        (["3a:1x1:0", "--steps", "1", "--out", "/proc/x.png"], "Nothing can be written"),
        (["3a:1x1:0", "--out", "x.txt"], "'x.txt' does not end in .png; please name one that does."),
    ],
)
def test_errors_are_reported_in_one_sentence(arguments: list[str], message: str, tmp_path: Path) -> None:
    run = run_inception("visualize", "--out", tmp_path / "x.png", *arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_bounds_match_those_of_the_library() -> None:
    library = feature_visualization
    assert (numbers.MIN_SIDE, numbers.MAX_IMAGE_SIDE) == (library.MIN_SIDE, library.MAX_SIDE)
    assert (numbers.MAX_STEPS, numbers.MAX_IMAGES, numbers.MAX_SEED) == (
        library.MAX_STEPS,
        library.MAX_COUNT,
        library.MAX_SEED,
    )
