"""A class, a school, a thousand visitors: how long each waits, and what breaks first. `python -m benchmarks.arrivals`.

An open loop: clicks arrive at random (a Poisson process), whether or not earlier ones have been answered, as those of
independent people do. Each visitor sends 1 photo, chooses 2 blocks and opens 1 explanation a minute, on a photo of
their own. Waiting counts from the moment of the click. Those who click run beside the server, on the same cores.

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

from .classroom import BLOCKS, photos
from .measure import machine
from .start import served
from .visitors import RefusedError, Visitor, visitors

CLICKS = ("photo", "block", "block", "why")  # of a visitor in a minute
TOGETHER = 50  # visitors that come at once before the measurement
WARM_UP = 5.0  # seconds of each measurement that do not count
GIVEN_UP = 60.0  # seconds after which a click counts as not answered


@dataclass
class Waits:
    """Seconds of waiting by kind of click, and the clicks that had no answer, by reason."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in dict.fromkeys(CLICKS)})
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def lost_share(self) -> float:
        lost = self.lost.total()
        return lost / max(lost + sum(map(len, self.seconds.values())), 1)

    def line(self, count: int) -> str:
        cells = [f"{count:,}", f"{count * len(CLICKS) / 60:.1f}"]
        cells += [" / ".join(f"{at:.2f}" for at in percentiles(values)) for values in self.seconds.values()]
        reasons = ", ".join(f"{reason} {number}" for reason, number in self.lost.most_common())
        return "| " + " | ".join([*cells, f"{self.lost_share:.0%}" + (f" ({reasons})" if reasons else "")]) + " |"


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """The median, and what 95 and 99 of 100 wait at most."""
    if len(values) < 2:
        return tuple(values) * 3
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


async def click(kind: str, guest: Visitor, photo: bytes, waits: Waits | None, at: float) -> None:
    """One click, which arrived at a time of the loop."""
    lost = ""
    try:
        async with asyncio.timeout(GIVEN_UP):
            if kind == "photo":
                await guest.photo(photo)
            elif kind == "block":
                await guest.unfold(random.choice(BLOCKS))
            else:
                await guest.ask("evidence", guest.subject, None)
    except TimeoutError:
        lost = "given up"
    except RefusedError as error:
        lost = f"“{error}”"
    except httpx.HTTPStatusError as error:
        lost = f"status {error.response.status_code}"
    except httpx.HTTPError:
        lost = "connection lost"
    if waits is None:
        return
    if lost:
        waits.lost[lost] += 1
    else:
        waits.seconds[kind].append(time.monotonic() - at)


async def measured(guests: Sequence[Visitor], taken: Sequence[bytes], seconds: float) -> Waits:
    """Let clicks arrive for some seconds, and wait for their answers."""
    chance, waits, tasks = random.Random(len(guests)), Waits(), []
    begin = at = time.monotonic()
    while at < begin + WARM_UP + seconds:
        at += chance.expovariate(len(guests) * len(CLICKS) / 60)
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        counted = waits if at > begin + WARM_UP else None
        kind, guest, photo = chance.choice(CLICKS), chance.choice(guests), chance.choice(taken)
        tasks.append(asyncio.create_task(click(kind, guest, photo, counted, at)))
    await asyncio.gather(*tasks)
    return waits


async def all_counts(address: str, counts: Sequence[int], seconds: float) -> None:
    camera = photos(seed=3)
    taken = [next(camera) for _ in range(400)]
    guests: list[Visitor] = []
    for count in sorted(counts):
        while len(guests) < count:
            new = await visitors(address, min(TOGETHER, count - len(guests)))
            # Clicks on blocks and explanations need a photo. Eight are shared, so that the server answers from memory.
            await asyncio.gather(*(guest.photo(taken[number % 8]) for number, guest in enumerate(new)))
            guests += new
        waits = await measured(guests, taken, seconds)
        print(waits.line(count), flush=True)
    for guest in guests:
        await guest.__aexit__(None, None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[30, 60, 100, 150, 200, 300, 1000])
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement")
    parser.add_argument("--replicas", type=int, default=0, help="behind Ray Serve; 0: the page computes itself")
    parser.add_argument("--model", default="tiny-imagenet", help="a name or the path of a checkpoint")
    options = parser.parse_args()
    backend = ("--backend", "ray", "--replicas", str(options.replicas)) if options.replicas else ()
    print(f"{machine()}; {options.model}, {options.replicas or 'no'} replicas\n")
    print("| visitors | clicks a second | photo | block | explanation | lost |\n|---:|---:|---:|---:|---:|---:|")
    with served("--model", options.model, "--device", "cpu", *backend) as (address, _):
        asyncio.run(all_counts(address, options.visitors, options.seconds))


if __name__ == "__main__":
    main()
