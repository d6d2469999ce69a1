"""Bad and odd files at every entry point: shown correctly or rejected in one sentence, with little memory."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.start import running_server
from inception.errors import PhotoError
from inception.vision.photo import FORMATS_TEXT, PHOTO_SUFFIXES, open_photo
from support.corpus.cases import Case, cases, write
from support.entry_points import (
    EXAMPLES,
    Outcome,
    open_with_library,
    run_and_measure,
    run_predict_files,
    run_predict_folder,
    send_to_server,
)
from support.event_loop import run_coroutine
from support.paths import ROOT

MAX_MEGABYTES = 300  # of one file
# Of all files one after another, above a server whose cache of predictions is full: measured 310 to 335, of which a
# third is left by earlier files (cached explanations, fragments of the heap). A leak of photos would reach gigabytes.
MAX_RUN_MEGABYTES = 400
# What each error message must state: what is allowed, or what to do.
REQUIRED_TEXT = {
    "photo_empty": r"is empty; please choose a photo",
    "photo_unknown": re.escape(FORMATS_TEXT),
    "photo_damaged": r"save or send it again",
    "photo_large": r"at most \d\d megapixels",
    "photo_heavy": r"at most 40 MB",
}

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux can report and reset a process's peak memory"),
    pytest.mark.timeout(900),  # for a busy machine
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus") / "files"


@pytest.fixture(scope="module")
def corpus(folder: Path) -> list[Case]:
    return write(folder)


def assert_as_expected(corpus: list[Case], results: dict[str, Outcome], folder: Path) -> None:
    """Check that each file is shown or rejected as expected, with a sentence that says what is allowed and no path."""
    assert len(results) == len(corpus)
    for case in corpus:
        sentence = results[case.name].error
        assert bool(sentence) == bool(case.error_kind), (case.name, sentence)
        if sentence:
            assert re.search(REQUIRED_TEXT[case.error_kind], sentence), (case.name, sentence)
            assert not leaks(sentence, folder), (case.name, sentence)
        assert results[case.name].fault == "", case.name
        assert results[case.name].memory < MAX_MEGABYTES, case.name


def leaks(sentence: str, folder: Path) -> bool:
    return any(word in sentence for word in ("/", "\\", "\n", "Traceback", "PIL", str(folder)))


def test_the_corpus_is_large_and_reproducible() -> None:
    small = [case for case in cases() if not re.search(r"megapixel|wide|heavy|large|bomb|archive", case.name)]
    assert len(small) >= 60
    assert len({case.name for case in cases()}) == len(cases())
    assert [digest(case) for case in small] == [digest(case) for case in small]


def digest(case: Case) -> str:
    return hashlib.sha256(case.make()).hexdigest()


def test_the_library_shows_or_rejects_every_file_with_little_memory(folder: Path, corpus: list[Case]) -> None:
    results = open_with_library(folder, corpus)
    assert_as_expected(corpus, results, folder)
    for case in corpus:
        if case.error_kind:
            continue
        assert case.size is None or tuple(results[case.name].size) == case.size, case.name
        for colour, expected in zip(results[case.name].quarters, case.quarters, strict=False):
            assert all(abs(a - b) <= 12 for a, b in zip(colour, expected, strict=True)), (case.name, colour, expected)


def test_the_command_line_reports_every_file_in_one_line(folder: Path, corpus: list[Case]) -> None:
    results, stderr, memory = run_predict_files(folder, corpus)
    assert_as_expected(corpus, results, folder)
    refused = [case for case in corpus if case.error_kind]
    lines = stderr.splitlines()
    assert len(lines) == len(refused), "one line per rejected file, whatever its name"
    assert all(line.isprintable() for line in lines)
    assert all(line.endswith(results[case.name].error) for line, case in zip(lines, refused, strict=True))
    assert memory < MAX_MEGABYTES


def test_a_folder_run_reports_every_file_in_its_parquet_file(folder: Path, corpus: list[Case], tmp_path: Path) -> None:
    results, stderr, memory = run_predict_folder(folder, tmp_path / "r.parquet")
    photos = [case for case in corpus if Path(case.name).suffix in PHOTO_SUFFIXES]
    assert_as_expected(photos, results, folder)
    assert all(line.isprintable() for line in stderr.splitlines())
    assert "Traceback" not in stderr
    assert memory < MAX_MEGABYTES


def test_impossible_file_names_are_reported_in_one_line_each() -> None:
    process, _ = run_and_measure("predict", "x" * 300 + ".jpg", "two\nlines\x1b[2J.jpg")
    assert process.returncode == 1
    assert len(process.stderr.splitlines()) == 2
    assert all("There is no readable file" in line and line.isprintable() for line in process.stderr.splitlines())


# ---------------------------------------------------------------- a running server


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with running_server("--device", "cpu") as (address, process):
        yield address, process


def test_api_and_stage_show_or_reject_every_file_and_keep_working(
    folder: Path, corpus: list[Case], server: tuple[str, int]
) -> None:
    results, peak = run_coroutine(send_to_server(*server, corpus, folder))
    for entry_point in ("API", "stage"):
        assert_as_expected(corpus, results[entry_point], folder)
    assert peak < MAX_RUN_MEGABYTES


@pytest.mark.parametrize("name", ["..", ".", "/", "\\"])
def test_an_upload_without_a_usable_name_is_renamed_or_rejected(server: tuple[str, int], name: str) -> None:
    response = httpx.post(f"{server[0]}/gradio_api/upload", files={"files": (name, b"x")}, timeout=60)
    if response.status_code == 200:
        (path,) = response.json()
        assert re.search(r"/[0-9a-f]{64}/file$", path), "renamed, in its own folder"
    else:
        assert response.status_code == 400
        assert not re.search(r"/\w+/|Traceback", response.text)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data:image/png;base64,!!!!", "not a picture"),
        ("data:image/png;base64,", "empty"),
        ("data:text/html;base64,PHNjcmlwdD4=", "not a picture"),
        ("data:,x", "not a picture"),
    ],
)
def test_invalid_data_urls_are_rejected(server: tuple[str, int], url: str, message: str) -> None:
    photo = {"url": url, "path": None, "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(
        f"{server[0]}/gradio_api/call/predict", json={"data": [photo, "tiny-imagenet", 3]}, timeout=60
    ).json()
    body = httpx.get(f"{server[0]}/gradio_api/call/predict/{event['event_id']}", timeout=60).text
    assert message in body
    assert "event: error" in body


# ---------------------------------------------------------------- concurrency


# Runs in its own process, with the allocator set as in the server: glibc's default settings adapt to what the process
# did before, and may keep freed pixels.
CONCURRENT_OPENING = """
import sys, threading
from inception.runtime.memory import share_freed
from inception.vision.photo import open_photo
from support.memory import Memory
share_freed()
small, large = sys.argv[1:]
open_photo(small)
memory = Memory()
threads = [threading.Thread(target=open_photo, args=(large,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(memory.peak)
"""


def test_concurrent_large_photos_take_the_memory_of_one(folder: Path, corpus: list[Case]) -> None:
    large = next(folder / case.name for case in corpus if case.name == "12-megapixel-lossless.webp")
    run = subprocess.run(
        [sys.executable, "-c", CONCURRENT_OPENING, str(EXAMPLES[0]), str(large)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 100 < float(run.stdout) < MAX_MEGABYTES


def test_a_bad_photo_does_not_block_others(folder: Path, corpus: list[Case]) -> None:
    data = (folder / "27-megapixel-progressive.jpg").read_bytes()

    def open_truncated() -> None:
        with pytest.raises(PhotoError):
            open_photo(data[: len(data) // 2])

    run_concurrently([open_truncated] * 3)
    assert open_photo(data).size == (2048, 2048)


def run_concurrently(tasks: list[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
