"""Progress bar of the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized


def progress(batches: Iterable[int]) -> Iterator[int]:
    """Yield `batches`, with a bar on stderr for as long as they last where that is a terminal."""
    if not sys.stderr.isatty():
        yield from batches
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("batches"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(batches, total=len(batches) if isinstance(batches, Sized) else None)
