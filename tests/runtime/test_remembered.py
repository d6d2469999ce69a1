"""Small results remembered in the cache folder: bounded in number, written atomically, never blocking."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inception.runtime.remembered import MAX_RESULTS, cache_dir, recall, remember
from support.paths import ROOT


def test_recall_returns_only_what_was_remembered() -> None:
    remember("a.json", "speed", {"whole": True})
    assert recall("a.json", "speed") == {"whole": True}
    assert recall("a.json", "size") is recall("b.json", "speed") is None


def test_the_newest_results_are_kept() -> None:
    for number in range(MAX_RESULTS):
        remember("a.json", str(number), number)
    remember("a.json", "0", "again")
    remember("a.json", "one more", 1)
    stored = json.loads((cache_dir() / "a.json").read_text())
    assert list(stored) == [*map(str, range(2, MAX_RESULTS)), "0", "one more"]


def test_a_pipe_in_place_of_the_file_does_not_block() -> None:
    cache_dir().mkdir(parents=True)
    os.mkfifo(cache_dir() / "a.json")
    assert recall("a.json", "speed") is None


def test_without_a_home_folder_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    remember("a.json", "speed", 1)
    assert recall("a.json", "speed") is None


WRITE = """
import sys
from inception.runtime.remembered import recall, remember

print(flush=True)
sys.stdin.readline()
for number in range(300):
    remember("a.json", f"{sys.argv[1]} {number % 20}", number)
    assert isinstance(recall("a.json", "shared"), str), "another process's half-written file was read"
"""


def test_two_concurrent_processes_leave_no_partial_file() -> None:
    remember("a.json", "shared", "from the beginning")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, name], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # wait until it is ready
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    stored = json.loads((cache_dir() / "a.json").read_text())
    assert "shared" in stored
    assert 299 in stored.values(), "the very last write is stored"
    assert [path.name for path in cache_dir().iterdir()] == ["a.json"]
