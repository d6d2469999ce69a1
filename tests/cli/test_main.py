"""The command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inception import PretrainedModel, __version__
from inception.cli import options, train
from inception.cli.main import COMMANDS, main
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import VARIANTS
from inception.render.maps import COLOURS, SCALES
from inception.runtime.device import DEVICES
from inception.training.recipe import MIXES, SCRATCH
from support.command import run_inception
from support.paths import EXAMPLES, ROOT


def test_predict_prints_one_object_per_photo() -> None:
    photos = [EXAMPLES / "espresso.jpg", EXAMPLES / "red_panda.jpg"]
    run = run_inception("predict", *photos, "--json", "--top", 3)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0
    assert [row["photo"] for row in rows] == [str(photo) for photo in photos]
    assert [row["top"][0]["label"] for row in rows] == ["espresso", "lesser panda"]
    for row in rows:
        assert row["model"] == "tiny-imagenet"
        assert [set(guess) for guess in row["top"]] == [{"class", "label", "probability"}] * 3
        assert 0 < sum(guess["probability"] for guess in row["top"]) <= 1.0001


def test_the_real_googlenet_recognises_a_zebra(shared: Path) -> None:
    run = run_inception(
        "predict",
        shared / "images" / "zebra.jpg",
        "--model",
        "googlenet",
        "--json",
        INCEPTION_WEIGHTS_DIR=str(shared / "weights"),
    )
    assert json.loads(run.stdout)["top"][0]["label"] == "zebra"


def test_an_invalid_photo_is_reported_and_the_others_are_predicted(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no photo")
    run = run_inception("predict", tmp_path / "bad.jpg", EXAMPLES / "espresso.jpg", "--json")
    bad, good = (json.loads(line) for line in run.stdout.splitlines())
    assert run.returncode == 1
    assert "not a picture" in bad["error"]
    assert good["top"][0]["label"] == "espresso"
    assert "Traceback" not in run.stderr


def test_a_missing_photo_and_a_folder_are_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    (tmp_path / "text.jpg").write_text("no photo")
    assert main(["maps", "nope.jpg", "pets", "text.jpg", "--block", "4c", "--out", "out"]) == 1
    missing, folder, text = capsys.readouterr().err.splitlines()
    assert missing == "There is no readable file 'nope.jpg'; please check its name."
    assert folder == "'pets' is a folder; please name the photos in it."
    assert text.startswith("text.jpg: This file is not a picture")


def test_maps_writes_the_four_branches_and_their_numbers(tmp_path: Path, embedded: PretrainedModel) -> None:
    run = run_inception(
        "maps", EXAMPLES / "espresso.jpg", "--block", "4c", "--out", tmp_path / "new" / "folder", "--json"
    )
    report = json.loads(run.stdout)
    assert run.returncode == 0
    assert (report["block"], list(report["branches"])) == ("4c", ["1x1", "3x3", "5x5", "pool"])
    side = embedded.input_size // 16
    for branch, channels in {"1x1": 128, "3x3": 256, "5x5": 64, "pool": 64}.items():
        row = report["branches"][branch]
        assert (row["channels"], row["height"], row["width"]) == (channels, side, side)
        assert len(np.unique(np.asarray(Image.open(row["file"])))) > 10
        assert row["scale"] == [0, max(entry["highest"] for entry in report["branches"].values())]


def test_photos_with_equal_names_have_separate_pictures(tmp_path: Path) -> None:
    for folder, photo in (("a", "bison.jpg"), ("b", "espresso.jpg")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").write_bytes((EXAMPLES / photo).read_bytes())
    run = run_inception(
        "maps", tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg", "--block", "5a", "--out", tmp_path / "out", "--json"
    )
    files = [row["file"] for line in run.stdout.splitlines() for row in json.loads(line)["branches"].values()]
    assert len(set(files)) == 8 == len(list((tmp_path / "out").iterdir()))


def test_an_unwritable_folder_is_reported_in_one_sentence() -> None:
    run = run_inception("maps", EXAMPLES / "bison.jpg", "--block", "5a", "--out", "/proc")
    assert run.returncode == 2
    assert "Nothing can be written" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("view", ["mean", "photo"])
def test_maps_writes_other_views(tmp_path: Path, view: str, embedded: PretrainedModel) -> None:
    run = run_inception(
        "maps", EXAMPLES / "espresso.jpg", "--block", "5b", "--out", tmp_path, "--view", view, "--scale", "branch"
    )
    assert run.returncode == 0
    assert len(list(tmp_path.iterdir())) == 4
    side = embedded.input_size // 32
    assert f"384 channels of {side}x{side}" in run.stdout


def test_summary_prints_the_table_with_its_totals() -> None:
    run = run_inception("summary", "--classes", 2)
    assert "197 layers, 7,039,122 parameters" in run.stdout
    for megabytes in ("0.57 MB", "81.87 MB", "26.85 MB", "109.30 MB"):
        assert megabytes in run.stdout
    *rows, totals = (
        json.loads(line) for line in run_inception("summary", "--classes", 2, "--json").stdout.splitlines()
    )
    assert len(rows) == 197
    assert rows[0] == {"index": 1, "layer": "Conv2d", "output_shape": [64, 112, 112], "parameters": 9472}
    assert totals["parameters"] == 7_039_122


def test_models_lists_the_networks_and_which_are_available() -> None:
    rows = [json.loads(line) for line in run_inception("models", "--json").stdout.splitlines()]
    assert [row["model"] for row in rows] == ["tiny-imagenet", "googlenet", "torchvision"]
    assert rows[0]["at_hand"] is True
    description = json.loads(run_inception("models", "--model", "tiny-imagenet", "--json").stdout)
    assert (description["classes"], description["variant"]) == (200, "batchnorm")


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_an_invalid_choice_is_reported_in_one_sentence(arguments: list[str], message: str) -> None:
    run = run_inception(*arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr


HELP_SCRIPT = """
import atexit, sys
from inception.__main__ import console
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.exit(console())
"""
# Each takes at least as long to import as everything that --help needs.
HEAVY = {"torch", "gradio", "matplotlib", "onnx", "pyarrow", "numpy", "PIL", "pydantic", "rich", "asyncio"}


def output_and_modules(code: str, *arguments: str, **environment: str) -> tuple[str, set[str]]:
    """Return the output of a process and the modules that it has imported."""
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout, set(run.stderr.split())


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_imports_neither_large_libraries_nor_other_commands(command: str | None) -> None:
    arguments = [command] if command else []
    text, modules = output_and_modules(HELP_SCRIPT, *arguments, "--help")
    assert text.startswith(f"Usage: python -m inception {command or ''}")
    assert COMMANDS[command].split()[-1] in text if command else all(name in text for name in COMMANDS)
    assert modules & HEAVY == set()
    others = {f"inception.cli.{name}" for name in COMMANDS if name != command}
    assert modules & others == set()


def test_help_of_app_py_imports_no_large_library() -> None:
    code = "import atexit, runpy, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n" + (
        "runpy.run_path('app.py', run_name='__main__')"
    )
    text, modules = output_and_modules(code, "--help")
    assert text.startswith("Usage: python app.py [OPTIONS]")
    assert "--keep-minutes" in text
    assert modules & HEAVY == set()


def test_shell_completion_offers_the_existing_values() -> None:
    assert options.DEVICES == DEVICES
    assert tuple(BLOCKS) == options.BLOCKS
    assert tuple(VARIANTS) == options.VARIANTS
    assert tuple(SCALES) == options.SCALES
    assert tuple(COLOURS) == options.COLOURS
    assert (train.MIXES, train.SCRATCH) == (MIXES, SCRATCH)


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A script like the installed `inception-lens`; it writes the names of its imported modules to `modules`."""
    script = tmp_path / "bin" / "inception-lens"
    script.parent.mkdir()
    modules = tmp_path / "modules"
    script.write_text(
        f"#!{sys.executable}\nimport atexit, pathlib, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"atexit.register(lambda: pathlib.Path({str(modules)!r}).write_text(repr([*sys.modules])))\n"
        "from inception.__main__ import console; sys.exit(console())\n"
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("ex", {"explain"}),
        ("", set(COMMANDS)),
        ("predict --wo", {"--workers"}),
        ("explain --block 4", {"4a", "4b", "4c", "4d", "4e"}),
        ("maps --colours ", set(COLOURS)),
        ("serve --backend ", {"local", "ray"}),
        ("evaluate goog", {"googlenet"}),
    ],
)
def test_a_shell_completes_commands_options_and_values(
    words: str, completed: set[str], command: Path, tmp_path: Path
) -> None:
    line = f"inception-lens {words}"
    environment = {
        **os.environ,
        "_INCEPTION_LENS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    run = subprocess.run([command], env=environment, capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) == completed
    assert set(literal_eval((tmp_path / "modules").read_text())) & {"torch", "gradio"} == set()


def test_completion_is_installed_for_the_current_shell(command: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "PATH": f"{command.parent}:{os.environ['PATH']}"}
    line = "inception-lens --install-completion; exit $?"
    run = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "bash completion installed" in run.stdout
    # As a new interactive shell does.
    script = "source ~/.bashrc; complete -p inception-lens"
    run = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.rstrip().endswith("inception-lens")


def test_the_version_is_printed() -> None:
    run = run_inception("--version")
    assert (run.returncode, run.stdout, run.stderr) == (0, f"inception-lens {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "Missing command. It must be one of: models, predict,"),
        (["predit"], "No such command 'predit'. Did you mean 'predict'? It must be one of"),
        (["maps"], "Missing argument 'PHOTO'."),
        (["maps", "x.jpg", "--out", "o"], "Missing option '--block'."),
        (["predict", "x.jpg", "--tob", "1"], "No such option: --tob"),
        (["predict", "x.jpg", "--top"], "Option '--top' requires an argument."),
        (["models", "too", "many"], "Got unexpected extra argument(s) (too many)."),
        (
            ["train", "--data", "d", "--out", "o", "--sizes", "64", "--image-size", "64"],
            "please leave out one of them.",
        ),
        (
            ["train", "--data", "d", "--out", "o", "--epochs", "1", "--minutes", "1"],
            "--epochs and --minutes exclude each other",
        ),
        (["serve", "--replicas", "2"], "need --backend ray."),
    ],
)
def test_parse_errors_are_reported_in_one_line(arguments: list[str], line: str) -> None:
    run = run_inception(*arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert line in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_a_closed_pipe_is_not_an_error() -> None:
    command = f"{sys.executable} -m inception summary | head -1; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == 1


@pytest.mark.parametrize("command", [["predict", str(EXAMPLES / "espresso.jpg")], ["serve"], ["summary"]])
def test_a_missing_gpu_is_reported_in_one_sentence(command: list[str]) -> None:
    run = run_inception(*command, "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("This machine has no cuda device that PyTorch can use; choose auto, or")
    assert len(run.stderr.splitlines()) == 1


def test_auto_falls_back_to_the_cpu() -> None:
    run = run_inception("predict", EXAMPLES / "espresso.jpg", "--device", "auto", CUDA_VISIBLE_DEVICES="")
    assert (run.returncode, run.stderr) == (0, "")
    assert "espresso" in run.stdout


def test_unwritable_output_is_reported_in_one_sentence() -> None:
    command = [sys.executable, "-m", "inception", "models"]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "The output cannot be written (No space left on device); please write it elsewhere.\n"


@pytest.mark.parametrize(
    "words",
    [
        "explain photo.jpg --block 9z",
        "explain photo.jpg --block 4c --off median",
        "explain photo.jpg --block 4c --faithfulness lime",
        "explain photo.jpg --block 4c --switch-off 1x1,7x7",
        "explain photo.jpg --block 4c --cell 7x7:0:0:0",
        "maps photo.jpg --block 4c --out maps --view all",
        "maps photo.jpg --block 4c --out maps --scale all",
        "maps photo.jpg --block 4c --out maps --colours rainbow",
    ],
)
def test_a_value_that_is_not_offered_is_refused_before_torch_is_loaded(
    words: str, command: Path, tmp_path: Path
) -> None:
    run = subprocess.run([command, *words.split()], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "is not allowed; it must be one of: " in run.stderr
    assert f"{words.split()[0]} --help" in run.stderr
    assert "'torch'" not in (tmp_path / "modules").read_text()


def test_help_lists_the_methods_of_faithfulness() -> None:
    assert (
        "--faithfulness grad_cam|evidence|occlusion|integrated_gradients" in run_inception("explain", "--help").stdout
    )
