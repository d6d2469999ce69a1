"""A training run, from labelled photos to a folder with weights, log and plots."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import nan
from pathlib import Path

import torch

from ..errors import quoted
from ..network.overflow import ActivationOverflowError
from ..pretrained.checkpoint import rejection_file
from ..pretrained.zoo import load
from ..runtime import memory
from ..runtime.files import check_writable, is_file, make_folder
from ..runtime.interrupt import LINE, STATUS
from ..runtime.progress import Progress
from ..runtime.terminal import err, short_path
from ..runtime.threads import available_cores
from .checkpoint import read_checkpoint
from .console import batch_bar, photo_bar, print_introduction, row_text, step_text
from .distributed import local_device, process_group
from .evaluation import evaluate_logits, labelled_logits
from .initial_model import initial_model, starting_weights
from .loader import ReadablePhotos, readable_photos
from .log import LogRow, write_log
from .photos import DataError, LabelledPhotos
from .recipe import Recipe, RecipeError
from .result import WEIGHTS, TrainingResult, averaged_model, write_result
from .split import fingerprint, split_photos
from .teacher import Teacher
from .trainer import Step, Trainer, diverged

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
# More would hardly choose better weights, and all of them are evaluated after every epoch.
MAX_HELD_OUT = 3000


def train(
    recipe: Recipe,
    photos: LabelledPhotos,
    val: LabelledPhotos,
    out: Path,
    *,
    device: torch.device,
    data_name: str,
    data_options: Sequence[str] = (),
    resume: bool = False,
    also: LabelledPhotos | None = None,
    save_every: float = 120.0,
    workers: int | None = None,
    quiet: bool = False,
) -> TrainingResult | None:
    """Train, and write `model.safetensors`, `log.csv`, `checkpoint.pt` and plots into `out`.

    Under `torchrun` all processes train together; the main one writes, the others return None. A checkpoint is written
    every `save_every` seconds and on interruption. `resume` continues from it with the same recipe (see
    `interrupted_recipe`), except that the length may differ. The photos of `also` are used without their labels, for
    distillation from the recipe's teacher.

    Raises:
        DataError: if the photos cannot be used.
        RecipeError, CheckpointError, WeightsError: if training cannot start or resume.
        OSError: if `out` cannot be written; files already there stay intact.
    """
    memory.keep_freed()
    device = local_device(device)
    with process_group(device) as world:
        verbose = world.is_main and not quiet
        progress = partial(batch_bar, enabled=verbose)
        if recipe.minutes and world.size > 1:
            raise RecipeError("recipe_minutes", "--minutes works with a single process only; please give --epochs.")
        if also and not recipe.teacher:
            raise RecipeError("recipe_also", "Photos without labels need a teacher; please name one by --teacher.")
        if not resume:
            _check_unused(out)
        state = read_checkpoint(out / CHECKPOINT) if resume else None
        if state:
            Recipe.from_dict(state["recipe"]).check_continued_by(recipe)
        val = val.select_classes(photos.classes)
        teacher = None
        if recipe.teacher:
            teacher = Teacher(load(recipe.teacher, device), photos, recipe.teacher_size)
        initial = starting_weights(recipe)  # those that do not fit are refused before anything is written
        make_folder(out)
        if world.is_main:
            check_writable(out / LOG)
        largest = max(side for side, _ in recipe.sizes)
        training = readable_photos(photos, largest, progress("opening photos"))
        further = _readable_without_labels(also, largest, progress("opening further photos")) if also else None
        maximum = max(MAX_HELD_OUT // len(photos.classes), 1)
        kept, held_out = split_photos(training.photos, recipe.held_out, recipe.seed, maximum)
        model, preprocessing = initial_model(recipe, photos.classes, training.short_side, initial)
        trainer = Trainer(
            recipe,
            model.to(device),
            preprocessing,
            training.photos.subset(kept),
            also=further.photos if further else None,
            teacher=teacher,
            workers=_worker_count(device) if workers is None else workers,
            fingerprint=fingerprint(photos, val, *([also] if also else [])),
            world=world,
        )
        if state:
            trainer.restore(state)
        held_out_photos = training.photos.subset(held_out)
        if verbose:
            print_introduction(trainer, len(held_out_photos), len(val))
        _run(trainer, held_out_photos, out, save_every, verbose)
        world.barrier()
        if not world.is_main:
            return None
        if _remove_rule(out / WEIGHTS) and verbose:
            folder = short_path(str(out))
            err(f"removed the rejection rule of the earlier weights in {folder}; evaluate --keep measures a new one")
        try:
            result = write_result(
                trainer,
                training,
                held_out_photos,
                val,
                out,
                data_name=data_name,
                data_options=data_options,
                progress=progress,
            )
        # Finite in training, but not in half precision.
        except ActivationOverflowError as error:
            raise diverged(trainer.step) from error
        return replace(result, skipped=result.skipped + further.skipped) if further else result


def _check_unused(out: Path) -> None:
    """Check that a folder holds no training.

    Raises:
        RecipeError: if it holds an interrupted or a finished one.
    """
    if is_file(out / CHECKPOINT):
        raise RecipeError(
            "recipe_out",
            "{folder} already holds a training; resume it with --resume, or name another folder.",
            folder=quoted(str(out)),
        )
    if is_file(out / WEIGHTS):
        raise RecipeError(
            "recipe_out_weights",
            "{folder} already holds a trained network, {weights}; please name another folder, or move the file away.",
            folder=quoted(str(out)),
            weights=WEIGHTS,
        )


def _readable_without_labels(photos: LabelledPhotos, size: int, progress: Progress) -> ReadablePhotos:
    """Return the readable ones as one class, so that none of their own classes needs a readable photo.

    Raises:
        DataError: if no photo can be read.
    """
    try:
        one_class = replace(photos, classes=("unknown",), targets=[0] * len(photos), wnids=())
        return readable_photos(one_class, size, progress)
    except DataError as error:
        raise DataError(
            "data_also_unreadable", "None of the photos of --also can be read; please check the files."
        ) from error


def _remove_rule(weights: Path) -> bool:
    """Remove the rejection rule beside weights that are about to be replaced; return whether there was one."""
    rule = rejection_file(weights)
    if not is_file(rule):
        return False
    rule.unlink()
    return True


def interrupted_recipe(out: Path) -> Recipe:
    """Return the recipe of the interrupted training in folder `out`.

    Raises:
        CheckpointError: if its checkpoint is missing or damaged.
    """
    return Recipe.from_dict(read_checkpoint(out / CHECKPOINT)["recipe"])


def _run(trainer: Trainer, held_out: LabelledPhotos, out: Path, save_every: float, verbose: bool) -> None:
    is_main, recipe = trainer.world.is_main, trainer.recipe
    saved_at, totals, evaluated = time.monotonic(), _Totals(), trainer.evaluations_due
    # A row of the log for each epoch, but about thirty in all if epochs are many.
    every = 1 if recipe.minutes or recipe.evaluate_every else max(1, round(recipe.epochs / 30))
    images = 0 if recipe.minutes else recipe.epochs * trainer.per_epoch * trainer.batches.batch
    with (
        _interruption() as interrupted,
        photo_bar(images, trainer.step * trainer.batches.batch, verbose) as bar,
    ):

        def evaluate() -> None:
            try:
                trainer.add_row(_evaluated_row(trainer, held_out, totals, interrupted))
            except KeyboardInterrupt:
                trainer.save(out / CHECKPOINT)
                raise
            write_log(out / LOG, trainer.log)
            if verbose:
                bar.write(row_text(trainer.log[-1], len(held_out.classes), trainer.per_epoch), file=sys.stderr)

        if is_main and _lacks_row(trainer, every):
            evaluate()
        for step in trainer.steps():
            totals.add(step)
            bar.update(step.photos)
            bar.set_postfix_str(step_text(trainer, totals.mean_loss, totals.mean_top1), refresh=False)
            if trainer.finished or (trainer.evaluations_due > evaluated and trainer.evaluations_due % every == 0):
                evaluated = trainer.evaluations_due
                if is_main:
                    evaluate()
                totals = _Totals()
            # Asked once: a signal that arrived between two questions would end the training without a checkpoint.
            stopping = interrupted()
            if is_main and (stopping or trainer.finished or time.monotonic() - saved_at >= save_every):
                trainer.save(out / CHECKPOINT)
                saved_at = time.monotonic()
            if stopping:
                raise KeyboardInterrupt


def _lacks_row(trainer: Trainer, every: int) -> bool:
    """Return whether a resumed training has not been evaluated where it should have been.

    So it is if it was interrupted in that evaluation, or if its new length ends here.
    """
    if trainer.log and trainer.log[-1].step == trainer.step:
        return False
    interval = trainer.recipe.evaluate_every or trainer.per_epoch
    due = trainer.step > 0 and trainer.step % interval == 0 and trainer.evaluations_due % every == 0
    return due or trainer.finished


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGINT or SIGTERM has arrived, so that a started step is completed first.

    A second signal ends the process at once; the last checkpoint is complete, as files are replaced at once.
    """
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        if received:
            os.write(2, f"{LINE}\n".encode())
            os._exit(STATUS)
        received.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signal handlers can be set in the main thread only
        return
    before = {number: signal.signal(number, receive) for number in SIGNALS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Totals:
    """Sums over the steps since the last row of the log."""

    def __init__(self) -> None:
        self.seconds, self.steps, self.photos, self.loss, self.top1 = 0.0, 0, 0, 0.0, 0.0

    def add(self, step: Step) -> None:
        self.seconds += step.seconds
        self.steps += 1
        self.photos += step.photos
        self.loss += step.loss
        self.top1 += step.top1

    @property
    def mean_loss(self) -> float:
        """NaN without a step."""
        return self.loss / self.steps if self.steps else nan

    @property
    def mean_top1(self) -> float:
        """NaN without a step."""
        return self.top1 / self.steps if self.steps else nan


def _evaluated_row(
    trainer: Trainer, held_out: LabelledPhotos, totals: _Totals, interrupted: Callable[[], bool]
) -> LogRow:
    """Evaluate the averaged weights on the held-out photos.

    Raises:
        KeyboardInterrupt: if a signal has arrived.
        DivergenceError: if the weights are so large that activations are not finite.
    """

    def until_interrupted(batches: Iterable[int]) -> Iterator[int]:
        for batch in batches:
            if interrupted():
                raise KeyboardInterrupt
            yield batch

    model = averaged_model(trainer)
    try:
        answers = labelled_logits(model, held_out, until_interrupted)
    except ActivationOverflowError as error:
        raise diverged(trainer.step) from error
    evaluation = evaluate_logits(model, held_out, answers)
    return LogRow(
        epoch=trainer.epoch,
        step=trainer.step,
        minutes=round(trainer.seconds / 60, 2),
        size=trainer.size_at(trainer.step - 1),
        rate=round(trainer.recipe.rate_at(trainer.progress_at(trainer.step)), 5),
        images_per_second=round(totals.photos / max(totals.seconds, 1e-9), 1),
        loss=round(totals.mean_loss, 4),
        top1=round(totals.mean_top1, 4),
        held_out_loss=round(float(torch.nn.functional.cross_entropy(answers.logits, answers.targets)), 4),
        held_out_top1=round(evaluation.top1, 4),
        held_out_top5=round(evaluation.top5, 4),
    )


def _worker_count(device: torch.device) -> int:
    # On a CPU training itself needs the cores, and decoding takes a twentieth of the time.
    return min(available_cores(), 16) if device.type == "cuda" else 1
