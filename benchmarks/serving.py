"""Replicas behind Ray Serve: `python -m benchmarks.serving`, for docs/capacity.md. On Linux.

First rows, each how long 64 photos take that are asked for by 32 threads, without a page:

- `serving-overhead`: one replica with all cores, in units of the runner in this process, which has all cores too.
- `serving-two`: two replicas with half of the cores each, in units of one replica with half of the cores. Whoever asks
  needs cores too, so that on a machine of two this is more than a half.

Then absolute figures, which hold for the machine that is named above them: photos per second (the median of the
rounds), and the core-seconds that a click costs in the page's process and in the replicas. Those are times of work
and not of waiting; another's work beside it raises them only by what it takes of the processors' caches.

With `--plan` the machines that so many students need, from these figures and from what is given as options.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from inception.runtime.device import choose_device
from inception.runtime.threads import available_cores
from inception.service.backend import Backend, LocalBackend
from inception.service.query import Query
from inception.service.ray.cluster import cluster, replicas
from inception.service.ray.scale import Scale
from inception.service.service import InferenceService

from .classroom import photos
from .measure import Row, compared, machine
from .start import served
from .visitors import Visitor, visitors

PHOTOS, THREADS = 64, 32
BOUNDS = {"serving-overhead": 1.3, "serving-two": 0.75}
BLOCKS = ("3b", "4a", "4c", "4e", "5b")
CELL = ("1x1", 0, 0, 0)  # branch, channel, row, column
STUDENTS = (100, 1000, 10_000)


# ---------------------------------------------------------------- photos per second


@dataclass(frozen=True)
class Speed:
    """Photos per second of one runner, and the cores that it had."""

    name: str
    photos: float
    cores: int

    def __str__(self) -> str:
        return f"| {self.name} | {self.photos:.0f} | {self.photos / self.cores:.0f} |"


def asked(backend: Backend, service: InferenceService, queries: Sequence[Query]) -> Callable[[], object]:
    """All photos, by as many threads as a page sends at the same moment."""
    pretrained = service.pretrained(queries[0].model)

    def work() -> object:
        with ThreadPoolExecutor(THREADS) as pool:
            return [seen.seconds for seen in pool.map(lambda query: backend.predict(pretrained, query), queries)]

    return work


def throughput(model: str, rounds: int) -> tuple[list[Row], list[Speed]]:
    """The rows and what they were made of, all in one run."""
    models, half = (model,), max(1, available_cores() // 2)
    service = InferenceService(models, choose_device("cpu"))
    queries = [service.query(service.models[0], photo) for photo in itertools.islice(photos(), PHOTOS)]
    with (
        cluster(available_cores() + 3 * half),
        replicas(models, Scale(cpus=available_cores())) as whole,
        replicas(models, Scale(cpus=half)) as one,
        replicas(models, Scale(2, 2, half)) as two,
    ):
        runners = {
            "this process": (LocalBackend(), available_cores()),
            "one replica, all cores": (whole, available_cores()),
            "one replica, half of the cores": (one, half),
            "two replicas, half of the cores each": (two, 2 * half),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runners}

        def timed(name: str) -> Callable[[], object]:
            work = asked(runners[name][0], service, queries)

            def work_and_note() -> None:
                begin = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - begin)

            return work_and_note

        here, all_cores, alone, both = map(timed, runners)
        rows = [
            compared("serving-overhead", all_cores, here, bound=BOUNDS["serving-overhead"], rounds=rounds),
            compared("serving-two", both, alone, bound=BOUNDS["serving-two"], rounds=rounds),
        ]
    speeds = [
        Speed(name, PHOTOS / statistics.median(seconds[name][-rounds:]), given) for name, (_, given) in runners.items()
    ]
    return rows, speeds


def rows(rounds: int = 9) -> list[Row]:
    return throughput("tiny-imagenet", rounds)[0]


# ---------------------------------------------------------------- what a click costs


@dataclass(frozen=True)
class Click:
    """Core-seconds of one click in the page's process, in the replicas, and in what else Ray has running."""

    name: str
    page: float
    replica: float
    ray: float

    def __str__(self) -> str:
        return f"| {self.name} | {1000 * self.page:.0f} | {1000 * self.replica:.0f} | {1000 * self.ray:.0f} |"


def clicks(model: str, visits: int) -> list[Click]:
    """Of a photo (with all that the stage shows of its block), of another block, of an explanation."""
    with served("--model", model, "--device", "cpu", "--backend", "ray", "--replicas", "2") as (address, page):
        return asyncio.run(_clicks(address, page, visits))


async def _clicks(address: str, page: int, visits: int) -> list[Click]:
    camera = photos(seed=2)
    (guest,) = await visitors(address, 1)
    await _visit(guest, next(camera))
    spent: dict[str, list[tuple[float, float, float]]] = {"photo": [], "block": [], "why": []}
    for _ in range(visits):
        before = core_seconds(page)
        await guest.photo(next(camera))
        after = core_seconds(page)
        spent["photo"].append(_difference(before, after))
        for block in BLOCKS:
            await guest.unfold(block)
        before, after = after, core_seconds(page)
        spent["block"].append(_difference(before, after, len(BLOCKS)))
        explained = await _explain(guest)
        spent["why"].append(_difference(after, core_seconds(page), explained))
    await guest.__aexit__(None, None, None)
    return [Click(name, *(sum(part) / visits for part in zip(*told, strict=True))) for name, told in spent.items()]


async def _visit(guest: Visitor, photo: bytes) -> None:
    await guest.photo(photo)
    await guest.unfold(BLOCKS[0])
    await _explain(guest)


async def _explain(guest: Visitor) -> int:
    """Ask for each explanation that is opened by a click; how many there are."""
    subject, block = guest.subject, guest.block
    asked = {"table": (), "evidence": (None,), "cam": (block, None), "cell": (block, *CELL), "kernel": (block, *CELL)}
    for event, arguments in asked.items():
        await guest.ask(event, subject, *arguments)
    return len(asked)


def _difference(before: Sequence[float], after: Sequence[float], times: int = 1) -> tuple[float, float, float]:
    page, replica, ray = ((later - earlier) / times for earlier, later in zip(before, after, strict=True))
    return page, replica, ray


def core_seconds(page: int) -> tuple[float, float, float]:
    """What a page's process, its replicas and the rest of its Ray have computed until now."""
    parents, spent, names = {}, {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            told = (path / "stat").read_text().rpartition(")")[2].split()
            names[int(path.name)] = (path / "cmdline").read_text()
        except OSError:
            continue  # it ended meanwhile
        parents[int(path.name)] = int(told[1])
        spent[int(path.name)] = (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    ours = {page}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    serving = {process for process in ours if names.get(process, "").startswith("ray::ServeReplica")}
    rest = ours - serving - {page}
    return spent[page], sum(spent[process] for process in serving), sum(spent[process] for process in rest)


# ---------------------------------------------------------------- the plan


@dataclass(frozen=True)
class Class:
    """What is assumed of students and of machines. Clicks are for each minute of each student."""

    photos: float
    blocks: float
    whys: float
    busy: float  # share of its time that a core may compute, so that nobody waits long
    price: float  # of a core for an hour

    def __str__(self) -> str:
        return (
            f"Each student, each minute: {self.photos:g} photos, {self.blocks:g} blocks, {self.whys:g} explanations. "
            f"Cores are busy for {self.busy:.0%} of the time; a core costs {self.price:g} an hour."
        )


def planned(clicks: Sequence[Click], school: Class, students: int) -> tuple[int, int, float]:
    """Pages (a process, and about a core, each), replicas of a core each, and the price of an hour of all."""
    each_minute = (school.photos, school.blocks, school.whys)
    page, replica = (
        sum(count * getattr(click, part) for count, click in zip(each_minute, clicks, strict=True)) / 60
        for part in ("page", "replica")
    )
    pages, computing = (ceil(round(students * share / school.busy, 6)) for share in (page, replica))
    return pages, computing, (pages + computing) * school.price


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny-imagenet", help="a name or the path of a checkpoint")
    parser.add_argument("--rounds", type=int, default=9, help="of the rows")
    parser.add_argument("--visits", type=int, default=10, help="photos that are looked at to know what a click costs")
    parser.add_argument("--plan", action="store_true", help="print what so many students need")
    for name, value, what in (
        ("--photos", 1, "of a student in a minute"),
        ("--blocks", 2, "that a student chooses in a minute"),
        ("--whys", 1, "explanations that a student opens in a minute, besides the one beside the photo"),
        ("--busy", 0.6, "share of its time that a core may compute"),
        ("--price", 0.04, "of a core for an hour"),
    ):
        parser.add_argument(name, type=float, default=value, help=f"{what} (default: {value:g})")
    options = parser.parse_args()
    print(machine())
    told, speeds = throughput(options.model, options.rounds)
    for row in told:
        print(row)
    print("\n| who computes | photos/s | photos/s and core |\n|---|---:|---:|")
    for speed in speeds:
        print(speed)
    costs = clicks(options.model, options.visits)
    print("\n| click | page, core-ms | replicas, core-ms | rest of Ray, core-ms |\n|---|---:|---:|---:|")
    for click in costs:
        print(click)
    if options.plan:
        school = Class(options.photos, options.blocks, options.whys, options.busy, options.price)
        print(f"\n{school}\n\n| students | pages | replicas | cores | each hour |\n|---:|---:|---:|---:|---:|")
        for students in STUDENTS:
            pages, computing, price = planned(costs, school, students)
            print(f"| {students:,} | {pages} | {computing} | {pages + computing} | {price:.2f} |")


if __name__ == "__main__":
    main()
