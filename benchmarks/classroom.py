"""Thirty visitors at once: `python -m benchmarks.classroom`.

The stage is started as a user starts it, with the embedded model, and used through its own events;
those who use it run beside it on the same cores. No two photos are the same.

- `class-of-thirty`: thirty send a photo at the same moment: time until all have their answers, for each, in
  units of the time to an answer when they come one after another. Channels and votes are requested at the same time.
- `class-memory`: resident memory of the server, in units of what it has after one visitor, with its engines compiled:
  after thirty visitors (each a photo, five blocks, a switch, the evidence), and after 2,000 further requests, whichever
  is more.
- `class-growth`: resident memory after those 2,000 requests, in units of that after 1,000 of them.
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

from .measure import Row, machine, row
from .start import ROOT, served
from .visitors import Visitor, visitors

CLASS = 30
BLOCKS = ("3b", "4a", "4c", "4e", "5b")
FURTHER = 2000
COMPILED_AFTER = COMPILE_AFTER + 10  # seconds in which a server has compiled its engines
PHOTO_EVERY = 10  # of the further requests; the others choose a block


def photos(seed: int = 0) -> Iterator[bytes]:
    """JPEG files of 500x375 pixels, cut at random out of the example photos."""
    chance = random.Random(seed)
    examples = [Image.open(path).convert("RGB") for path in sorted((ROOT / "examples").glob("*.jpg"))]
    while True:
        photo = chance.choice(examples)
        width = chance.uniform(0.6, 1) * min(photo.width, photo.height * 4 / 3)
        left, top = chance.uniform(0, photo.width - width), chance.uniform(0, photo.height - width * 0.75)
        box = (left, top, left + width, top + width * 0.75)
        file = io.BytesIO()
        photo.resize((500, 375), box=box).save(file, "JPEG", quality=90)
        yield file.getvalue()


async def thirty(address: str, rounds: int) -> Row:
    camera, guests = photos(), await visitors(address, CLASS)
    ratios = []
    # One round to warm up.
    for number in range(rounds + 1):
        alone = 0.0
        for guest, photo in zip(guests, list(itertools.islice(camera, CLASS)), strict=True):
            begin = time.perf_counter()
            await guest.answer(photo, alone=True)
            alone += time.perf_counter() - begin
            await guest.unfold(BLOCKS[0])
        taken = list(itertools.islice(camera, CLASS))
        begin = time.perf_counter()
        # What the stage goes on to show the first of them is in the way of the last.
        ends = await asyncio.gather(*(_answered(guest, photo) for guest, photo in zip(guests, taken, strict=True)))
        if number:
            ratios.append((max(ends) - begin) / alone)
    await _leave(guests)
    return row("class-of-thirty", ratios, 0.6)


async def _answered(guest: Visitor, photo: bytes) -> float:
    await guest.answer(photo)
    end = time.perf_counter()
    await guest.unfold(BLOCKS[0])
    return end


async def memory(address: str, process: int) -> list[Row]:
    camera, chance = photos(seed=1), random.Random(1)
    (first,) = await visitors(address, 1)
    await _visit(first, next(camera))
    await asyncio.sleep(COMPILED_AFTER)
    one = resident(process)
    guests = await visitors(address, CLASS)
    await asyncio.gather(*(_visit(guest, next(camera)) for guest in guests))
    many = resident(process)

    async def further(guest: Visitor, requests: int) -> None:
        for number in range(requests):
            if number % PHOTO_EVERY == 0:
                await guest.photo(next(camera))
            else:
                await guest.unfold(chance.choice(BLOCKS))

    sizes = []
    for _ in range(2):
        await asyncio.gather(*(further(guest, -(-FURTHER // (2 * CLASS))) for guest in guests))
        sizes.append(resident(process))
    await _leave([first, *guests])
    after = max(many, *sizes) / one
    return [
        Row("class-memory", after, 1.5, (many / one, sizes[-1] / one)),
        Row("class-growth", sizes[1] / sizes[0], 1.05, (sizes[1] / sizes[0],) * 2),
    ]


async def _visit(guest: Visitor, photo: bytes) -> None:
    await guest.photo(photo)
    for block in BLOCKS:
        await guest.unfold(block)
    await guest.switch({BLOCKS[-1]: ["3x3"]})
    await guest.ask("evidence", guest.subject, None)


async def _leave(guests: list[Visitor]) -> None:
    for guest in guests:
        await guest.__aexit__(None, None, None)


def resident(process: int) -> int:
    """Bytes of memory that a process has, on Linux."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("This system does not say how much memory a process has.")


def rows(rounds: int = 5) -> list[Row]:
    with served() as (address, process):
        told = asyncio.run(memory(address, process))
        return [asyncio.run(thirty(address, rounds)), *told]


if __name__ == "__main__":
    print(machine())
    for told in rows():
        print(told)
