"""A priority lock without starvation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

LIGHT, HEAVY = 0, 1
MAX_OVERTAKEN = 8


class PriorityLock:
    """A lock for computations that each use all cores; two at once would delay both.

    Light work goes before heavy work that arrived earlier; equal work is first in, first out. A thread that has been
    overtaken `MAX_OVERTAKEN` times is not overtaken again.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._queue: list[tuple[int, int]] = []  # (weight, ticket number)
        self._overtaken: dict[int, int] = {}
        self._tickets = 0
        self._locked = False

    @contextmanager
    def acquire(self, weight: int = LIGHT) -> Iterator[None]:
        """Block until the lock is free for this thread, and hold it until the end of the `with` block."""
        with self._changed:
            ticket = (weight, self._tickets)
            self._tickets += 1
            self._queue.append(ticket)
            while self._locked or self._next() != ticket:
                self._changed.wait()
            self._leave_queue(ticket)
            self._locked = True
        try:
            yield
        finally:
            with self._changed:
                self._locked = False
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Number of threads that wait for the lock."""
        return len(self._queue)

    def _next(self) -> tuple[int, int]:
        starving = [ticket for ticket in self._queue if self._overtaken.get(ticket[1], 0) >= MAX_OVERTAKEN]
        return min(starving, key=lambda ticket: ticket[1]) if starving else min(self._queue)

    def _leave_queue(self, ticket: tuple[int, int]) -> None:
        self._queue.remove(ticket)
        self._overtaken.pop(ticket[1], None)
        for _, number in self._queue:
            if number < ticket[1]:
                self._overtaken[number] = self._overtaken.get(number, 0) + 1
