"""The command line as a user calls it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.command import inception
from support.paths import EXAMPLES, ROOT


def test_predict_prints_one_object_per_photo() -> None:
    photos = [EXAMPLES / "espresso.jpg", EXAMPLES / "red_panda.jpg"]
    run = inception("predict", *photos, "--json", "--top", 3)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0
    assert [row["photo"] for row in rows] == [str(photo) for photo in photos]
    assert [row["top"][0]["label"] for row in rows] == ["espresso", "lesser panda"]
    for row in rows:
        assert row["model"] == "tiny-imagenet"
        assert [set(guess) for guess in row["top"]] == [{"class", "label", "probability"}] * 3
        assert 0 < sum(guess["probability"] for guess in row["top"]) <= 1.0001


def test_the_real_googlenet_sees_a_zebra(shared: Path) -> None:
    run = inception(
        "predict",
        shared / "images" / "zebra.jpg",
        "--model",
        "googlenet",
        "--json",
        INCEPTION_WEIGHTS_DIR=str(shared / "weights"),
    )
    assert json.loads(run.stdout)["top"][0]["label"] == "zebra"


def test_a_bad_photo_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no photo")
    run = inception("predict", tmp_path / "bad.jpg", EXAMPLES / "espresso.jpg", "--json")
    bad, good = (json.loads(line) for line in run.stdout.splitlines())
    assert run.returncode == 1
    assert "not a picture" in bad["error"]
    assert good["top"][0]["label"] == "espresso"
    assert "Traceback" not in run.stderr


def test_maps_writes_the_four_branches_and_their_numbers(tmp_path: Path) -> None:
    run = inception("maps", EXAMPLES / "espresso.jpg", "--block", "4c", "--out", tmp_path / "new" / "folder", "--json")
    told = json.loads(run.stdout)
    assert run.returncode == 0
    assert (told["block"], list(told["branches"])) == ("4c", ["1x1", "3x3", "5x5", "pool"])
    for branch, channels in {"1x1": 128, "3x3": 256, "5x5": 64, "pool": 64}.items():
        row = told["branches"][branch]
        assert (row["channels"], row["height"], row["width"]) == (channels, 8, 8)
        assert len(np.unique(np.asarray(Image.open(row["file"])))) > 10
        assert row["scale"] == [0, max(r["highest"] for r in told["branches"].values())]


def test_photos_of_one_name_keep_their_own_pictures(tmp_path: Path) -> None:
    for folder, photo in (("a", "bison.jpg"), ("b", "espresso.jpg")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").write_bytes((EXAMPLES / photo).read_bytes())
    run = inception(
        "maps", tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg", "--block", "5a", "--out", tmp_path / "out", "--json"
    )
    files = [row["file"] for line in run.stdout.splitlines() for row in json.loads(line)["branches"].values()]
    assert len(set(files)) == 8 == len(list((tmp_path / "out").iterdir()))


def test_a_folder_that_cannot_be_written_is_one_sentence() -> None:
    run = inception("maps", EXAMPLES / "bison.jpg", "--block", "5a", "--out", "/proc")
    assert run.returncode == 2
    assert "Nothing can be written" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("view", ["mean", "photo"])
def test_maps_writes_other_views(tmp_path: Path, view: str) -> None:
    run = inception(
        "maps", EXAMPLES / "espresso.jpg", "--block", "5b", "--out", tmp_path, "--view", view, "--scale", "branch"
    )
    assert run.returncode == 0
    assert len(list(tmp_path.iterdir())) == 4
    assert "384 channels of 4x4" in run.stdout


def test_summary_prints_the_table_with_its_totals() -> None:
    run = inception("summary", "--classes", 2)
    assert "197 layers, 7,039,122 parameters" in run.stdout
    for megabytes in ("0.57 MB", "81.87 MB", "26.85 MB", "109.30 MB"):
        assert megabytes in run.stdout
    *rows, totals = (json.loads(line) for line in inception("summary", "--classes", 2, "--json").stdout.splitlines())
    assert len(rows) == 197
    assert rows[0] == {"index": 1, "layer": "Conv2d", "output_shape": [64, 112, 112], "parameters": 9472}
    assert totals["parameters"] == 7_039_122


def test_models_lists_the_three_and_says_which_are_here() -> None:
    rows = [json.loads(line) for line in inception("models", "--json").stdout.splitlines()]
    assert [row["model"] for row in rows] == ["tiny-imagenet", "googlenet", "torchvision"]
    assert rows[0]["at_hand"] is True
    told = json.loads(inception("models", "--model", "tiny-imagenet", "--json").stdout)
    assert (told["classes"], told["variant"]) == (200, "batchnorm")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "x.jpg", "--model", "resnet"], "choose one of tiny-imagenet, googlenet, torchvision"),
        (["predict", "x.jpg", "--device", "tpu"], "auto, cpu, cuda, mps"),
        (["maps", "x.jpg", "--block", "9z", "--out", "out"], "3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"),
        (["maps", "x.jpg", "--block", "3a", "--out", "LICENSE/x"], "cannot be made"),
        (["summary", "--size", "16"], "a whole number from 32 to 2048"),
        (["summary", "--model", "tiny-imagenet", "--classes", "7"], "leave out --model"),
        (["summary", "--variant", "v3"], "batchnorm, googlenet, torchvision"),
    ],
)
def test_a_wrong_choice_is_one_sentence(arguments: list[str], said: str) -> None:
    run = inception(*arguments)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", [[], ["models"], ["predict"], ["maps"], ["summary"]])
def test_help_is_there_and_need_not_wait_for_torch(command: list[str]) -> None:
    code = f"import sys; sys.argv = ['inception', *{command!r}, '--help']\nfrom inception.cli.main import main\n" + (
        "try: main()\nexcept SystemExit: assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "usage:" in run.stdout


@pytest.mark.parametrize("command", [["predict", str(EXAMPLES / "espresso.jpg")], ["serve"], ["summary"]])
def test_a_gpu_that_is_not_there_is_one_sentence(command: list[str]) -> None:
    run = inception(*command, "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("This machine has no cuda device that PyTorch can use; choose auto, or")
    assert len(run.stderr.splitlines()) == 1


def test_auto_falls_back_to_the_cpu() -> None:
    run = inception("predict", EXAMPLES / "espresso.jpg", "--device", "auto", CUDA_VISIBLE_DEVICES="")
    assert (run.returncode, run.stderr) == (0, "")
    assert "espresso" in run.stdout


def test_an_output_that_cannot_be_written_is_one_sentence() -> None:
    command = [sys.executable, "-m", "inception", "models"]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "The output cannot be written (No space left on device); please write it elsewhere.\n"
