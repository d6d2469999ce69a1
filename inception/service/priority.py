"""A priority lock without starvation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock

LIGHT, HEAVY = 0, 1  # priority classes: light work goes first
MAX_OVERTAKEN = 8


@dataclass(eq=False)
class _Waiter:
    priority: int
    overtaken: int = 0
    turn: Event = field(default_factory=Event)  # set when it gets the lock


class PriorityLock:
    """A lock for computations that each use all cores; two at once would delay both.

    Light work goes before heavy work that arrived earlier, also if it is only announced by `expect_light`; work of
    equal priority is first in, first out. A thread that has been overtaken `MAX_OVERTAKEN` times is not overtaken
    again.
    """

    def __init__(self) -> None:
        self._mutex = Lock()  # of all attributes below
        self._waiters: list[_Waiter] = []  # in order of arrival
        self._expected = 0  # threads within `expect_light`
        self._locked = False

    @contextmanager
    def acquire(self, priority: int = LIGHT) -> Iterator[None]:
        """Block until the lock is free for this thread, and hold it until the end of the `with` block.

        Args:
            priority: `LIGHT` or `HEAVY`.
        """
        waiter = _Waiter(priority)
        with self._mutex:
            self._waiters.append(waiter)
            self._pass_on()
        try:
            waiter.turn.wait()
            yield
        finally:
            with self._mutex:
                if waiter in self._waiters:  # an exception ended the waiting
                    self._waiters.remove(waiter)
                else:
                    self._locked = False
                self._pass_on()

    @contextmanager
    def expect_light(self) -> Iterator[None]:
        """Announce light work: within the `with` block, heavy work does not begin.

        For light work that is merged before it takes the lock: between two batches the lock is free for a moment, and a
        piece of heavy work, which takes ten times as long as a batch, would hold up all that wait for the next one.
        """
        with self._mutex:
            self._expected += 1
        try:
            yield
        finally:
            with self._mutex:
                self._expected -= 1
                self._pass_on()

    @property
    def waiting(self) -> int:
        """Number of threads that wait for the lock."""
        return len(self._waiters)

    def _pass_on(self) -> None:
        """Give the lock, if it is free, to the thread whose turn it is, and wake only that one."""
        if self._locked or (waiter := self._next()) is None:
            return
        for earlier in self._waiters[: self._waiters.index(waiter)]:
            earlier.overtaken += 1
        self._waiters.remove(waiter)
        self._locked = True
        waiter.turn.set()

    def _next(self) -> _Waiter | None:
        starving = next((waiter for waiter in self._waiters if waiter.overtaken >= MAX_OVERTAKEN), None)
        if starving or not self._waiters:
            return starving
        first = min(self._waiters, key=lambda waiter: waiter.priority)
        return None if first.priority == HEAVY and self._expected else first
