"""The training log."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ..runtime.files import replace_file


@dataclass(frozen=True)
class LogRow:
    """One row of the log: means over the steps since the row before, and the evaluation on the held-out photos.

    Without such a step, `loss` and `top1` are NaN.
    """

    epoch: int
    step: int
    minutes: float
    size: int
    rate: float
    images_per_second: float
    loss: float
    top1: float  # on the augmented training photos
    held_out_loss: float
    held_out_top1: float
    held_out_top5: float


def write_log(path: Path, log: list[LogRow]) -> None:
    """Write the log as CSV with a header."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields(LogRow)])
    writer.writerows(astuple(row) for row in log)
    replace_file(path, file.getvalue().encode())
