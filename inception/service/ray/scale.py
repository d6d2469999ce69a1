"""Number and size of replicas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil

from ...errors import quoted

MAX_REPLICAS, MAX_CPUS, MAX_GPUS = 9999, 1024, 64
MAX_REPLICA_BATCH = 16
# Fewer than the page has threads for events, some of which other events need.
MAX_AT_ONCE = 32


@dataclass(frozen=True)
class Scale:
    """`minimum` to `maximum` replicas, by load, each with `cpus` cores and `gpus` GPUs, which may be fractions.

    Raises:
        ValueError: if a number is out of range.
    """

    minimum: int = 1
    maximum: int = 1
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum <= MAX_REPLICAS:
            raise ValueError(
                f"minimum is {self.minimum} and maximum is {self.maximum}; both must be from 1 to {MAX_REPLICAS}, and "
                "minimum no larger than maximum."
            )
        if not (0 < self.cpus <= MAX_CPUS and 0 <= self.gpus <= MAX_GPUS):
            raise ValueError(
                f"cpus is {self.cpus:g} and gpus is {self.gpus:g}; a replica needs a part of a core at least, and has "
                f"at most {MAX_CPUS} cores and {MAX_GPUS} GPUs."
            )

    @classmethod
    def of(cls, replicas: str, cpus: float = 1.0, gpus: float = 0.0) -> Scale:
        """Parse a fixed number ("2") or a range ("1-8") of replicas.

        Raises:
            ValueError: if it is neither.
        """
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", replicas)
        minimum, maximum = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= minimum <= maximum:
            raise ValueError(
                f"{quoted(replicas)} is not a number of replicas from 1 to {MAX_REPLICAS}; write 2 for two, or 1-8 "
                "for one to eight."
            )
        return cls(minimum, maximum, cpus, gpus)

    @property
    def threads(self) -> int:
        """Number of PyTorch threads of a replica."""
        return max(1, int(self.cpus))

    @property
    def device(self) -> str:
        """Device of a replica, as `choose_device` takes it."""
        return "cuda" if self.gpus else "cpu"

    @property
    def all_cpus(self) -> int:
        """Number of cores of the largest number of replicas."""
        return ceil(self.maximum * self.cpus)

    @property
    def at_once(self) -> int:
        """Number of calls of one kind worth having in progress: a batch for each replica."""
        return min(MAX_REPLICA_BATCH * self.maximum, MAX_AT_ONCE)
