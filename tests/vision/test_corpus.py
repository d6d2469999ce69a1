"""Every bad or odd file, every way: shown as it should be or refused in one sentence, at little cost of memory."""

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
from support.entry_points import EXAMPLES, Told, by_command, by_folder, by_library, by_predict, through_server
from support.event_loop import in_a_thread
from support.paths import ROOT

MOST_MEGABYTES = 300
# What each refusal must name: what is allowed, or what to do.
ALLOWED = {
    "photo_empty": r"is empty; please choose a photo",
    "photo_unknown": re.escape(FORMATS_TEXT),
    "photo_damaged": r"save or send it again",
    "photo_large": r"at most \d\d megapixels",
    "photo_heavy": r"at most 40 MB",
}

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and sets back the highest memory"),
    pytest.mark.timeout(900),  # for a machine that does much else
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus") / "files"


@pytest.fixture(scope="module")
def made(folder: Path) -> list[Case]:
    return write(folder)


def assert_as_expected(made: list[Case], told: dict[str, Told], folder: Path) -> None:
    """Shown or refused as it should be, in one sentence that says what is allowed, without a path."""
    assert len(told) == len(made)
    for case in made:
        sentence = told[case.name].sentence
        assert bool(sentence) == bool(case.refused), (case.name, sentence)
        if sentence:
            assert re.search(ALLOWED[case.refused], sentence), (case.name, sentence)
            assert not leaks(sentence, folder), (case.name, sentence)
        assert told[case.name].odd == "", case.name
        assert told[case.name].memory < MOST_MEGABYTES, case.name


def leaks(sentence: str, folder: Path) -> bool:
    return any(word in sentence for word in ("/", "\\", "\n", "Traceback", "PIL", str(folder)))


def test_the_corpus_is_large_and_the_same_at_each_run() -> None:
    small = [case for case in cases() if not re.search(r"megapixel|wide|heavy|large|bomb|archive", case.name)]
    assert len(small) >= 60
    assert len({case.name for case in cases()}) == len(cases())
    assert [digest(case) for case in small] == [digest(case) for case in small]


def digest(case: Case) -> str:
    return hashlib.sha256(case.make()).hexdigest()


def test_the_library_shows_or_refuses_every_file_and_takes_little(folder: Path, made: list[Case]) -> None:
    told = by_library(folder, made)
    assert_as_expected(made, told, folder)
    for case in made:
        if case.refused:
            continue
        assert case.size is None or tuple(told[case.name].size) == case.size, case.name
        for got, wanted in zip(told[case.name].quarters, case.quarters, strict=False):
            assert all(abs(a - b) <= 12 for a, b in zip(got, wanted, strict=True)), (case.name, got, wanted)


def test_the_command_line_tells_every_file_in_one_line(folder: Path, made: list[Case]) -> None:
    told, stderr, memory = by_predict(folder, made)
    assert_as_expected(made, told, folder)
    refused = [case for case in made if case.refused]
    lines = stderr.splitlines()
    assert len(lines) == len(refused), "one line for each, whatever its name, and nothing else"
    assert all(line.isprintable() for line in lines)
    assert all(line.endswith(told[case.name].sentence) for line, case in zip(lines, refused, strict=True))
    assert memory < MOST_MEGABYTES


def test_a_folder_of_them_is_told_in_its_file(folder: Path, made: list[Case], tmp_path: Path) -> None:
    told, stderr, memory = by_folder(folder, tmp_path / "r.parquet")
    photos = [case for case in made if Path(case.name).suffix in PHOTO_SUFFIXES]
    assert_as_expected(photos, told, folder)
    assert all(line.isprintable() for line in stderr.splitlines())
    assert "Traceback" not in stderr
    assert memory < MOST_MEGABYTES


def test_a_name_that_is_too_long_for_a_file_is_one_line() -> None:
    said, _ = by_command("predict", "x" * 300 + ".jpg", "two\nlines\x1b[2J.jpg")
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 2
    assert all("There is no readable file" in line and line.isprintable() for line in said.stderr.splitlines())


# ---------------------------------------------------------------- a running server


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with running_server("--device", "cpu") as (address, process):
        yield address, process


def test_api_and_stage_show_or_refuse_every_file_and_go_on(
    folder: Path, made: list[Case], server: tuple[str, int]
) -> None:
    told, most = in_a_thread(through_server(*server, made, folder))
    for way in ("API", "stage"):
        assert_as_expected(made, told[way], folder)
    assert most < MOST_MEGABYTES


@pytest.mark.parametrize("name", ["..", ".", "/", "\\"])
def test_a_file_without_a_name_is_refused_without_a_path(server: tuple[str, int], name: str) -> None:
    sent = httpx.post(f"{server[0]}/gradio_api/upload", files={"files": (name, b"x")}, timeout=60)
    assert sent.status_code == 400 or name not in Path(sent.json()[0]).name
    assert not re.search(r"/\w+/|Traceback", sent.text) or sent.status_code == 200


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("data:image/png;base64,!!!!", "not a picture"),
        ("data:image/png;base64,", "empty"),
        ("data:text/html;base64,PHNjcmlwdD4=", "not a picture"),
        ("data:,x", "not a picture"),
    ],
)
def test_what_comes_as_a_data_address_is_refused_the_same_way(server: tuple[str, int], address: str, said: str) -> None:
    photo = {"url": address, "path": None, "meta": {"_type": "gradio.FileData"}}
    begun = httpx.post(
        f"{server[0]}/gradio_api/call/predict", json={"data": [photo, "tiny-imagenet", 3]}, timeout=60
    ).json()
    told = httpx.get(f"{server[0]}/gradio_api/call/predict/{begun['event_id']}", timeout=60).text
    assert said in told
    assert "event: error" in told


# ---------------------------------------------------------------- many at once


# In a process of its own that sets the allocator as the server does: glibc's default settings adapt to all that the
# process did before, and may keep freed pixels.
AT_ONCE = """
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
print(memory.highest)
"""


def test_large_photos_that_come_at_once_take_the_memory_of_one(folder: Path, made: list[Case]) -> None:
    large = next(folder / case.name for case in made if case.name == "12-megapixel-lossless.webp")
    run = subprocess.run(
        [sys.executable, "-c", AT_ONCE, str(EXAMPLES[0]), str(large)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 100 < float(run.stdout) < MOST_MEGABYTES


def test_a_bad_photo_never_keeps_others_waiting(folder: Path, made: list[Case]) -> None:
    data = (folder / "27-megapixel-progressive.jpg").read_bytes()

    def refused() -> None:
        with pytest.raises(PhotoError):
            open_photo(data[: len(data) // 2])

    together([refused] * 3)
    assert open_photo(data).size == (2048, 2048)


def together(works: list[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
