"""Control characters in names of files, folders and classes are escaped wherever a command prints them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inception.cli.main import main
from inception.runtime.terminal import json_line
from support.command import run_inception
from support.paths import EXAMPLES, ROOT

# Clear the screen (two ways), set the title, fake a line of output, reverse the direction; and invalid UTF-8.
HOSTILE_TEXT = "\x1b[2J\x9b2J\x1b]0;x\x07\nstatus 0\r\u202e\x7f\u2028"
INVALID_UTF8 = b"\xff\xfe"


def control_characters(text: str) -> list[str]:
    """Return the characters of printed text that a terminal would obey, other than line ends."""
    return [letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl") and letter != "\n"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of photos, good and bad, whose names and folders' names are hostile."""
    root = tmp_path / f"data{HOSTILE_TEXT}"
    for name, photo in ((f"bee{HOSTILE_TEXT}", "honey_bee.jpg"), (f"espresso{HOSTILE_TEXT}", "espresso.jpg")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            (root / name / f"{number}{HOSTILE_TEXT}.jpg").write_bytes((EXAMPLES / photo).read_bytes())
        (root / name / f"bad{HOSTILE_TEXT}.jpg").write_bytes(b"no photo")
    (root / f"bee{HOSTILE_TEXT}" / os.fsdecode(INVALID_UTF8 + b".jpg")).write_bytes(b"no photo")
    return root


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([os.fspath(word) if isinstance(word, Path) else str(word) for word in arguments])
        except SystemExit as error:
            status = int(str(error.code))
        out, err = capsys.readouterr()
        assert control_characters(out + err) == []
        assert "status 0" not in (out + err).splitlines()
        return status, out, err

    return run


def photos(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_names_of_photos_and_output_files_are_escaped(
    folder: Path, run_command: Any, tmp_path: Path, json_option: list[str]
) -> None:
    out = tmp_path / f"out{HOSTILE_TEXT}"
    assert run_command("predict", *photos(folder), *json_option)[0] == 1
    good_and_bad = [photo for photo in photos(folder) if photo.name.startswith(("0", "bad"))]
    assert run_command("maps", *good_and_bad, "--block", "5b", "--out", out, *json_option)[0] == 1
    assert run_command("explain", *good_and_bad, "--block", "5b", "--out", out, *json_option)[0] == 1
    status, stdout, stderr = run_command(
        "predict", folder, "--out", tmp_path / f"answers{HOSTILE_TEXT}.parquet", *json_option
    )
    assert status == 0
    assert "8 photos" not in stdout
    assert len(stderr.splitlines()) == 3, "one line per rejected photo"


def test_json_contains_the_exact_name_of_the_photo(folder: Path, run_command: Any) -> None:
    photo = next(photo for photo in photos(folder) if photo.name.startswith("0"))
    _, out, _ = run_command("predict", photo, "--json")
    (line,) = out.splitlines()
    assert json.loads(line)["photo"] == str(photo)


def test_class_names_of_a_data_set_are_escaped(folder: Path, run_command: Any) -> None:
    status, _, err = run_command("evaluate", "tiny-imagenet", "--data", folder)
    assert status == 2
    assert "has none of the data's classes (bee\\x1b[2J" in err
    (folder / "orange").mkdir()
    (folder / "orange" / "1.jpg").write_bytes((EXAMPLES / "macaw.jpg").read_bytes())
    for json_option in ([], ["--json"]):
        status, _, err = run_command("evaluate", "tiny-imagenet", "--data", folder, *json_option)
        assert status == 0
        assert "11 photos of 2 classes (bee\\x1b[2J" in err


def test_class_names_are_escaped_in_training_and_its_evaluation(folder: Path, run_command: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recipe = ["--from", "scratch", "--sizes", "32", "--epochs", "1", "--val-split", "0.4", "--held-out", "0.4"]
    status, _, err = run_command("train", "--data", folder, "--out", out, *recipe, "--workers", "0")
    assert status == 0, err
    assert "1 epoch at 32 pixels" in err
    assert "1 step an epoch" in err
    assert err.count("skipped, cannot be read: ") == 3
    status, stdout, err = run_command("evaluate", out / "model.safetensors", "--data", folder)
    assert status == 0
    assert "8 photos of 2 classes, 3 skipped" in stdout
    assert stdout.count("bee\\x1b[2J") == 1
    assert "left out" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["NAME"],
        ["models", "NAME"],
        ["predict", "x.jpg", "--top", "NAME"],
        ["maps", "x.jpg", "--block", "NAME", "--out", "o"],
        ["explain", "x.jpg", "--block", "4c", "--cell", "NAME"],
        ["predict", "x.jpg", "--device", "NAME"],
        ["evaluate", "tiny-imagenet", "--data", "NAME"],
        ["evaluate", "tiny-imagenet", "--data", "NAME/NAME"],
        ["train", "--data", "NAME", "--out", "NAME"],
        ["train", "--data", "NAME", "--out", "o", "--sizes", "NAME"],
    ],
)
@pytest.mark.parametrize("times", [1, 60])
def test_arguments_are_quoted_in_one_line_and_shortened(
    arguments: list[str], times: int, run_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run_command(*(word.replace("NAME", HOSTILE_TEXT * times) for word in arguments))
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert len(err.splitlines()[-1]) < 600


@pytest.mark.parametrize(
    "arguments",
    [["predict", "NAME"], ["predict", "x.jpg", "--model", "NAME"], ["evaluate", "NAME.safetensors", "--data", "."]],
)
def test_names_of_missing_files_are_escaped(arguments: list[str], run_command: Any) -> None:
    status, out, err = run_command(*(word.replace("NAME", HOSTILE_TEXT) for word in arguments))
    assert status in (1, 2)
    assert (out, len(err.splitlines())) == ("", 1)


def terminal_output(*arguments: object) -> str:
    """Return what a command prints to a terminal of 100 columns."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 100))
    command = [sys.executable, "-m", "inception", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=slave, stderr=subprocess.DEVNULL, env=TERMINAL) as run:
        os.close(slave)
        output = b""
        # Linux raises an error once the other end is closed.
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                output += data
    os.close(master)
    assert run.returncode in (0, 1)
    return output.decode()


TERMINAL = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("command", ["models", "summary", "predict", "maps", "evaluate"])
def test_a_terminal_shows_tables_without_control_characters(command: str, folder: Path, tmp_path: Path) -> None:
    photo = next(photo for photo in photos(folder) if photo.name.startswith("0"))
    arguments = {
        "predict": [photo, "--top", 2],
        "maps": [photo, "--block", "5b", "--out", tmp_path / "out"],
        "evaluate": ["tiny-imagenet", "--data", folder],
    }.get(command, [])
    words = {
        "models": ["tiny-imagenet", "on this machine"],
        "summary": ["Conv2d", "9,472", "197 layers"],
        "predict": [r"bee\x1b[2J", "espresso" if "espresso" in str(photo) else "bee"],
        "maps": ["5x5", "channels", "highest"],
        "evaluate": ["top-1", "orange"],
    }[command]
    (folder / "orange").mkdir()
    (folder / "orange" / "1.jpg").write_bytes((EXAMPLES / "macaw.jpg").read_bytes())
    output = terminal_output(command, *arguments)
    text = COLOUR_CODES.sub("", output).replace("\r\n", "\n")
    assert control_characters(text) == []
    assert "status 0" not in text.splitlines()
    assert "───" in text, "the line below a table's header"
    assert [word for word in words if word not in text.replace("\n", "")] == []


@pytest.mark.parametrize(
    "arguments", [["models"], ["models", "--model", "tiny-imagenet"], ["summary", "--classes", "2"]]
)
def test_json_is_the_same_in_a_terminal_and_in_a_pipe(arguments: list[str]) -> None:
    piped = run_inception(*arguments, "--json")
    assert terminal_output(*arguments, "--json").replace("\r\n", "\n") == piped.stdout


def test_json_keeps_printable_characters() -> None:
    value = {"照片": "überall – 🐝", "harm": HOSTILE_TEXT, "far": "\U000e0001"}
    line = json_line(value)
    assert json.loads(line) == value
    assert "照片" in line
    assert "🐝" in line
    assert control_characters(line) == []
