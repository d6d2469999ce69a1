"""Snippets of README, CONTRIBUTING and docs/: each runs and prints what the page says, or is marked as not run.

A line `<!-- not run: why -->` precedes a block that needs minutes, a network or another machine, and
`<!-- fails: why -->` one that shows an error. Commands that start a server are not run, nor are those with a word in
capitals, which is a placeholder. Commands that are not run are checked against `--help` and the Makefile.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

from support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Their Python runs in test_house.py and test_explanations.py.
PYTHON_ELSEWHERE = {ROOT / "README.md", ROOT / "docs" / "explanations.md"}
SERVER = "http://127.0.0.1:7860"  # the address of the server on the pages
MARK = re.compile(r"<!-- (not run|fails): .{10,} -->\n *\Z")
PLACEHOLDER = re.compile(r"(?<![-\w/.$])[A-Z]{3,}(?:[-_][A-Z]+)*(?![\w=])")
STARTS_SERVER = re.compile(r"\bapp\.py\b|-m inception serve\b")  # runs until it is stopped
BLOCK_TIMEOUT = 500  # seconds for one block of commands, on a busy machine


def words(line: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", line)


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", line)]


def commands_of(block: str) -> list[str]:
    """Return the commands of a block; lines that continue (a backslash, a pipe, an open quote) are joined."""
    lines: list[str] = []
    for line in block.splitlines():
        continues = lines and (lines[-1].endswith(("\\", "|")) or lines[-1].count("'") % 2)
        if continues:
            lines[-1] += "\n" + line
        elif line.strip():
            lines.append(line)
    return lines


@cache
def help_of(*arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, *arguments, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=BLOCK_TIMEOUT,
    )
    return run.stdout


def check_command(command: str) -> None:
    """Check that a command that is not run exists, and has its options."""
    subprocess.run(["bash", "-n", "-c", command], check=True)
    parts = shlex.split(command, comments=True)
    program: tuple[str, ...] = ()
    if "make" in parts[:1]:
        subprocess.run(["make", "--dry-run", *parts[1:]], cwd=ROOT, capture_output=True, check=True)
        app_options = next((part.removeprefix("ARGS=") for part in parts if part.startswith("ARGS=--")), "")
        program, parts = ("app.py",) if app_options else (), shlex.split(app_options)
    elif "inception" in parts and parts[parts.index("inception") - 1] == "-m":
        program = ("-m", "inception", parts[parts.index("inception") + 1])
        parts = parts[parts.index("inception") + 2 :]
    elif any(part.endswith("app.py") for part in parts):
        program = ("app.py",)
    options = [part.partition("=")[0] for part in parts if part.startswith("--")] if program else []
    assert [option for option in options if not re.search(rf"{option}\b", help_of(*program))] == []


class Reader:
    """Run the blocks of a page in a folder with the project's photos and a Python environment."""

    def __init__(self, folder: Path, address: str, *, python_elsewhere: bool) -> None:
        self.folder, self.address, self.python_elsewhere = folder, address, python_elsewhere
        self.printed = ""
        self.names: dict[str, object] = {"__name__": "snippet"}
        for name in ("examples", "weights", "inception", "scripts", "app.py", "README.md"):
            (folder / name).symlink_to(ROOT / name)
        python = folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)

    def sh(self, example: Example) -> None:
        mark = self._mark(example)
        self.printed = ""
        commands = commands_of(example.parsed)
        runnable = [
            command
            for command in commands
            if mark != "not run" and not PLACEHOLDER.search(command) and not STARTS_SERVER.search(command)
        ]
        for command in commands:
            if command not in runnable:
                check_command(command)
        if not runnable:
            return
        if "curl" in example.parsed and shutil.which("curl") is None:
            pytest.skip("curl is not installed; the blocks before this one have run")
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(runnable).replace(SERVER, self.address)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=BLOCK_TIMEOUT,
            check=False,
        )
        assert (run.returncode != 0) == (mark == "fails"), run.stdout + run.stderr
        assert "Traceback" not in run.stderr
        self.printed = run.stderr if mark == "fails" else run.stdout

    def python(self, example: Example) -> None:
        self.printed = ""
        if self.python_elsewhere or self._mark(example) == "not run":
            return
        code = example.parsed.replace(SERVER, self.address)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            # With leading blank lines, errors report the line of the page.
            exec(compile("\n" * example.line + code, str(example.path), "exec"), self.names)
        self.printed = out.getvalue()

    def text(self, example: Example) -> None:
        """Compare a block right behind one that ran with the beginning of its output."""
        for command in re.findall(r"^\$ (.+)$", example.parsed, re.M):
            check_command(command)
        if not self._before(example).rstrip().endswith("```") or not self.printed:
            return
        expected, printed = example.parsed.splitlines(), self.printed.splitlines()
        assert len(printed) >= len(expected), self.printed
        for actual_line, expected_line in zip(printed, expected, strict=False):
            assert words(actual_line) == words(expected_line), self.printed
            # Processors round differently in the last digit shown.
            assert numbers(actual_line) == pytest.approx(numbers(expected_line), abs=0.11), self.printed

    def json(self, example: Example) -> None:
        json.loads(example.parsed)

    def _before(self, example: Example) -> str:
        return example.document.text[: example.region.start]

    def _mark(self, example: Example) -> str:
        match = MARK.search(self._before(example))
        return match[1] if match else ""


LANGUAGES = ("sh", "python", "text", "json")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_snippet_does_what_the_page_says(
    page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs_server = SERVER + '"' in (text := page.read_text(encoding="utf-8")) or SERVER + "/gradio_api" in text
    reader = Reader(
        tmp_path,
        request.getfixturevalue("page_address").rstrip("/") if needs_server else SERVER,
        python_elsewhere=page in PYTHON_ELSEWHERE,
    )
    monkeypatch.chdir(tmp_path)
    examples = list(
        Document.parse(str(page), *(CodeBlockParser(language, getattr(reader, language)) for language in LANGUAGES))
    )
    fences = re.findall(r"^ *```(\S*)$", text, re.M)[::2]
    assert len(examples) == len([fence for fence in fences if not fence.startswith("{")]), "a block of another language"
    for example in examples:
        example.evaluate()


def test_most_snippets_are_run() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(re.findall(r"<!-- not run: ", text)) < len(re.findall(r"^```(?:sh|python)$", text, re.M)) / 3
