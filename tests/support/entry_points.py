"""Photo files sent to every entry point (library, command line, API and stage), and the memory that they take.

Memory is the peak of a process (VmHWM, reset by `clear_refs`) above its idle memory. `make corpus` prints the table of
docs/robustness.md.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image
from pyarrow import parquet

from benchmarks.start import running_server
from benchmarks.visitors import PREFIX, RefusedError, Visitor
from inception.runtime.files import one_line
from support.corpus.cases import Case, write
from support.memory import Memory
from support.paths import ROOT

NAME_WIDTH = 40  # in the table
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))


@dataclass(frozen=True)
class Outcome:
    """The outcome of opening or sending a file."""

    error: str  # empty if the photo was shown
    memory: float = 0.0  # megabytes above the idle memory; 0 if not measured
    size: tuple[int, int] = (0, 0)
    quarters: tuple[tuple[int, int, int], ...] = ()
    fault: str = ""  # unexpected behaviour


# ---------------------------------------------------------------- the library


def open_with_library(folder: Path, cases: Iterable[Case]) -> dict[str, Outcome]:
    """Call `open_photo` for each file, in a subprocess that has opened a valid photo before."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "support.entry_points", str(folder), *(case.name for case in cases)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: Outcome(**fields) for name, fields in json.loads(run.stdout).items()}


def _open_each(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    from inception.errors import UserError
    from inception.runtime.memory import trim_heap
    from inception.vision.photo import open_photo

    open_photo(EXAMPLES[0])
    for name in names:
        trim_heap()  # memory left by the previous file must not count as idle memory
        memory = Memory()
        outcome: dict[str, Any] = {"error": ""}
        try:
            photo = open_photo(folder / name)
            outcome |= {
                "size": photo.size,
                "quarters": quarters(photo),
                "fault": "" if photo.mode == "RGB" else photo.mode,
            }
            del photo
        except UserError as error:
            outcome |= {"error": str(error)}
        yield name, {**outcome, "memory": memory.peak}


def quarters(photo: Image.Image) -> list[list[int]]:
    """Return the colours in the middle of each quarter."""
    pixels = np.asarray(photo)
    height, width = pixels.shape[:2]
    return [pixels[int(y * height), int(x * width)].tolist() for y in (0.25, 0.75) for x in (0.25, 0.75)]


# ---------------------------------------------------------------- the command line


# A process inherits its parent's peak memory, and pytest's is gigabytes: this small process starts the command instead.
START_AND_MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run_and_measure(*arguments: str | Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run `python -m inception`; return the process and its peak memory in megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        peak = Path(folder, "peak")
        command = [sys.executable, "-c", START_AND_MEASURE, peak, sys.executable, "-m", "inception", *arguments]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        kilobytes = int(peak.read_text()) / (1 if sys.platform == "linux" else 1024)
    return process, kilobytes / 1024


@cache
def baseline_memory() -> float:
    """Return the peak memory of `predict` for a single valid photo, in megabytes."""
    valid, memory = run_and_measure("predict", EXAMPLES[0])
    assert valid.returncode == 0, valid.stderr
    return memory


def run_predict_files(folder: Path, cases: Iterable[Case]) -> tuple[dict[str, Outcome], str, float]:
    """Run `predict FILE...`; return the outcomes, stderr, and the memory above that for a single valid photo."""
    run, peak = run_and_measure("predict", *(folder / case.name for case in cases), "--json")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    outcomes = {Path(row["photo"]).name: Outcome(row.get("error", "")) for row in rows}
    return outcomes, run.stderr, peak - baseline_memory()


def run_predict_folder(folder: Path, out: Path) -> tuple[dict[str, Outcome], str, float]:
    """Run `predict FOLDER`; return the outcomes, stderr, and the memory above that for a single valid photo."""
    run, peak = run_and_measure("predict", folder, "--out", out, "--json")
    rows = parquet.read_table(out).select(["path", "error"]).to_pylist()
    return {row["path"]: Outcome(row["error"] or "") for row in rows}, run.stderr, peak - baseline_memory()


# ---------------------------------------------------------------- a running server


async def send_to_stage(visitor: Visitor, data: bytes, name: str, *, scene_only: bool = False) -> str:
    """Send a file as the stage does; return the error message, or "" if it is shown.

    Unless `scene_only`, everything that the stage shows of it is requested.
    """
    try:
        visitor.session = uuid4().hex  # so many photos in one session would exceed the rate limit
        if scene_only:
            await visitor.predict(data, name, scene_only=True)
        else:
            await visitor.show_photo(data, name)
    except RefusedError as error:
        return str(error)
    return "" if len(visitor.scene["maps"]) == 9 else f"an odd answer: {visitor.scene}"


async def send_to_api(visitor: Visitor, data: bytes, name: str) -> str:
    """Send a file to the API's `/predict`, as curl would; return the error message, or "" if it succeeds."""
    photo = {"path": await visitor.upload(data, name), "meta": {"_type": "gradio.FileData"}}
    body = {"data": [photo, "tiny-imagenet", 3]}
    submitted = await visitor.client.post(f"{PREFIX}/call/predict", json=body)
    response = await visitor.client.get(f"{PREFIX}/call/predict/{submitted.raise_for_status().json()['event_id']}")
    event, _, data_line = response.text.strip().rpartition("event: ")[2].partition("\n")
    result = json.loads(data_line.removeprefix("data: "))
    if event == "complete":
        return "" if len(result[0]["top"]) == 3 else f"an odd answer: {result}"
    return result if isinstance(result, str) else str((result or {}).get("error"))


async def send_to_server(
    address: str, process: int, cases: list[Case], folder: Path
) -> tuple[dict[str, dict[str, Outcome]], float]:
    """Send each file to the API and to the stage; return the outcomes and the server's peak above its idle memory.

    After each rejected file a valid photo is sent; an error of it becomes the `fault`.
    """
    outcomes: dict[str, dict[str, Outcome]] = {"API": {}, "stage": {}}
    async with Visitor(address) as visitor:
        await warm_up(visitor)
        idle = peak = Memory(process).baseline
        for case in cases:
            data, name = (folder / case.name).read_bytes(), case.sent_as or case.name
            for entry_point, send, send_good in (
                ("API", send_to_api, send_to_api),
                ("stage", send_to_stage, partial(send_to_stage, scene_only=True)),
            ):
                memory = Memory(process)
                try:
                    error = await send(visitor, data, name)
                except httpx.HTTPStatusError as rejection:
                    # The upload itself is rejected if the file is too large.
                    error = rejection.response.json()["error"]
                used = memory.peak
                peak = max(peak, memory.baseline + used)
                fault = await send_good(visitor, EXAMPLES[0].read_bytes(), "good.jpg") if error else ""
                outcomes[entry_point][case.name] = Outcome(error, used, fault=fault)
        return outcomes, peak - idle


async def warm_up(visitor: Visitor) -> None:
    """Fill the server's cache of recent photos, as in the middle of a lesson, to which a phone's photo belongs too."""
    with Image.open(EXAMPLES[0]) as photo:
        large = _png(np.asarray(photo.convert("RGB").resize((4000, 3000))))
    for send in (send_to_api, send_to_stage):
        assert await send(visitor, large, "phone.png") == ""
    for number in range(70):
        with Image.open(EXAMPLES[number % len(EXAMPLES)]) as photo:
            left = 3 * (number // len(EXAMPLES))
            crop = photo.crop((left, 0, left + 200, 200))
        pixels = np.asarray(crop.convert("RGB"))
        for send in (send_to_api, partial(send_to_stage, scene_only=True)):
            assert await send(visitor, _png(pixels), "warm.png") == ""


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


# ---------------------------------------------------------------- the table


def table(folder: Path) -> Iterator[str]:
    """Yield the lines of a Markdown table of the corpus: file, description, outcome, and megabytes above idle."""
    cases = write(folder)
    by_library = open_with_library(folder, cases)
    with running_server("--device", "cpu") as (address, process):
        by_server, _ = asyncio.run(send_to_server(address, process, cases, folder))
    yield "| file | what it is | what happens | MB: library | API | page |"
    yield "|---|---|---|---:|---:|---:|"
    for case in cases:
        name = one_line(case.sent_as or case.name)
        name = f"`{name if len(name) < NAME_WIDTH else name[: NAME_WIDTH // 2] + '…'}`" if name.strip() else "(a space)"
        outcome = by_library[case.name]
        result = (
            "refused: " + outcome.error.split(";")[0].split(". Please")[0].rstrip(".") if outcome.error else "shown"
        )
        memory = " | ".join(
            f"{max(0, outcomes[case.name].memory):.0f}" for outcomes in (by_library, *by_server.values())
        )
        yield f"| {name} | {case.about} | {result} | {memory} |"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(dict(_open_each(Path(sys.argv[1]), sys.argv[2:]))))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            for line in table(Path(temporary)):
                print(line)
