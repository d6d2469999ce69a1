"""Throughput and cost of replicas behind Ray Serve: `python -m benchmarks.serving`, for docs/capacity.md. On Linux.

First rows, each the time for 64 photos that 32 threads request, without a page:

- `serving-overhead`: one replica with all cores, in units of the local back end with all cores.
- `serving-two`: two replicas with half of the cores each, in units of one replica with half of the cores. The
  requesting threads need cores too, so the ratio is above one half on a machine with two cores.

Then absolute figures, which hold for the machine that is named above them: photos per second (median of the rounds),
and the core-seconds that a click costs in the page's process and in the replicas. These are CPU times: other load on
the machine affects them only through the processors' caches.

With `--plan`, the number of machines that a number of students needs, from these figures and the options.
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

from inception.network.compiled import compile_engines
from inception.runtime.device import choose_device
from inception.runtime.threads import available_cores
from inception.service.backend import Backend, LocalBackend
from inception.service.query import Query
from inception.service.ray.cluster import cluster, replicas
from inception.service.ray.scale import Scale
from inception.service.service import InferenceService

from .classroom import random_photos
from .measure import Row, compare, machine
from .start import running_server
from .visitors import Visitor, open_visitors

PHOTOS, THREADS = 64, 32
BOUNDS = {"serving-overhead": 1.3, "serving-two": 0.75}
BLOCKS = ("3b", "4a", "4c", "4e", "5b")
CELL = ("1x1", 0, 0, 0)  # branch, channel, row, column
STUDENTS = (100, 1000, 10_000)


# ---------------------------------------------------------------- photos per second


@dataclass(frozen=True)
class Throughput:
    """Photos per second of a configuration, and its number of cores."""

    name: str
    photos: float
    cores: int

    def __str__(self) -> str:
        return f"| {self.name} | {self.photos:.0f} | {self.photos / self.cores:.0f} |"


def predict_all(backend: Backend, service: InferenceService, queries: Sequence[Query]) -> Callable[[], object]:
    """Return a function that predicts all photos in `THREADS` threads."""
    pretrained = service.pretrained(queries[0].model)

    def work() -> object:
        with ThreadPoolExecutor(THREADS) as pool:
            return [
                prediction.seconds for prediction in pool.map(lambda query: backend.predict(pretrained, query), queries)
            ]

    return work


def measure_throughput(model: str, rounds: int) -> tuple[list[Row], list[Throughput]]:
    """Measure all configurations in one run; return their ratios and their throughputs."""
    models, half = (model,), max(1, available_cores() // 2)
    service = InferenceService(models, choose_device("cpu"), compiles=False)
    # As a server does some seconds after its start.
    network = service.pretrained(service.models[0])
    compile_engines(network.model, network.engine, network.engine_for(service.precision))
    queries = [service.query(service.models[0], photo) for photo in itertools.islice(random_photos(), PHOTOS)]
    with (
        cluster(available_cores() + 3 * half),
        replicas(models, Scale(cpus=available_cores())) as full,
        replicas(models, Scale(cpus=half)) as half_cores,
        replicas(models, Scale(2, 2, half)) as two_halves,
    ):
        configurations = {
            "this process": (LocalBackend(), available_cores()),
            "one replica, all cores": (full, available_cores()),
            "one replica, half of the cores": (half_cores, half),
            "two replicas, half of the cores each": (two_halves, 2 * half),
        }
        seconds: dict[str, list[float]] = {name: [] for name in configurations}

        def timed(name: str) -> Callable[[], object]:
            work = predict_all(configurations[name][0], service, queries)

            def run() -> None:
                begin = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - begin)

            return run

        local, one_full, one_half, both_halves = map(timed, configurations)
        rows = [
            compare("serving-overhead", one_full, local, bound=BOUNDS["serving-overhead"], rounds=rounds),
            compare("serving-two", both_halves, one_half, bound=BOUNDS["serving-two"], rounds=rounds),
        ]
    throughputs = [
        Throughput(name, PHOTOS / statistics.median(seconds[name][-rounds:]), cores)
        for name, (_, cores) in configurations.items()
    ]
    return rows, throughputs


def rows(rounds: int = 9) -> list[Row]:
    return measure_throughput("tiny-imagenet", rounds)[0]


# ---------------------------------------------------------------- cost of a click


@dataclass(frozen=True)
class ClickCost:
    """Core-seconds of one click in the page's process, in the replicas, and in Ray's other processes."""

    name: str
    page: float
    replica: float
    ray: float

    def __str__(self) -> str:
        return f"| {self.name} | {1000 * self.page:.0f} | {1000 * self.replica:.0f} | {1000 * self.ray:.0f} |"


def measure_clicks(model: str, visits: int) -> list[ClickCost]:
    """Measure clicks on a photo (with all that the stage shows of its block), on another block, on an explanation."""
    with running_server("--model", model, "--device", "cpu", "--backend", "ray", "--replicas", "2") as (address, page):
        return asyncio.run(_measure_clicks(address, page, visits))


async def _measure_clicks(address: str, page: int, visits: int) -> list[ClickCost]:
    photos = random_photos(seed=2)
    (visitor,) = await open_visitors(address, 1)
    await _warm_up(visitor, next(photos))
    spent: dict[str, list[tuple[float, float, float]]] = {"photo": [], "block": [], "why": []}
    for _ in range(visits):
        before = core_seconds(page)
        await visitor.show_photo(next(photos))
        after = core_seconds(page)
        spent["photo"].append(_difference(before, after))
        for block in BLOCKS:
            await visitor.unfold(block)
        before, after = after, core_seconds(page)
        spent["block"].append(_difference(before, after, len(BLOCKS)))
        explanations = await _explain(visitor)
        spent["why"].append(_difference(after, core_seconds(page), explanations))
    await visitor.__aexit__(None, None, None)
    return [
        ClickCost(name, *(sum(part) / visits for part in zip(*costs, strict=True))) for name, costs in spent.items()
    ]


async def _warm_up(visitor: Visitor, photo: bytes) -> None:
    await visitor.show_photo(photo)
    await visitor.unfold(BLOCKS[0])
    await _explain(visitor)


async def _explain(visitor: Visitor) -> int:
    """Request each explanation that a click opens; return their number."""
    subject, block = visitor.subject, visitor.block
    requests = {
        "table": (),
        "evidence": (None,),
        "cam": (block, None),
        "field": (block,),
        "cell": (block, *CELL),
        "kernel": (block, *CELL),
    }
    for event, arguments in requests.items():
        await visitor.request(event, subject, *arguments)
    return len(requests)


def _difference(before: Sequence[float], after: Sequence[float], count: int = 1) -> tuple[float, float, float]:
    page, replica, ray = ((later - earlier) / count for earlier, later in zip(before, after, strict=True))
    return page, replica, ray


def core_seconds(page: int) -> tuple[float, float, float]:
    """Return the CPU seconds so far of the page's process, of its replicas, and of Ray's other processes."""
    parents, spent, names = {}, {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            names[int(path.name)] = (path / "cmdline").read_text()
        except OSError:
            continue  # the process has ended
        parents[int(path.name)] = int(fields[1])
        spent[int(path.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    tree = {page}
    while children := {process for process, parent in parents.items() if parent in tree} - tree:
        tree |= children
    replica_processes = {process for process in tree if names.get(process, "").startswith("ray::ServeReplica")}
    others = tree - replica_processes - {page}
    return (
        spent[page],
        sum(spent[process] for process in replica_processes),
        sum(spent[process] for process in others),
    )


# ---------------------------------------------------------------- the plan


@dataclass(frozen=True)
class Assumptions:
    """Assumptions about students and machines; clicks are per student and minute."""

    photos: float
    blocks: float
    explanations: float
    utilisation: float  # of the cores; the remainder keeps waits short
    price: float  # of a core per hour

    def __str__(self) -> str:
        return (
            f"Per student and minute: {self.photos:g} photos, {self.blocks:g} blocks, {self.explanations:g} "
            f"explanations. Cores are busy {self.utilisation:.0%} of the time; a core costs {self.price:g} per hour."
        )


def plan(clicks: Sequence[ClickCost], assumptions: Assumptions, students: int) -> tuple[int, int, float]:
    """Return the number of page processes (about a core each), of one-core replicas, and the price of all per hour."""
    clicks_per_minute = (assumptions.photos, assumptions.blocks, assumptions.explanations)
    page, replica = (
        sum(count * getattr(click, part) for count, click in zip(clicks_per_minute, clicks, strict=True)) / 60
        for part in ("page", "replica")
    )
    pages, replica_count = (ceil(round(students * cores / assumptions.utilisation, 6)) for cores in (page, replica))
    return pages, replica_count, (pages + replica_count) * assumptions.price


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny-imagenet", help="name, or path of a checkpoint")
    parser.add_argument("--rounds", type=int, default=9, help="of the rows")
    parser.add_argument("--visits", type=int, default=10, help="photos that are shown to measure the cost of a click")
    parser.add_argument("--plan", action="store_true", help="print what some numbers of students need")
    for name, default, description in (
        ("--photos", 1, "per student and minute"),
        ("--blocks", 2, "that a student chooses per minute"),
        ("--explanations", 1, "that a student opens per minute, in addition to the one beside the photo"),
        ("--utilisation", 0.6, "of the cores, as a share of the time"),
        ("--price", 0.04, "of a core per hour"),
    ):
        parser.add_argument(name, type=float, default=default, help=f"{description} (default: {default:g})")
    options = parser.parse_args()
    print(machine())
    rows, throughputs = measure_throughput(options.model, options.rounds)
    for row in rows:
        print(row)
    print("\n| configuration | photos/s | photos/s per core |\n|---|---:|---:|")
    for throughput in throughputs:
        print(throughput)
    costs = measure_clicks(options.model, options.visits)
    print("\n| click | page, core-ms | replicas, core-ms | other Ray processes, core-ms |\n|---|---:|---:|---:|")
    for cost in costs:
        print(cost)
    if options.plan:
        assumptions = Assumptions(
            options.photos, options.blocks, options.explanations, options.utilisation, options.price
        )
        print(
            f"\n{assumptions}\n\n| students | pages | replicas | cores | price per hour |\n|---:|---:|---:|---:|---:|"
        )
        for students in STUDENTS:
            pages, replica_count, price = plan(costs, assumptions, students)
            print(f"| {students:,} | {pages} | {replica_count} | {pages + replica_count} | {price:.2f} |")


if __name__ == "__main__":
    main()
