"""How many replicas there are, and what each is given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil

from ...errors import quoted

MOST_REPLICAS, MOST_CPUS, MOST_GPUS = 9999, 1024, 64
MOST_IN_A_BATCH = 16
# What a page sends at the same time at most: Gradio answers with 40 threads, and other events want some of them.
MOST_AT_ONCE = 32


@dataclass(frozen=True)
class Scale:
    """`least` to `most` replicas, as many as there is work for, each with so many cores and GPUs, or parts of them.

    Raises:
        ValueError: if there can be no such replicas.
    """

    least: int = 1
    most: int = 1
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MOST_REPLICAS:
            raise ValueError(
                f"least is {self.least} and most is {self.most}; both must be from 1 to {MOST_REPLICAS}, and least no "
                "larger than most."
            )
        if not (0 < self.cpus <= MOST_CPUS and 0 <= self.gpus <= MOST_GPUS):
            raise ValueError(
                f"cpus is {self.cpus:g} and gpus is {self.gpus:g}; a replica needs a part of a core at least, and has "
                f"at most {MOST_CPUS} cores and {MOST_GPUS} GPUs."
            )

    @classmethod
    def of(cls, replicas: str, cpus: float = 1.0, gpus: float = 0.0) -> Scale:
        """From "2", always two, or "1-8", as many as are needed.

        Raises:
            ValueError: if it is neither.
        """
        told = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", replicas)
        least, most = (int(told[1]), int(told[2] or told[1])) if told else (0, 0)
        if not 1 <= least <= most:
            raise ValueError(
                f"{quoted(replicas)} is not a number of replicas from 1 to {MOST_REPLICAS}; write 2 for two, or 1-8 "
                "for one to eight."
            )
        return cls(least, most, cpus, gpus)

    @property
    def threads(self) -> int:
        """Of one replica's arithmetic."""
        return max(1, int(self.cpus))

    @property
    def device(self) -> str:
        """Of one replica, as `choose_device` takes it."""
        return "cuda" if self.gpus else "cpu"

    @property
    def all_cpus(self) -> int:
        """Cores that all replicas take together when there are as many as may be."""
        return ceil(self.most * self.cpus)

    @property
    def at_once(self) -> int:
        """How many questions of one kind are worth having under way: a batch for each replica."""
        return min(MOST_IN_A_BATCH * self.most, MOST_AT_ONCE)
