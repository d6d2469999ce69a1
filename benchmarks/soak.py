"""Soak test with the visitors of a class: `python -m benchmarks.soak --minutes 30`.

The app is started as a user does, and thirty visitors send the stage's requests: photos, other blocks, switches,
languages, explanations; from time to time one leaves and another comes. One request in twenty is an invalid photo.
Prints a table, and exits with status 1 if any request failed, except for the refusals of invalid photos, or if memory,
open files or temporary files grew.

Caches fill in the first third of the time; growth is the median of the last third in units of that of the middle third.
What remains after all visitors have left is compared with what there was before they came.
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

from .classroom import CLASS_SIZE, LESSON_BLOCKS, random_photos, resident_bytes
from .measure import machine
from .start import running_server
from .visitors import PREFIX, RefusedError, Visitor

BAD_EVERY = 20
VISIT_REQUESTS = 50  # of a visitor, on average, before another takes their seat
CELL = ("1x1", 0, 0, 0)  # branch, channel, row, column
EXPLANATIONS = ("table", "evidence", "cam", "field", "cell", "kernel")
WORK = {"photo": 5, "block": 8, "switch": 3, "language": 1, "explanation": 4}  # relative frequencies
FAULTS = tuple(say(language, "fault") for language in LANGUAGES)
EXPIRED = tuple(say_error(language, expired_photo_error()) for language in LANGUAGES)
SAMPLES = 60
# Requests in progress account for a few megabytes.
MEMORY_GROWTH, FILES_GROWTH = 1.05, 1.1
LEFT_OPEN = 4  # files after all visitors have left: some connections may still be closing


@dataclass(frozen=True)
class Usage:
    """Resource usage of the server."""

    memory: int  # bytes
    open_files: int
    temporary: int  # files and folders

    @classmethod
    def of(cls, process: int, folder: Path) -> Usage:
        """Measure a server process and its folder of temporary files."""
        return cls(
            resident_bytes(process),
            len(os.listdir(f"/proc/{process}/fd")),  # noqa: PTH208
            len(list(paths_within(folder))),
        )


@dataclass
class SoakResult:
    """Counts of completed and failed requests, and the server's resource usage.

    Attributes:
        completed: number of requests by kind.
        errors: number of failures by message.
        before: usage before the visitors came.
        samples: usage at equal intervals while they were there.
        after: usage after they had left and their photos had expired.
    """

    completed: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    before: Usage = Usage(0, 0, 0)
    samples: list[Usage] = field(default_factory=list)
    after: Usage = Usage(0, 0, 0)

    def third(self, number: int, name: str) -> float:
        """Return the median of the usage `name` in a third of the time, 0 to 2."""
        size = len(self.samples) // 3
        return statistics.median(getattr(usage, name) for usage in self.samples[number * size : (number + 1) * size])

    def growth(self, name: str) -> float:
        """Return the last third's median in units of the middle third's."""
        return self.third(2, name) / max(self.third(1, name), 1)

    def failures(self) -> list[str]:
        """Return a description of every failure; empty if the soak passed."""
        failures = [f"{count} times: {error}" for error, count in self.errors.items()]
        if not self.completed["refused"]:
            failures.append("no bad photo was refused")
        for name, maximum in (("memory", MEMORY_GROWTH), ("open_files", FILES_GROWTH), ("temporary", FILES_GROWTH)):
            if self.growth(name) > maximum:
                failures.append(f"{name} grew to {self.growth(name):.3f} times, more than {maximum}")
        return failures + self.left_behind()

    def left_behind(self) -> list[str]:
        """Return a description of what remains after all visitors have left."""
        failures = []
        if self.after.open_files > self.before.open_files + LEFT_OPEN:
            failures.append(f"{self.after.open_files} files stayed open, {self.before.open_files} before")
        if self.after.temporary > self.before.temporary:
            failures.append(f"{self.after.temporary} temporary files stayed, {self.before.temporary} before")
        return failures

    def table(self) -> str:
        """Format the counts and the usage as a table."""
        lines = [
            f"{sum(self.completed.values())} requests: "
            + ", ".join(f"{n} {kind}" for kind, n in self.completed.items())
        ]
        lines.append(
            f"{'':16}{'before':>9}{'1st third':>11}{'2nd third':>11}{'3rd third':>11}{'growth':>9}{'after':>9}"
        )
        for name, unit, label in (("memory", 2**20, "memory, MiB"), ("open_files", 1, ""), ("temporary", 1, "")):
            thirds = "".join(f"{self.third(number, name) / unit:11.0f}" for number in range(3))
            ends = [getattr(usage, name) / unit for usage in (self.before, self.after)]
            lines.append(
                f"{label or name.replace('_', ' '):16}{ends[0]:9.0f}{thirds}{self.growth(name):9.3f}{ends[1]:9.0f}"
            )
        return "\n".join(lines)


def bad_photos(seed: int = 0) -> Iterator[bytes]:
    """Yield invalid photos in turn: truncated, empty, text, a script, too many pixels in a few bytes, noise."""
    rng = random.Random(seed)
    good = next(random_photos(seed))
    bomb = io.BytesIO()
    Image.new("1", (20000, 20000)).save(bomb, "PNG")
    while True:
        yield good[: rng.randrange(200, len(good) // 2)]
        yield b""
        yield b"no photo " * rng.randrange(1, 100)
        yield b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
        yield bomb.getvalue()
        yield b"\x89PNG\r\n\x1a\n" + rng.randbytes(1000)


class Classroom:
    """Seats that are taken by one visitor after another.

    `keep` is the number of seconds for which the server stores a photo, `pause` the mean seconds between two clicks.
    """

    def __init__(self, address: str, result: SoakResult, keep: float, pause: float) -> None:
        self.address, self.result, self.keep, self.pause = address, result, keep, pause
        self.good, self.bad = random_photos(seed=2), bad_photos()
        self.rng = random.Random(3)
        self.requests = 0

    async def seat(self, deadline: float) -> None:
        """Run visitors one after another until the deadline."""
        while time.monotonic() < deadline:
            try:
                async with _open_page(self.address) as visitor:
                    await self._visit(visitor, deadline)
            except (httpx.HTTPError, RefusedError, AssertionError) as error:
                self.result.errors[f"{type(error).__name__}: {error}"[:300]] += 1
                await asyncio.sleep(1)

    async def _visit(self, visitor: Visitor, deadline: float) -> None:
        sent = -self.keep
        for _ in range(self.rng.randrange(VISIT_REQUESTS // 2, VISIT_REQUESTS * 3 // 2)):
            if time.monotonic() >= deadline:
                return
            self.requests += 1
            (kind,) = self.rng.choices(list(WORK), list(WORK.values()))
            if time.monotonic() > sent + self.keep / 2:
                kind = "photo"
            if self.requests % BAD_EVERY == 0:
                kind = "refused"
            try:
                await getattr(self, f"_{kind}")(visitor)
            except RefusedError as refusal:
                if str(refusal) not in EXPIRED:
                    raise
                self.result.completed["expired"] += 1  # the machine is slow; not an error
                sent = -self.keep
            if kind in ("photo", "refused"):
                sent = time.monotonic()
            await asyncio.sleep(self.rng.uniform(0, 2 * self.pause))

    async def _photo(self, visitor: Visitor) -> None:
        await visitor.show_photo(next(self.good))
        assert len(visitor.scene["maps"]) == 9, "a photo got no maps"
        self.result.completed["photos"] += 1

    async def _refused(self, visitor: Visitor) -> None:
        refusal = ""
        try:
            await visitor.show_photo(next(self.bad))
        except RefusedError as error:
            refusal = str(error)
        assert refusal, "a bad photo was accepted"
        assert refusal not in FAULTS, f"a bad photo caused an internal error: {refusal}"
        self.result.completed["refused"] += 1
        await self._photo(visitor)

    async def _block(self, visitor: Visitor) -> None:
        block = self.rng.choice(LESSON_BLOCKS)
        await visitor.unfold(block)
        assert visitor.shown["block"]["block"] == block, f"the channels are not those of {block}"
        self.result.completed["blocks"] += 1

    async def _switch(self, visitor: Visitor) -> None:
        off = {visitor.block: [self.rng.choice(list(BRANCHES))]}
        scene = await visitor.switch(off)
        assert scene["off"] == off, "the wrong branch is off"
        self.result.completed["switches"] += 1

    async def _language(self, visitor: Visitor) -> None:
        visitor.language = self.rng.choice(LANGUAGES)  # of later refusals
        self.result.completed["languages"] += 1

    async def _explanation(self, visitor: Visitor) -> None:
        event = self.rng.choice(EXPLANATIONS)
        arguments = {"evidence": (None,), "cam": (visitor.block, None), "field": (visitor.block,), "table": ()}
        explanation = await visitor.request(event, visitor.subject, *arguments.get(event, (visitor.block, *CELL)))
        assert explanation, f"{event} is empty"
        self.result.completed["explanations"] += 1


@asynccontextmanager
async def _open_page(address: str) -> AsyncIterator[Visitor]:
    """Open a visitor with a heartbeat connection, which tells the server that the page is open, as browsers do."""
    async with Visitor(address) as visitor:

        async def keep_alive() -> None:
            url = f"{PREFIX}/heartbeat/{visitor.session}"
            with suppress(httpx.HTTPError):
                async with visitor.client.stream("GET", url) as heartbeat:
                    async for _ in heartbeat.aiter_raw():
                        pass

        connection = asyncio.create_task(keep_alive())
        try:
            yield visitor
        finally:
            connection.cancel()
            await asyncio.gather(connection, return_exceptions=True)


async def run_visitors(
    address: str, process: int, folder: Path, *, seconds: float, keep: float, visitors: int, pause: float
) -> SoakResult:
    """Run visitors for `seconds`; `keep` is how many seconds the server stores uploads."""
    result, initial_paths = SoakResult(), len(list(paths_within(folder)))
    # Memory that the first visitor adds, such as lazily imported modules, is not growth.
    first = Classroom(address, SoakResult(), keep, pause=0)
    async with _open_page(address) as visitor:
        await first._photo(visitor)
        await first._refused(visitor)
    await _wait_for_clean_up(folder, keep, initial_paths)
    result.before = Usage.of(process, folder)
    begin = time.monotonic()
    classroom = Classroom(address, result, keep, pause)
    seats = [asyncio.create_task(classroom.seat(begin + seconds)) for _ in range(visitors)]
    for number in range(SAMPLES):
        await asyncio.sleep(max(0.0, begin + seconds * (number + 1) / SAMPLES - time.monotonic()))
        result.samples.append(Usage.of(process, folder))
    await asyncio.gather(*seats)
    await _wait_for_clean_up(folder, keep, initial_paths)
    result.after = Usage.of(process, folder)
    return result


async def _wait_for_clean_up(folder: Path, keep: float, initial_paths: int) -> None:
    """Wait until the server has deleted all uploads, for at most about three times as long as it stores them."""
    deadline = time.monotonic() + 3 * keep + 5
    while len(list(paths_within(folder))) > initial_paths and time.monotonic() < deadline:
        await asyncio.sleep(0.2)


def soak(
    minutes: float, visitors: int = CLASS_SIZE, pause: float = 1.0, keep_minutes: float | None = None
) -> tuple[SoakResult, str]:
    """Run a server and its visitors; return the result and the server's log."""
    keep = keep_minutes or min(2.0, minutes / 6)
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile("w+") as log:
        os.environ["GRADIO_TEMP_DIR"] = name
        try:
            with running_server("--keep-minutes", str(keep), log=log) as (address, process):
                run = run_visitors(
                    address,
                    process,
                    Path(name),
                    seconds=minutes * 60,
                    keep=keep * 60,
                    visitors=visitors,
                    pause=pause,
                )
                result = asyncio.run(run)
        finally:
            if before is None:
                del os.environ["GRADIO_TEMP_DIR"]
            else:
                os.environ["GRADIO_TEMP_DIR"] = before
        log.seek(0)
        return result, log.read()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="duration (default: 30)")
    parser.add_argument("--visitors", type=int, default=CLASS_SIZE, help="simultaneous visitors (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between two clicks (default: 1)")
    options = parser.parse_args(arguments)
    print(machine())
    result, log = soak(options.minutes, options.visitors, options.pause)
    print(result.table())
    failures = result.failures() + ([f"the server's log: {log}"] if "Traceback" in log else [])
    print("\n".join(failures) or "no error, no growth, nothing left behind")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
