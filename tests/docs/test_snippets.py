"""Every snippet of README, CONTRIBUTING and docs/: it runs and prints what the page says, or says why it does not run.

A line `<!-- not run: why -->` stands before a block that needs minutes, a network or another machine, and
`<!-- fails: why -->` before one that shows a refusal. A word in capitals stands for the reader's own, so that its
command is not run either, nor is one that starts a server. What is not run is held against `--help` and the Makefile.
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
HERE = "http://127.0.0.1:7860"  # what the pages call the server
MARK = re.compile(r"<!-- (not run|fails): .{10,} -->\n *\Z")
YOURS = re.compile(r"(?<![-\w/.$])[A-Z]{3,}(?:[-_][A-Z]+)*(?![\w=])")
SERVES = re.compile(r"\bapp\.py\b|-m inception serve\b")  # runs until it is stopped
SECONDS = 500  # for one block of commands, on a machine that has other things to do


def words(line: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", line)


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", line)]


def commands_of(block: str) -> list[str]:
    """The lines of a block, those that go on (a backslash, a pipe, a quote) taken together."""
    lines: list[str] = []
    for line in block.splitlines():
        begun = lines and (lines[-1].endswith(("\\", "|")) or lines[-1].count("'") % 2)
        if begun:
            lines[-1] += "\n" + line
        elif line.strip():
            lines.append(line)
    return lines


@cache
def help_of(*arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, *arguments, "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=SECONDS
    )
    return run.stdout


def understood(command: str) -> None:
    """What is not run is at least a command of ours as it is today, with options that it has."""
    subprocess.run(["bash", "-n", "-c", command], check=True)
    parts = shlex.split(command, comments=True)
    asked: tuple[str, ...] = ()
    if "make" in parts[:1]:
        subprocess.run(["make", "--dry-run", *parts[1:]], cwd=ROOT, capture_output=True, check=True)
        given = next((part.removeprefix("ARGS=") for part in parts if part.startswith("ARGS=--")), "")
        asked, parts = ("app.py",) if given else (), shlex.split(given)
    elif "inception" in parts and parts[parts.index("inception") - 1] == "-m":
        asked = ("-m", "inception", parts[parts.index("inception") + 1])
        parts = parts[parts.index("inception") + 2 :]
    elif any(part.endswith("app.py") for part in parts):
        asked = ("app.py",)
    options = [part.partition("=")[0] for part in parts if part.startswith("--")] if asked else []
    assert [option for option in options if not re.search(rf"{option}\b", help_of(*asked))] == []


class Reader:
    """Somebody at a desk with the project's photos and Python, who does what a page says, block by block."""

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
        ours = [
            command
            for command in commands
            if mark != "not run" and not YOURS.search(command) and not SERVES.search(command)
        ]
        for command in commands:
            if command not in ours:
                understood(command)
        if not ours:
            return
        if "curl" in example.parsed and shutil.which("curl") is None:
            pytest.skip("curl is not installed here; what stands before it on the page has run")
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(ours).replace(HERE, self.address)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (run.returncode != 0) == (mark == "fails"), run.stdout + run.stderr
        assert "Traceback" not in run.stderr
        self.printed = run.stderr if mark == "fails" else run.stdout

    def python(self, example: Example) -> None:
        self.printed = ""
        if self.python_elsewhere or self._mark(example) == "not run":
            return
        code = example.parsed.replace(HERE, self.address)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            # Blank lines in front, so that an error tells the line of the page.
            exec(compile("\n" * example.line + code, str(example.path), "exec"), self.names)
        self.printed = out.getvalue()

    def text(self, example: Example) -> None:
        """Right behind a block that ran stands what it printed, or how that begins."""
        for command in re.findall(r"^\$ (.+)$", example.parsed, re.M):
            understood(command)
        if not self._before(example).rstrip().endswith("```") or not self.printed:
            return
        wanted, printed = example.parsed.splitlines(), self.printed.splitlines()
        assert len(printed) >= len(wanted), self.printed
        for told, promised in zip(printed, wanted, strict=False):
            assert words(told) == words(promised), self.printed
            # Processors round differently in the last digit shown.
            assert numbers(told) == pytest.approx(numbers(promised), abs=0.11), self.printed

    def json(self, example: Example) -> None:
        json.loads(example.parsed)

    def _before(self, example: Example) -> str:
        return example.document.text[: example.region.start]

    def _mark(self, example: Example) -> str:
        found = MARK.search(self._before(example))
        return found[1] if found else ""


LANGUAGES = ("sh", "python", "text", "json")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_snippet_does_what_the_page_says(
    page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asks = HERE + '"' in (text := page.read_text(encoding="utf-8")) or HERE + "/gradio_api" in text
    reader = Reader(
        tmp_path,
        request.getfixturevalue("page_address").rstrip("/") if asks else HERE,
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


def test_what_is_not_run_is_the_exception() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(re.findall(r"<!-- not run: ", text)) < len(re.findall(r"^```(?:sh|python)$", text, re.M)) / 3
