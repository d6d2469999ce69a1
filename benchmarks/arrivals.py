"""Waiting times of a class, a school and a thousand visitors at random arrivals: `python -m benchmarks.arrivals`.

An open loop: clicks arrive as a Poisson process, as those of independent people do, whether or not earlier ones have
been answered. Each visitor sends 1 photo, chooses 2 blocks and opens 1 explanation a minute, and begins with a photo of
their own. Waits count from the click. The visitors run beside the server, on the same cores.

The figures hold for the machine that is named above them; docs/capacity.md quotes them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from .classroom import LESSON_BLOCKS, random_photos
from .measure import machine
from .start import running_server
from .visitors import RefusedError, Visitor, open_visitors

CLICKS = ("photo", "block", "block", "why")  # of a visitor in a minute
OPENED_TOGETHER = 50  # visitors that arrive simultaneously before the measurement
WARM_UP = 5.0  # seconds of each measurement that do not count
TIMEOUT = 60.0  # seconds after which a click counts as failed


@dataclass
class Waits:
    """Waiting times in seconds by kind of click, and counts of failed clicks by reason."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in dict.fromkeys(CLICKS)})
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def failed_share(self) -> float:
        failed = self.failed.total()
        return failed / max(failed + sum(map(len, self.seconds.values())), 1)

    def line(self, count: int) -> str:
        """Format the row of the table for `count` visitors, in Markdown."""
        cells = [f"{count:,}", f"{count * len(CLICKS) / 60:.1f}"]
        cells += [" / ".join(f"{at:.2f}" for at in percentiles(values)) for values in self.seconds.values()]
        reasons = ", ".join(f"{reason} {number}" for reason, number in self.failed.most_common())
        return "| " + " | ".join([*cells, f"{self.failed_share:.0%}" + (f" ({reasons})" if reasons else "")]) + " |"


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """Return the 50th, 95th and 99th percentile; empty without values."""
    if len(values) < 2:
        return tuple(values) * 3
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


async def click(kind: str, visitor: Visitor, photo: bytes, waits: Waits | None, arrival: float) -> None:
    """Perform one click and record the seconds since `arrival`, a time of `time.monotonic`."""
    failure = ""
    try:
        async with asyncio.timeout(TIMEOUT):
            if kind == "photo":
                await visitor.show_photo(photo)
            elif kind == "block":
                await visitor.unfold(random.choice(LESSON_BLOCKS))
            else:
                await visitor.request("evidence", visitor.subject, None)
    except TimeoutError:
        failure = "timeout"
    except RefusedError as error:
        failure = f"“{error}”"
    except httpx.HTTPStatusError as error:
        failure = f"status {error.response.status_code}"
    except httpx.HTTPError:
        failure = "connection lost"
    if waits is None:
        return
    if failure:
        waits.failed[failure] += 1
    else:
        waits.seconds[kind].append(time.monotonic() - arrival)


async def measure_waits(visitors: Sequence[Visitor], photos: Sequence[bytes], seconds: float) -> Waits:
    """Let clicks arrive for `seconds` and wait for their responses."""
    rng, waits, tasks = random.Random(len(visitors)), Waits(), []
    begin = arrival = time.monotonic()
    while arrival < begin + WARM_UP + seconds:
        arrival += rng.expovariate(len(visitors) * len(CLICKS) / 60)
        await asyncio.sleep(max(0.0, arrival - time.monotonic()))
        recorded = waits if arrival > begin + WARM_UP else None
        kind, visitor, photo = rng.choice(CLICKS), rng.choice(visitors), rng.choice(photos)
        tasks.append(asyncio.create_task(click(kind, visitor, photo, recorded, arrival)))
    await asyncio.gather(*tasks)
    return waits


async def print_waits(address: str, counts: Sequence[int], seconds: float) -> None:
    """Measure and print the waits for each number of visitors."""
    photo_stream = random_photos(seed=3)
    photos = [next(photo_stream) for _ in range(400)]
    visitors: list[Visitor] = []
    for count in sorted(counts):
        while len(visitors) < count:
            new = await open_visitors(address, min(OPENED_TOGETHER, count - len(visitors)))
            # Clicks on blocks and explanations need a photo.
            await asyncio.gather(*(visitor.show_photo(next(photo_stream)) for visitor in new))
            visitors += new
        waits = await measure_waits(visitors, photos, seconds)
        print(waits.line(count), flush=True)
    for visitor in visitors:
        await visitor.__aexit__(None, None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[30, 60, 100, 150, 200, 300, 1000])
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement")
    parser.add_argument("--replicas", type=int, default=0, help="behind Ray Serve; 0: the page computes itself")
    parser.add_argument("--model", default="tiny-imagenet", help="name, or path of a checkpoint")
    options = parser.parse_args()
    backend = ("--backend", "ray", "--replicas", str(options.replicas)) if options.replicas else ()
    print(f"{machine()}; {options.model}, {options.replicas or 'no'} replicas\n")
    print("| visitors | clicks/s | photo | block | explanation | failed |\n|---:|---:|---:|---:|---:|---:|")
    with running_server("--model", options.model, "--device", "cpu", *backend) as (address, _):
        asyncio.run(print_waits(address, options.visitors, options.seconds))


if __name__ == "__main__":
    main()
