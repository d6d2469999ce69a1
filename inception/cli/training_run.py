"""Running of a training for the command `train`: its data, its result, and its errors as sentences."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, quoted
from ..runtime.files import as_text, is_file, is_there
from ..runtime.terminal import err, out, short_path
from .photos import report_ignored

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from ..training.recipe import Recipe
    from ..training.result import TrainingResult

VAL_SPLIT = 0.2
MAX_CLASSES_SHOWN = 20  # accuracies at the end; `evaluate` prints them all


def run(
    recipe: Recipe,
    folder: Path,
    *,
    located_at: str,
    also_at: str | None,
    classes: list[str],
    val_split: float,
    device: str,
    resume: bool,
    save_every: float,
    workers: int | None,
) -> int:
    """Train with a recipe and print the result; the arguments are the command's options.

    Raises:
        UserError: if the photos cannot be used, training cannot start or resume, or the memory or the disk is full.
        KeyboardInterrupt: after Ctrl+C, with what to do next.
    """
    from ..runtime.device import choose_device
    from ..training.datasets import locate_data
    from ..training.distributed import claim_device
    from ..training.loop import train
    from ..training.recipe import number_text
    from ..training.split import further_photos, training_photos

    with _memory_errors(folder):
        if device != "cpu":
            claim_device()
        torch_device = choose_device(device).torch_device
        data = locate_data(located_at)
        photos, val = training_photos(data, val_split, classes)
        further = further_photos(locate_data(also_at)) if also_at else None
        report_ignored(data)
        data_options = ["--classes", ",".join(classes)] if classes else []
        if val_split != VAL_SPLIT:
            data_options += ["--val-split", number_text(val_split)]
        if also_at:
            data_options += ["--also", _data_name(also_at)]
        with _interruptions(folder):
            result = train(
                recipe,
                photos,
                val,
                folder,
                device=torch_device,
                data_name=_data_name(located_at),
                data_options=data_options,
                also=further,
                resume=resume,
                save_every=save_every,
                workers=workers,
            )
    if result is not None:
        _print(result)
    return 0


def _data_name(data: str) -> str:
    return Path(data).resolve().name if is_there(Path(data)) else data


def _print(result: TrainingResult) -> None:
    from ..training.result import accuracy_text, calibration_text

    for name in result.skipped:
        err(f"skipped, cannot be read: {short_path(name)}")
    out(f"{accuracy_text(result.val)}, {calibration_text(result)}")
    if len(result.val.per_class) <= MAX_CLASSES_SHOWN:
        out(*(f"{accuracy:7.1%}  {name}" for name, accuracy in result.val.per_class.items()))
    weights = as_text(result.weights)
    out(f"{weights}: look inside with {shlex.join(['python', '-m', 'inception', 'serve', '--model', weights])}")


@contextmanager
def _interruptions(folder: Path) -> Iterator[None]:
    """Say after Ctrl+C and after errors of files how to go on with the training in `folder`.

    Raises:
        KeyboardInterrupt, UserError: with what to do next.
    """
    from ..runtime.files import is_full, no_room
    from ..training.loop import CHECKPOINT

    try:
        yield
    except KeyboardInterrupt:
        then = "; the same command with --resume goes on from here" if is_file(folder / CHECKPOINT) else ""
        raise KeyboardInterrupt(f"Interrupted{then}.") from None
    except BrokenPipeError:
        raise  # the reader of our output has seen enough
    except OSError as error:
        kept = is_file(folder / CHECKPOINT)
        then = "go on with the same command and --resume" if kept else "begin again"
        if is_full(error):
            raise no_room(folder, f"free some space, and {then}") from error
        raise UserError(
            "train_files",
            "The training has stopped because a file could not be read or written ({why}); please check {name}, and "
            "{then}.",
            why=error.strerror or type(error).__name__,
            name=quoted(str(folder)),
            then=then,
        ) from error


@contextmanager
def _memory_errors(folder: Path) -> Iterator[None]:
    """Say what to change where the memory is full.

    Raises:
        UserError: with what to do next.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        full = _full_memory(error)
        if not full:
            raise
        from ..training.loop import CHECKPOINT

        elsewhere = " or --device cpu" if full == "device" else ""
        begin = "please go on with --resume and" if is_file(folder / CHECKPOINT) else "please choose"
        raise UserError(
            "train_memory",
            "The memory of the {full} is full; {begin} a larger --accumulate{elsewhere}, or begin anew with a smaller "
            "--batch.",
            full=full,
            begin=begin,
            elsewhere=elsewhere,
        ) from error


def _full_memory(error: Exception) -> str:
    """Return whose memory an error says is full, "device" or "computer"; "" if it says something else."""
    from ..runtime.device import is_out_of_memory

    if is_out_of_memory(error):
        return "device"
    # PyTorch's allocator for the CPU raises a plain RuntimeError.
    return "computer" if isinstance(error, MemoryError) or "can't allocate memory" in str(error) else ""
