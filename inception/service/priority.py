"""Who computes next, where several want to."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

LIGHT, HEAVY = 0, 1
PATIENCE = 8


class PriorityLock:
    """One piece of arithmetic at a time: each uses all cores, and two at once would both be late.

    Light work goes before heavy work that came earlier; among equals, who came first goes first.
    Nobody starves: who has been overtaken `PATIENCE` times is overtaken no more.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        # Weight, number of the ticket; the first of the heap is next.
        self._waiting: list[tuple[int, int]] = []
        self._overtaken: dict[int, int] = {}
        self._tickets = 0
        self._taken = False

    @contextmanager
    def turn(self, weight: int = LIGHT) -> Iterator[None]:
        """Blocks until it is the caller's turn, which lasts until the block is left."""
        with self._changed:
            ticket = (weight, self._tickets)
            self._tickets += 1
            heapq.heappush(self._waiting, ticket)
            while self._taken or self._next() != ticket:
                self._changed.wait()
            self._leave_the_queue(ticket)
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def _next(self) -> tuple[int, int]:
        impatient = [ticket for ticket in self._waiting if self._overtaken.get(ticket[1], 0) >= PATIENCE]
        return min(impatient, key=lambda ticket: ticket[1]) if impatient else self._waiting[0]

    def _leave_the_queue(self, ticket: tuple[int, int]) -> None:
        self._waiting.remove(ticket)
        heapq.heapify(self._waiting)
        self._overtaken.pop(ticket[1], None)
        for _, number in self._waiting:
            if number < ticket[1]:
                self._overtaken[number] = self._overtaken.get(number, 0) + 1
