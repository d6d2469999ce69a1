"""Files sent every way there is, and what memory each took: library, command line, API and stage.

Memory is what the system counts: the highest that a process had (VmHWM, which `clear_refs` sets back) above what
it had at rest. `make corpus` prints the corpus's table for docs/robustness.md.
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

NAME_SHOWN = 40  # letters, in the table
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))


@dataclass(frozen=True)
class Told:
    """What became of a file: the sentence, empty where it was shown, and megabytes above rest (0: not measured)."""

    sentence: str
    memory: float = 0.0
    size: tuple[int, int] = (0, 0)
    quarters: tuple[tuple[int, int, int], ...] = ()
    odd: str = ""  # what should not have happened


# ---------------------------------------------------------------- the library


def by_library(folder: Path, made: Iterable[Case]) -> dict[str, Told]:
    """`open_photo` in a process of its own, which has opened a good photo before."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "support.entry_points", str(folder), *(case.name for case in made)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: Told(**told) for name, told in json.loads(run.stdout).items()}


def _in_child(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    from inception.errors import UserError
    from inception.runtime.memory import trim_heap
    from inception.vision.photo import open_photo

    open_photo(EXAMPLES[0])
    for name in names:
        trim_heap()  # else what the one before left would be taken for rest
        memory = Memory()
        told: dict[str, Any] = {"sentence": ""}
        try:
            photo = open_photo(folder / name)
            told |= {"size": photo.size, "quarters": quarters(photo), "odd": "" if photo.mode == "RGB" else photo.mode}
            del photo
        except UserError as error:
            told |= {"sentence": str(error)}
        yield name, {**told, "memory": memory.highest}


def quarters(photo: Image.Image) -> list[list[int]]:
    """The colours in the middles of the four quarters."""
    pixels = np.asarray(photo)
    height, width = pixels.shape[:2]
    return [pixels[int(y * height), int(x * width)].tolist() for y in (0.25, 0.75) for x in (0.25, 0.75)]


# ---------------------------------------------------------------- the command line


def by_command(*arguments: str | Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """`python -m inception`: what it said, and the most megabytes that it had."""
    command = [sys.executable, "-m", "inception", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said = subprocess.CompletedProcess(command, process.returncode, out.read(), err.read())
    return said, used.ru_maxrss / 1024


def by_predict(folder: Path, made: Iterable[Case]) -> tuple[dict[str, Told], str, float]:
    """`predict FILE...`: what became of each, stderr, and the memory above that of a good photo alone."""
    good, rest = by_command("predict", EXAMPLES[0])
    assert good.returncode == 0, good.stderr
    said, most = by_command("predict", *(folder / case.name for case in made), "--json")
    rows = [json.loads(line) for line in said.stdout.splitlines()]
    return {Path(row["photo"]).name: Told(row.get("error", "")) for row in rows}, said.stderr, most - rest


def by_folder(folder: Path, out: Path) -> tuple[dict[str, Told], str, float]:
    """`predict FOLDER`, the same way."""
    _, rest = by_command("predict", EXAMPLES[0])
    said, most = by_command("predict", folder, "--out", out, "--json")
    rows = parquet.read_table(out).select(["path", "error"]).to_pylist()
    return {row["path"]: Told(row["error"] or "") for row in rows}, said.stderr, most - rest


# ---------------------------------------------------------------- a running server


async def by_stage(visitor: Visitor, data: bytes, name: str) -> str:
    """The stage's own way: what is said of a file, empty where it is answered."""
    try:
        visitor.session = uuid4().hex  # of one visitor, so many photos would be too many requests
        await visitor.show_photo(data, name)
    except RefusedError as refusal:
        return str(refusal)
    return "" if len(visitor.scene["maps"]) == 9 else f"an odd answer: {visitor.scene}"


async def by_api(visitor: Visitor, data: bytes, name: str) -> str:
    """The API's `/predict`, as curl would ask it: the sentence, empty where it answers."""
    photo = {"path": await visitor.upload(data, name), "meta": {"_type": "gradio.FileData"}}
    asked = {"data": [photo, "tiny-imagenet", 3]}
    begun = await visitor.client.post(f"{PREFIX}/call/predict", json=asked)
    told = await visitor.client.get(f"{PREFIX}/call/predict/{begun.raise_for_status().json()['event_id']}")
    event, _, data_line = told.text.strip().rpartition("event: ")[2].partition("\n")
    answer = json.loads(data_line.removeprefix("data: "))
    if event == "complete":
        return "" if len(answer[0]["top"]) == 3 else f"an odd answer: {answer}"
    return answer if isinstance(answer, str) else str((answer or {}).get("error"))


async def through_server(
    address: str, process: int, made: list[Case], folder: Path
) -> tuple[dict[str, dict[str, Told]], float]:
    """Each file by API and by stage, and the most that the server had at any time above its rest before them all.

    After each bad one a good photo must be answered, or `odd` tells.
    """
    told: dict[str, dict[str, Told]] = {"API": {}, "stage": {}}
    async with Visitor(address) as visitor:
        await warmed(visitor)
        rest = most = Memory(process).rest
        for case in made:
            data, name = (folder / case.name).read_bytes(), case.sent_as or case.name
            for way, send in (("API", by_api), ("stage", by_stage)):
                memory = Memory(process)
                try:
                    sentence = await send(visitor, data, name)
                except httpx.HTTPStatusError as refused:
                    # What is too large is not even stored.
                    sentence = refused.response.json()["error"]
                highest = memory.highest
                most = max(most, memory.rest + highest)
                odd = await send(visitor, EXAMPLES[0].read_bytes(), "good.jpg") if sentence else ""
                told[way][case.name] = Told(sentence, highest, odd=odd)
        return told, most - rest


async def warmed(visitor: Visitor) -> None:
    """The server as it is at rest in the middle of a lesson: what it remembers of recent photos is full."""
    for number in range(70):
        with Image.open(EXAMPLES[number % len(EXAMPLES)]) as photo:
            left = 3 * (number // len(EXAMPLES))
            part = photo.crop((left, 0, left + 200, 200))
        data = np.asarray(part.convert("RGB"))
        for send in (by_api, by_stage):
            assert await send(visitor, _png(data), "warm.png") == ""


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


# ---------------------------------------------------------------- the table


def table(folder: Path) -> Iterator[str]:
    """The corpus as a Markdown table: file, what it is, what happens, megabytes above rest."""
    made = write(folder)
    alone = by_library(folder, made)
    with running_server("--device", "cpu") as (address, process):
        served_ones, _ = asyncio.run(through_server(address, process, made, folder))
    yield "| file | what it is | what happens | MB: library | API | stage |"
    yield "|---|---|---|---:|---:|---:|"
    for case in made:
        name = one_line(case.sent_as or case.name)
        name = f"`{name if len(name) < NAME_SHOWN else name[: NAME_SHOWN // 2] + '…'}`" if name.strip() else "(a blank)"
        one = alone[case.name]
        happens = "refused: " + one.sentence.split(";")[0].split(". Please")[0].rstrip(".") if one.sentence else "shown"
        memory = " | ".join(f"{max(0, told[case.name].memory):.0f}" for told in (alone, *served_ones.values()))
        yield f"| {name} | {case.about} | {happens} | {memory} |"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(dict(_in_child(Path(sys.argv[1]), sys.argv[2:]))))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            for line in table(Path(temporary)):
                print(line)
