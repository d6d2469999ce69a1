"""Dynamic batching without a waiting time: calls that arrive during a run share the next one.

A photo whose activations overflow fails alone, not with the photos of its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

from ..network.overflow import ActivationOverflowError, run_batch

Item = TypeVar("Item")
Result = TypeVar("Result")
# Larger batches hardly raise a CPU's throughput, and delay the first of their photos.
MAX_BATCH = 8


class Batcher(Generic[Item, Result]):
    """Merge calls from many threads into batches, without a thread of its own.

    The first call runs at once, alone. Calls that arrive meanwhile wait, and the next run takes all of them, up to
    `max_batch`: the higher the load, the larger the batches.

    Args:
        run: computes the results of a batch, in order. If it raises, all calls of that batch raise; after an overflow,
            only those that raise when they run alone.
        max_batch: largest number of items in one run.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result]], max_batch: int = MAX_BATCH) -> None:
        self._run = run
        self._max_batch = max_batch
        self._queue: list[tuple[Item, Future[Result]]] = []
        self._lock, self._running = Lock(), Lock()

    @property
    def waiting(self) -> int:
        """Number of items that are in no run yet."""
        with self._lock:
            return len(self._queue)

    def submit(self, item: Item) -> Result:
        """Return the result of one item; blocks until it is there.

        Raises:
            Whatever `run` raised for the batch, or for this item alone.
        """
        own: Future[Result] = Future()
        with self._lock:
            self._queue.append((item, own))
        while not own.done():
            # One of the waiting threads runs the next batch, which may be without its own item.
            with self._running:
                if not own.done():
                    self._run_next()
        return own.result()

    def _run_next(self) -> None:
        with self._lock:
            batch, self._queue = self._queue[: self._max_batch], self._queue[self._max_batch :]
        try:
            results = run_batch(self._run, [item for item, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                if isinstance(result, ActivationOverflowError):
                    future.set_exception(result)
                else:
                    future.set_result(result)
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
