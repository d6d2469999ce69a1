"""Thirty simultaneous visitors: `python -m benchmarks.classroom`.

The app is started as a user does, with the embedded model; the visitors send the stage's requests from the same
machine. No two photos are the same.

- `class-of-thirty`: thirty visitors send a photo simultaneously. Time until all have their answers, per visitor, in
  units of the time to one answer when they are sent one after another. Channels and votes are requested with the photo.
- `class-memory`: the server's resident memory after thirty visitors (each a photo, five blocks, a switch, the evidence)
  or after 2,000 further requests, whichever is more, in units of that after one visitor, with compiled engines.
- `class-growth`: resident memory after those 2,000 requests, in units of that after the first 1,000.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from inception.service.service import COMPILE_AFTER

from .measure import Row, machine, row_of_ratios
from .start import ROOT, running_server
from .visitors import Visitor, open_visitors

CLASS_SIZE = 30
LESSON_BLOCKS = ("3b", "4a", "4c", "4e", "5b")
FURTHER_REQUESTS = 2000
COMPILED_AFTER = COMPILE_AFTER + 10  # seconds after which a server has compiled its engines
PHOTO_EVERY = 10  # of the further requests; the others choose a block


def random_photos(seed: int = 0) -> Iterator[bytes]:
    """Yield JPEG files of 500x375 pixels, random crops of the example photos."""
    rng = random.Random(seed)
    examples = [Image.open(path).convert("RGB") for path in sorted((ROOT / "examples").glob("*.jpg"))]
    while True:
        photo = rng.choice(examples)
        width = rng.uniform(0.6, 1) * min(photo.width, photo.height * 4 / 3)
        left, top = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - width * 0.75)
        box = (left, top, left + width, top + width * 0.75)
        file = io.BytesIO()
        photo.resize((500, 375), box=box).save(file, "JPEG", quality=90)
        yield file.getvalue()


async def measure_class(address: str, rounds: int) -> Row:
    photos, visitors = random_photos(), await open_visitors(address, CLASS_SIZE)
    ratios = []
    # One round to warm up.
    for number in range(rounds + 1):
        sequential = 0.0
        for visitor, photo in zip(visitors, list(itertools.islice(photos, CLASS_SIZE)), strict=True):
            begin = time.perf_counter()
            await visitor.predict(photo, scene_only=True)
            sequential += time.perf_counter() - begin
            await visitor.unfold(LESSON_BLOCKS[0])
        batch = list(itertools.islice(photos, CLASS_SIZE))
        begin = time.perf_counter()
        # What the stage requests after the first answers delays the last ones.
        ends = await asyncio.gather(
            *(_answer_end(visitor, photo) for visitor, photo in zip(visitors, batch, strict=True))
        )
        if number:
            ratios.append((max(ends) - begin) / sequential)
    await _close(visitors)
    return row_of_ratios("class-of-thirty", ratios, 0.6)


async def _answer_end(visitor: Visitor, photo: bytes) -> float:
    """Show a photo; return when its answer arrived."""
    await visitor.predict(photo)
    end = time.perf_counter()
    await visitor.unfold(LESSON_BLOCKS[0])
    return end


async def measure_memory(address: str, process: int) -> list[Row]:
    photos, rng = random_photos(seed=1), random.Random(1)
    (first,) = await open_visitors(address, 1)
    await _lesson(first, next(photos))
    await asyncio.sleep(COMPILED_AFTER)
    after_one = resident_bytes(process)
    visitors = await open_visitors(address, CLASS_SIZE)
    await asyncio.gather(*(_lesson(visitor, next(photos)) for visitor in visitors))
    after_class = resident_bytes(process)

    async def send_further(visitor: Visitor, requests: int) -> None:
        for number in range(requests):
            if number % PHOTO_EVERY == 0:
                await visitor.show_photo(next(photos))
            else:
                await visitor.unfold(rng.choice(LESSON_BLOCKS))

    sizes = []
    for _ in range(2):
        await asyncio.gather(*(send_further(visitor, -(-FURTHER_REQUESTS // (2 * CLASS_SIZE))) for visitor in visitors))
        sizes.append(resident_bytes(process))
    await _close([first, *visitors])
    ratio = max(after_class, *sizes) / after_one
    return [
        Row("class-memory", ratio, 1.5, (after_class / after_one, sizes[-1] / after_one)),
        Row("class-growth", sizes[1] / sizes[0], 1.05, (sizes[1] / sizes[0],) * 2),
    ]


async def _lesson(visitor: Visitor, photo: bytes) -> None:
    await visitor.show_photo(photo)
    for block in LESSON_BLOCKS:
        await visitor.unfold(block)
    await visitor.switch({LESSON_BLOCKS[-1]: ["3x3"]})
    await visitor.request("evidence", visitor.subject, None)


async def _close(visitors: list[Visitor]) -> None:
    for visitor in visitors:
        await visitor.__aexit__(None, None, None)


def resident_bytes(process: int) -> int:
    """Return the resident memory (RSS) of a process, on Linux."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("This system does not report the memory of a process.")


def rows(rounds: int = 5) -> list[Row]:
    with running_server() as (address, process):
        memory_rows = asyncio.run(measure_memory(address, process))
        return [asyncio.run(measure_class(address, rounds)), *memory_rows]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
