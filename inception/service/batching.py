"""What several visitors ask for at the same moment, done as one piece of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
# With more the networks gain little on a CPU, and those who came first wait longer.
MAX_BATCH = 8


class Batcher(Generic[Asked, Answer]):
    """Batches calls from many threads, without a thread of its own and without waiting for company.

    The first to ask runs alone. Whoever asks meanwhile waits, and all who wait are served by one run
    of at most `most` as soon as the one before is over: the busier it is, the larger the batches.

    Args:
        run: answers a list of what was asked, in order. If it fails, all whom it would have served fail.
        most: how many are served by one run.
    """

    def __init__(self, run: Callable[[Sequence[Asked]], Sequence[Answer]], most: int = MAX_BATCH) -> None:
        self._run = run
        self._most = most
        self._waiting: list[tuple[Asked, Future[Answer]]] = []
        self._lock, self._running = Lock(), Lock()

    def ask(self, asked: Asked) -> Answer:
        """The answer to one question; blocks until it is there."""
        mine: Future[Answer] = Future()
        with self._lock:
            self._waiting.append((asked, mine))
        while not mine.done():
            # Whoever comes in here first serves all who wait, in the order in which they came.
            with self._running:
                if not mine.done():
                    self._serve()
        return mine.result()

    def _serve(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            answers = self._run([asked for asked, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
