"""Messages and progress bars of a training run, on stderr."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
from tqdm import tqdm

from ..runtime.progress import Progress
from ..runtime.terminal import err
from ..runtime.wording import counted
from .log import LogRow
from .result import hardware_text, photos_text
from .trainer import Trainer


def print_introduction(trainer: Trainer, held_out: int, validation: int) -> None:
    """Print the numbers of photos, the schedule and the hardware."""
    recipe = trainer.recipe
    counts = np.bincount(trainer.photos.targets, minlength=len(trainer.photos.classes))
    length = counted(recipe.minutes, "minute") if recipe.minutes else counted(recipe.epochs, "epoch")
    lines = [
        f"{photos_text(trainer.photos)} for training, {held_out} held out, {validation} for validation at the end",
        f"{length} at {' then '.join(str(side) for side, _ in recipe.sizes)} pixels, "
        f"{counted(trainer.batches.batch, 'photo')} a step, {counted(trainer.per_epoch, 'step')} an epoch, on "
        f"{hardware_text(trainer.device, trainer.low_precision)}",
    ]
    if counts.max() >= 2 * counts.min():
        few, many = int(counts.argmin()), int(counts.argmax())
        remedy = "they are weighted" if recipe.balance else "--balance would weight them"
        lines.append(
            f"the classes are unbalanced: {trainer.photos.classes[few]} has {counted(counts[few], 'photo')}, "
            f"{trainer.photos.classes[many]} has {counts[many]}; {remedy}"
        )
    if trainer.step:
        lines.append(f"resuming after step {trainer.step} (epoch {trainer.epoch + 1})")
    err(*lines)


def row_text(row: LogRow, classes: int, per_epoch: int) -> str:
    """Format a row of the log as one line; `per_epoch` is the number of steps in an epoch."""
    epoch = f"{row.step / per_epoch:5.1f}" if row.step % per_epoch else f"{row.epoch:3}"
    top5 = f"  top-5 {row.held_out_top5:.1%}" if classes > 5 else ""
    held_out = f"held out: loss {row.held_out_loss:.3f}  top-1 {row.held_out_top1:.1%}{top5}"
    if isnan(row.loss):  # evaluated without a step since the row before
        return f"epoch {epoch}  {row.size} px  {held_out}"
    return (
        f"epoch {epoch}  {row.size} px  loss {row.loss:.3f}  top-1 {row.top1:.1%}  {held_out}  "
        f"{row.images_per_second:.0f} img/s"
    )


def step_text(trainer: Trainer, loss: float, top1: float) -> str:
    """Format the current size, the mean loss and accuracy, and the time left, for the progress bar."""
    left = trainer.recipe.minutes - trainer.seconds / 60
    time_left = f", {max(left, 0):.0f} min left" if trainer.recipe.minutes else ""
    return f"{trainer.size_at(trainer.step)} px, loss {loss:.3f}, top-1 {top1:.1%}{time_left}"


def batch_bar(description: str, enabled: bool) -> Progress:
    """Return a wrapper for an iterable of batches that shows a progress bar."""
    return lambda batches: tqdm(batches, desc=description, unit="batch", leave=False, disable=_disable(enabled))


def photo_bar(total: int, initial: int, enabled: bool) -> tqdm[Any]:
    """Return a progress bar that counts photos; `total` is 0 if it is unknown."""
    return tqdm(
        total=total or None,
        initial=initial,
        unit=" img",
        disable=_disable(enabled),
        smoothing=0.05,
        dynamic_ncols=True,
    )


def _disable(enabled: bool) -> bool | None:
    # tqdm takes None for "only on a terminal".
    return None if enabled else True
