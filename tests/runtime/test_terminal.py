"""Names of files, folders and classes that would steer a terminal are spelled out wherever a command prints them."""

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
from support.paths import EXAMPLES, ROOT

# Clear the screen, in two ways; a title; a line of one's own; from right to left; and half a character.
HARM = "\x1b[2J\x9b2J\x1b]0;x\x07\nstatus 0\r\u202e\x7f\u2028"
BYTES = b"\xff\xfe"


def steering(text: str) -> list[str]:
    """The characters of what was printed that a terminal would obey, other than line ends."""
    return [letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl") and letter != "\n"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos with such names in folders with such names, good and bad."""
    root = tmp_path / f"data{HARM}"
    for name, photo in ((f"bee{HARM}", "honey_bee.jpg"), (f"espresso{HARM}", "espresso.jpg")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            (root / name / f"{number}{HARM}.jpg").write_bytes((EXAMPLES / photo).read_bytes())
        (root / name / f"bad{HARM}.jpg").write_bytes(b"no photo")
    (root / f"bee{HARM}" / os.fsdecode(BYTES + b".jpg")).write_bytes(b"no photo")
    return root


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([os.fspath(word) if isinstance(word, Path) else str(word) for word in arguments])
        except SystemExit as left:
            status = int(str(left.code))
        out, err = capsys.readouterr()
        assert steering(out + err) == []
        assert "status 0" not in (out + err).splitlines()
        return status, out, err

    return run


def photos(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_photos_and_what_is_written_for_them(folder: Path, printed: Any, tmp_path: Path, form: list[str]) -> None:
    out = tmp_path / f"out{HARM}"
    assert printed("predict", *photos(folder), *form)[0] == 1
    good_and_bad = [photo for photo in photos(folder) if photo.name.startswith(("0", "bad"))]
    assert printed("maps", *good_and_bad, "--block", "5b", "--out", out, *form)[0] == 1
    assert printed("explain", *good_and_bad, "--block", "5b", "--out", out, *form)[0] == 1
    status, told, said = printed("predict", folder, "--out", tmp_path / f"answers{HARM}.parquet", *form)
    assert status == 0
    assert "8 photos" not in told
    assert len(said.splitlines()) == 3, "a line for each photo that was refused"


def test_json_is_the_same_as_before_for_programs(folder: Path, printed: Any) -> None:
    photo = next(photo for photo in photos(folder) if photo.name.startswith("0"))
    _, out, _ = printed("predict", photo, "--json")
    (line,) = out.splitlines()
    assert json.loads(line)["photo"] == str(photo)


def test_classes_of_a_data_set(folder: Path, printed: Any) -> None:
    status, _, err = printed("evaluate", "tiny-imagenet", "--data", folder)
    assert status == 2
    assert "has none of the data's classes (bee\\x1b[2J" in err
    (folder / "orange").mkdir()
    (folder / "orange" / "1.jpg").write_bytes((EXAMPLES / "macaw.jpg").read_bytes())
    for form in ([], ["--json"]):
        status, _, err = printed("evaluate", "tiny-imagenet", "--data", folder, *form)
        assert status == 0
        assert "11 photos of 2 classes (bee\\x1b[2J" in err


def test_a_training_and_the_evaluation_of_what_it_left(folder: Path, printed: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recipe = ["--from", "scratch", "--sizes", "32", "--epochs", "1", "--val-split", "0.4", "--held-out", "0.4"]
    status, _, err = printed("train", "--data", folder, "--out", out, *recipe, "--workers", "0")
    assert status == 0, err
    assert "1 epoch at 32 pixels" in err
    assert "1 step an epoch" in err
    assert err.count("skipped, cannot be read: ") == 3
    status, told, err = printed("evaluate", out / "model.safetensors", "--data", folder)
    assert status == 0
    assert "8 photos of 2 classes, 3 skipped" in told
    assert told.count("bee\\x1b[2J") == 1
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
def test_arguments_are_quoted_in_one_line_and_not_at_any_length(
    arguments: list[str], times: int, printed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = printed(*(word.replace("NAME", HARM * times) for word in arguments))
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert len(err.splitlines()[-1]) < 600


@pytest.mark.parametrize(
    "arguments",
    [["predict", "NAME"], ["predict", "x.jpg", "--model", "NAME"], ["evaluate", "NAME.safetensors", "--data", "."]],
)
def test_names_of_files_that_are_not_there(arguments: list[str], printed: Any) -> None:
    status, out, err = printed(*(word.replace("NAME", HARM) for word in arguments))
    assert status in (1, 2)
    assert (out, len(err.splitlines())) == ("", 1)


def shown_in_terminal(*arguments: object) -> str:
    """What a terminal of 100 columns gets from a command."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 100))
    command = [sys.executable, "-m", "inception", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=slave, stderr=subprocess.DEVNULL, env=TERMINAL) as run:
        os.close(slave)
        shown = b""
        # At the other end, Linux says by an error that it is closed.
        with contextlib.suppress(OSError):
            while more := os.read(master, 65536):
                shown += more
    os.close(master)
    assert run.returncode in (0, 1)
    return shown.decode()


TERMINAL = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("command", ["models", "summary", "predict", "maps", "evaluate"])
def test_a_terminal_is_shown_tables_and_no_harm(command: str, folder: Path, tmp_path: Path) -> None:
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
    shown = shown_in_terminal(command, *arguments)
    text = COLOURS.sub("", shown).replace("\r\n", "\n")
    assert steering(text) == []
    assert "status 0" not in text.splitlines()
    assert "───" in text, "the rule below a table's head"
    assert [word for word in words if word not in text.replace("\n", "")] == []


@pytest.mark.parametrize(
    "arguments", [["models"], ["models", "--model", "tiny-imagenet"], ["summary", "--classes", "2"]]
)
def test_json_is_the_same_in_a_terminal_and_in_a_pipe(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "inception", *arguments, "--json"]
    piped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown_in_terminal(*arguments, "--json").replace("\r\n", "\n") == piped


def test_json_keeps_what_people_read() -> None:
    value = {"照片": "überall – 🐝", "harm": HARM, "far": "\U000e0001"}
    line = json_line(value)
    assert json.loads(line) == value
    assert "照片" in line
    assert "🐝" in line
    assert steering(line) == []
