"""A class that stays for half an hour: `python -m benchmarks.soak --minutes 30`.

The stage is started as a user starts it and used through its own events by thirty visitors, who do what visitors do:
photos, other blocks, switches, languages, explanations; now and then one leaves and another comes.
One request in twenty is a photo that is none. Prints a table, and ends with 1 if anything was an error but
the refusals of those, or if memory, open files or temporary files grew.

The first third of the time is for caches to fill; growth is the last third's median in units of the middle
third's. What is there after everybody has left is compared with what was there before they came.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from PIL import Image

from inception.network.blocks import BRANCHES
from inception.web.http.uploads import expired_photo_error, paths_within
from inception.web.words import LANGUAGES, say, say_error

from .classroom import BLOCKS, CLASS, photos, resident
from .measure import machine
from .start import served
from .visitors import PREFIX, RefusedError, Visitor

BAD_EVERY = 20
STAY = 50  # requests of a visitor, after whom another comes
CELL = ("1x1", 0, 0, 0)  # branch, channel, row, column
EXPLANATIONS = ("table", "evidence", "cam", "cell", "kernel")
WORK = {"photo": 5, "block": 8, "switch": 3, "language": 1, "explanation": 4}  # how often, in proportion
FAULTS = tuple(say(language, "fault") for language in LANGUAGES)
GONE = tuple(say_error(language, expired_photo_error()) for language in LANGUAGES)
SAMPLES = 60
# A few megabytes come and go with what is under way.
MEMORY_GROWTH, FILES_GROWTH = 1.05, 1.1
LEFT_OPEN = 4  # files, after everybody left: a connection may take its time to close


@dataclass(frozen=True)
class Held:
    """What the server holds at one moment."""

    memory: int  # bytes
    open_files: int
    temporary: int  # files and folders

    @classmethod
    def of(cls, process: int, folder: Path) -> Held:
        return cls(resident(process), len(os.listdir(f"/proc/{process}/fd")), len(list(paths_within(folder))))  # noqa: PTH208


@dataclass
class Told:
    """What came of it."""

    done: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    rest: Held = Held(0, 0, 0)  # before the visitors came
    held: list[Held] = field(default_factory=list)
    after: Held = Held(0, 0, 0)  # when they had left and their photos' time was over

    def third(self, number: int, name: str) -> float:
        """The median of `name` over one third of the time."""
        part = len(self.held) // 3
        return statistics.median(getattr(held, name) for held in self.held[number * part : (number + 1) * part])

    def growth(self, name: str) -> float:
        """From the middle third to the last."""
        return self.third(2, name) / max(self.third(1, name), 1)

    def failures(self) -> list[str]:
        """What was not as it should be, in words; the list is empty if all was well."""
        failures = [f"{count} times: {error}" for error, count in self.errors.items()]
        if not self.done["refused"]:
            failures.append("no bad photo was refused")
        for name, most in (("memory", MEMORY_GROWTH), ("open_files", FILES_GROWTH), ("temporary", FILES_GROWTH)):
            if self.growth(name) > most:
                failures.append(f"{name} grew to {self.growth(name):.3f} times, more than {most}")
        return failures + self.left_behind()

    def left_behind(self) -> list[str]:
        """What is still there though everybody has left."""
        failures = []
        if self.after.open_files > self.rest.open_files + LEFT_OPEN:
            failures.append(f"{self.after.open_files} files stayed open, {self.rest.open_files} before")
        if self.after.temporary > self.rest.temporary:
            failures.append(f"{self.after.temporary} temporary files stayed, {self.rest.temporary} before")
        return failures

    def table(self) -> str:
        lines = [f"{sum(self.done.values())} requests: " + ", ".join(f"{n} {kind}" for kind, n in self.done.items())]
        lines.append(
            f"{'':16}{'before':>9}{'1st third':>11}{'2nd third':>11}{'3rd third':>11}{'growth':>9}{'after':>9}"
        )
        for name, unit, label in (("memory", 2**20, "memory, MiB"), ("open_files", 1, ""), ("temporary", 1, "")):
            thirds = "".join(f"{self.third(number, name) / unit:11.0f}" for number in range(3))
            ends = [getattr(held, name) / unit for held in (self.rest, self.after)]
            lines.append(
                f"{label or name.replace('_', ' '):16}{ends[0]:9.0f}{thirds}{self.growth(name):9.3f}{ends[1]:9.0f}"
            )
        return "\n".join(lines)


def bad_photos(seed: int = 0) -> Iterator[bytes]:
    """Files that are no photos, in turn: cut off, empty, text, a script, too many pixels in a few bytes, noise."""
    chance = random.Random(seed)
    good = next(photos(seed))
    bomb = io.BytesIO()
    Image.new("1", (20000, 20000)).save(bomb, "PNG")
    while True:
        yield good[: chance.randrange(200, len(good) // 2)]
        yield b""
        yield b"no photo " * chance.randrange(1, 100)
        yield b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
        yield bomb.getvalue()
        yield b"\x89PNG\r\n\x1a\n" + chance.randbytes(1000)


class Class:
    """Thirty seats, and who sits there in turn.

    `keep` is for how many seconds the server keeps a photo, `pause` how many there are between two clicks.
    """

    def __init__(self, address: str, told: Told, keep: float, pause: float) -> None:
        self.address, self.told, self.keep, self.pause = address, told, keep, pause
        self.good, self.bad = photos(seed=2), bad_photos()
        self.chance = random.Random(3)
        self.requests = 0

    async def seat(self, end: float) -> None:
        """Visitors, one after the other, until the time is over."""
        while time.monotonic() < end:
            try:
                async with _open_page(self.address) as guest:
                    await self._stay(guest, end)
            except (httpx.HTTPError, RefusedError, AssertionError) as error:
                self.told.errors[f"{type(error).__name__}: {error}"[:300]] += 1
                await asyncio.sleep(1)

    async def _stay(self, guest: Visitor, end: float) -> None:
        sent = -self.keep
        for _ in range(self.chance.randrange(STAY // 2, STAY * 3 // 2)):
            if time.monotonic() >= end:
                return
            self.requests += 1
            (kind,) = self.chance.choices(list(WORK), list(WORK.values()))
            if time.monotonic() > sent + self.keep / 2:
                kind = "photo"
            if self.requests % BAD_EVERY == 0:
                kind = "refused"
            try:
                await getattr(self, f"_{kind}")(guest)
            except RefusedError as refusal:
                if str(refusal) not in GONE:
                    raise
                self.told.done["gone"] += 1  # a slow machine, and no error
                sent = -self.keep
            if kind in ("photo", "refused"):
                sent = time.monotonic()
            # As many photos as there are seconds in a lesson come from nobody.
            await asyncio.sleep(self.chance.uniform(0, 2 * self.pause))

    async def _photo(self, guest: Visitor) -> None:
        await guest.photo(next(self.good))
        assert len(guest.scene["maps"]) == 9, "a photo got no maps"
        self.told.done["photos"] += 1

    async def _refused(self, guest: Visitor) -> None:
        refusal = ""
        try:
            await guest.photo(next(self.bad))
        except RefusedError as error:
            refusal = str(error)
        assert refusal, "a bad photo was answered"
        assert refusal not in FAULTS, f"a bad photo was not refused: {refusal}"
        self.told.done["refused"] += 1
        await self._photo(guest)

    async def _block(self, guest: Visitor) -> None:
        block = self.chance.choice(BLOCKS)
        await guest.unfold(block)
        assert guest.shown["block"]["block"] == block, f"the channels are not those of {block}"
        self.told.done["blocks"] += 1

    async def _switch(self, guest: Visitor) -> None:
        off = {guest.block: [self.chance.choice(list(BRANCHES))]}
        scene = await guest.switch(off)
        assert scene["off"] == off, "another branch is off"
        self.told.done["switches"] += 1

    async def _language(self, guest: Visitor) -> None:
        guest.language = self.chance.choice(LANGUAGES)  # of what the server refuses from now on
        self.told.done["languages"] += 1

    async def _explanation(self, guest: Visitor) -> None:
        event = self.chance.choice(EXPLANATIONS)
        place = {"evidence": (None,), "cam": (guest.block, None), "table": ()}
        answer = await guest.ask(event, guest.subject, *place.get(event, (guest.block, *CELL)))
        assert answer, f"{event} is empty"
        self.told.done["explanations"] += 1


@asynccontextmanager
async def _open_page(address: str) -> AsyncIterator[Visitor]:
    """A visitor whose page tells the server that it is open, as a browser does."""
    async with Visitor(address) as guest:

        async def alive() -> None:
            way = f"{PREFIX}/heartbeat/{guest.session}"
            with suppress(httpx.HTTPError):
                async with guest.client.stream("GET", way) as beats:
                    async for _ in beats.aiter_raw():
                        pass

        open_page = asyncio.create_task(alive())
        try:
            yield guest
        finally:
            open_page.cancel()
            await asyncio.gather(open_page, return_exceptions=True)


async def stay(
    address: str, process: int, folder: Path, *, seconds: float, keep: float, visitors: int, pause: float
) -> Told:
    """Have visitors for so many seconds; `keep` is how long the server keeps what they send."""
    told, nothing = Told(), len(list(paths_within(folder)))
    # What the first visitor brings into memory, as code, is no growth.
    first = Class(address, Told(), keep, pause=0)
    async with _open_page(address) as guest:
        await first._photo(guest)
        await first._refused(guest)
    await _empty(folder, keep, nothing)
    told.rest = Held.of(process, folder)
    begin = time.monotonic()
    lesson = Class(address, told, keep, pause)
    seats = [asyncio.create_task(lesson.seat(begin + seconds)) for _ in range(visitors)]
    for number in range(SAMPLES):
        await asyncio.sleep(max(0.0, begin + seconds * (number + 1) / SAMPLES - time.monotonic()))
        told.held.append(Held.of(process, folder))
    await asyncio.gather(*seats)
    await _empty(folder, keep, nothing)
    told.after = Held.of(process, folder)
    return told


async def _empty(folder: Path, keep: float, nothing: int) -> None:
    """Wait until the server has deleted what was sent; for three times as long as it says at the most."""
    end = time.monotonic() + 3 * keep + 5
    while len(list(paths_within(folder))) > nothing and time.monotonic() < end:
        await asyncio.sleep(0.2)


def soak(
    minutes: float, visitors: int = CLASS, pause: float = 1.0, keep_minutes: float | None = None
) -> tuple[Told, str]:
    """What came of it, and what the server wrote into its log."""
    keep = keep_minutes or min(2.0, minutes / 6)
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile("w+") as log:
        os.environ["GRADIO_TEMP_DIR"] = name
        try:
            with served("--keep-minutes", str(keep), log=log) as (address, process):
                work = stay(
                    address,
                    process,
                    Path(name),
                    seconds=minutes * 60,
                    keep=keep * 60,
                    visitors=visitors,
                    pause=pause,
                )
                told = asyncio.run(work)
        finally:
            if before is None:
                del os.environ["GRADIO_TEMP_DIR"]
            else:
                os.environ["GRADIO_TEMP_DIR"] = before
        log.seek(0)
        return told, log.read()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="for how long (default: 30)")
    parser.add_argument("--visitors", type=int, default=CLASS, help="how many at once (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two clicks, in the mean (default: 1)")
    options = parser.parse_args(arguments)
    print(machine())
    told, log = soak(options.minutes, options.visitors, options.pause)
    print(told.table())
    failures = told.failures() + ([f"the server's log: {log}"] if "Traceback" in log else [])
    print("\n".join(failures) or "no error, no growth, nothing left behind")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
