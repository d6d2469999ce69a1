"""A priority lock without starvation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

LIGHT, HEAVY = 0, 1  # priority classes: light work goes first
MAX_OVERTAKEN = 8


class PriorityLock:
    """A lock for computations that each use all cores; two at once would delay both.

    Light work goes before heavy work that arrived earlier, also if it is only announced by `expect_light`; work of
    equal priority is first in, first out. A thread that has been overtaken `MAX_OVERTAKEN` times is not overtaken
    again.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._queue: list[tuple[int, int]] = []  # (priority class, ticket number)
        self._overtaken: dict[int, int] = {}
        self._tickets = 0
        self._expected = 0  # threads within `expect_light`
        self._locked = False

    @contextmanager
    def acquire(self, priority: int = LIGHT) -> Iterator[None]:
        """Block until the lock is free for this thread, and hold it until the end of the `with` block.

        Args:
            priority: `LIGHT` or `HEAVY`.
        """
        with self._changed:
            ticket = (priority, self._tickets)
            self._tickets += 1
            self._queue.append(ticket)
            while self._locked or not self._is_next(ticket):
                self._changed.wait()
            self._leave_queue(ticket)
            self._locked = True
        try:
            yield
        finally:
            with self._changed:
                self._locked = False
                self._changed.notify_all()

    @contextmanager
    def expect_light(self) -> Iterator[None]:
        """Announce light work: within the `with` block, heavy work does not begin.

        For light work that is merged before it takes the lock: between two batches the lock is free for a moment, and a
        piece of heavy work, which takes ten times as long as a batch, would hold up all that wait for the next one.
        """
        with self._changed:
            self._expected += 1
        try:
            yield
        finally:
            with self._changed:
                self._expected -= 1
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Number of threads that wait for the lock."""
        return len(self._queue)

    def _is_next(self, ticket: tuple[int, int]) -> bool:
        starving = [one for one in self._queue if self._overtaken.get(one[1], 0) >= MAX_OVERTAKEN]
        if starving:
            return ticket == min(starving, key=lambda one: one[1])
        return ticket == min(self._queue) and not (self._expected and ticket[0] == HEAVY)

    def _leave_queue(self, ticket: tuple[int, int]) -> None:
        self._queue.remove(ticket)
        self._overtaken.pop(ticket[1], None)
        for _, number in self._queue:
            if number < ticket[1]:
                self._overtaken[number] = self._overtaken.get(number, 0) + 1
