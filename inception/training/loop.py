"""A whole training, from labelled photos to a folder with the weights, the log and the pictures."""

from __future__ import annotations

import csv
import io
import os
import platform
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_type_hints

import numpy as np
import torch
from tqdm import tqdm

from ..errors import quoted
from ..network.inception_v1 import InceptionV1
from ..pretrained.checkpoint import save_checkpoint
from ..pretrained.description import Description, Provenance
from ..pretrained.pretrained import PretrainedModel
from ..pretrained.zoo import load
from ..runtime import memory
from ..runtime.files import is_file, make_folder, replace_file
from ..runtime.terminal import err
from ..runtime.wording import counted
from . import plots as figures
from .calibration import beginning, best_temperature, branch_means, halved
from .datasets import LabelledPhotos
from .distributed import joined_world, own_device
from .evaluation import Answers, Evaluation, answers, judged
from .loader import Readable, readable
from .recipe import SCRATCH, Recipe, RecipeError
from .split import split_off
from .teacher import Teacher
from .trainer import Row, Step, Trainer, read_checkpoint

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WEIGHTS, CHECKPOINT, LOG = "model.safetensors", "checkpoint.pt", "log.csv"
WORST_MISTAKES = 24
# More would hardly choose better, and all of them are looked at after every epoch.
HELD_OUT_AT_MOST = 3000


@dataclass(frozen=True)
class Outcome:
    """What a training left behind; `val` is measured once, at the end, on the weights as they lie in the file."""

    weights: Path
    val: Evaluation
    temperature: float
    skipped: tuple[str, ...]


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
) -> Outcome | None:
    """Train, and write `model.safetensors`, `log.csv`, `checkpoint.pt` and pictures into `out`.

    Started by `torchrun`, all processes train together and the first one writes; the others return
    nothing. A checkpoint is written every `save_every` seconds and when interrupted; `resume` goes
    on from it, by the recipe of before (see `interrupted`), whose length alone may be another now.
    The labels of `also` are not used: the recipe's teacher answers these photos.

    Raises:
        DataError: if the photos cannot be used.
        RecipeError, CheckpointError, WeightsError: if the training cannot begin or go on.
        OSError: if nothing can be written into `out`; what was written there before stays whole.
    """
    memory.keep_freed()
    device = own_device(device)
    with joined_world(device) as world:
        talk = world.leads and not quiet
        if recipe.minutes and world.size > 1:
            raise RecipeError("recipe_minutes", "Several processes cannot agree on the time; please give --epochs.")
        if also and not recipe.teacher:
            raise RecipeError(
                "recipe_also", "Photos without labels need a teacher that answers them; please name one by --teacher."
            )
        if not resume and is_file(out / CHECKPOINT):
            raise RecipeError(
                "recipe_out",
                "{folder} holds a training already; go on with it by --resume, or name another folder.",
                folder=quoted(str(out)),
            )
        state = read_checkpoint(out / CHECKPOINT) if resume else None
        if state:
            Recipe.from_dict(state["recipe"]).check_continued_by(recipe)
        val = val.of_classes(photos.classes)
        teacher = None
        if recipe.teacher:
            teacher = Teacher(load(recipe.teacher, device), photos, recipe.teacher_size)
        make_folder(out)

        largest = max(side for side, _ in recipe.sizes)
        learned = readable(photos, largest, _bar("opening photos", talk))
        more = readable(also, largest, _bar("opening further photos", talk)).photos if also else None
        most = max(HELD_OUT_AT_MOST // len(photos.classes), 1)
        ours, held = split_off(learned.photos, recipe.held_out, recipe.seed, most)
        model, preprocessing = beginning(recipe, photos.classes, learned.short_side)
        trainer = Trainer(
            recipe,
            model.to(device),
            preprocessing,
            learned.photos.subset(ours),
            also=more,
            teacher=teacher,
            workers=_workers(device) if workers is None else workers,
            world=world,
        )
        if state:
            trainer.restore(state)
        if talk:
            _introduce(trainer, len(held), len(val))
        _run(trainer, learned.photos.subset(held), out, save_every, talk)
        world.wait()
        if not world.leads:
            return None
        return _finish(trainer, learned, learned.photos.subset(held), val, out, data_name, data_options, talk)


def interrupted(out: Path) -> Recipe:
    """The recipe of the training in folder `out`, to go on with.

    Raises:
        CheckpointError: if there is none, or its checkpoint is damaged.
    """
    return Recipe.from_dict(read_checkpoint(out / CHECKPOINT)["recipe"])


# ---------------------------------------------------------------- while it runs


def _run(trainer: Trainer, held: LabelledPhotos, out: Path, save_every: float, talk: bool) -> None:
    leads, recipe = trainer.world.leads, trainer.recipe
    saved, since, noted = time.monotonic(), _Since(trainer.seconds), trainer.queries
    # A line of the log for each epoch, but about thirty in all where epochs are short.
    every = 1 if recipe.minutes or recipe.evaluate_every else max(1, round(recipe.epochs / 30))
    images = 0 if recipe.minutes else recipe.epochs * trainer.per_epoch * trainer.batches.batch
    with (
        _interruption() as asked,
        tqdm(total=images or None, initial=trainer.step * trainer.batches.batch, **_bar_looks(talk)) as bar,
    ):
        for step in trainer.steps():
            since.add(step)
            bar.update(step.photos)
            bar.set_postfix_str(_postfix(trainer, since), refresh=False)
            if trainer.over or (trainer.queries > noted and trainer.queries % every == 0):
                noted = trainer.queries
                if leads:
                    trainer.note(_row(trainer, held, since))
                    write_log(out / LOG, trainer.log)
                    if talk:
                        bar.write(_line(trainer.log[-1], len(held.classes)), file=sys.stderr)
                since = _Since(trainer.seconds)
            if leads and (asked() or trainer.over or time.monotonic() - saved >= save_every):
                trainer.save(out / CHECKPOINT)
                saved = time.monotonic()
            if asked():
                raise KeyboardInterrupt


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Whether somebody asked to stop (Ctrl-C, or a polite kill); a step that has begun is finished first."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread hears signals
        return
    before = {number: signal.signal(number, lambda number, _: asked.append(number)) for number in SIGNALS}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Since:
    """Sums since the last line of the log."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.photos, self.loss, self.top1 = seconds, 0, 0, 0.0, 0.0

    def add(self, step: Step) -> None:
        self.steps += 1
        self.photos += step.photos
        self.loss += step.loss
        self.top1 += step.top1


def _row(trainer: Trainer, held: LabelledPhotos, since: _Since) -> Row:
    verdict = answers(averaged(trainer), held)
    told = judged(averaged(trainer), held, verdict)
    return Row(
        epoch=trainer.epoch,
        step=trainer.step,
        minutes=round(trainer.seconds / 60, 2),
        size=trainer.size_at(trainer.step - 1),
        rate=round(trainer.recipe.rate_at(trainer.progress_at(trainer.step)), 5),
        images_per_second=round(since.photos / max(trainer.seconds - since.seconds, 1e-9), 1),
        loss=round(since.loss / since.steps, 4),
        top1=round(since.top1 / since.steps, 4),
        held_out_loss=round(float(torch.nn.functional.cross_entropy(verdict.logits, verdict.targets)), 4),
        held_out_top1=round(told.top1, 4),
        held_out_top5=round(told.top5, 4),
    )


def averaged(trainer: Trainer) -> PretrainedModel:
    """The averaged weights as a network that the rest of this program takes."""
    model = trainer.averaged.module.eval()
    return PretrainedModel(
        name="training",
        model=cast("InceptionV1", model),
        preprocessing=trainer.preprocessing,
        labels=trainer.photos.classes,
        provenance=Provenance("", "", "", ""),
    )


def write_log(path: Path, log: list[Row]) -> None:
    """The log as CSV, one line for each `Row`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in log)
    replace_file(path, file.getvalue().encode())


def read_log(path: Path) -> list[Row]:
    """The inverse of `write_log`."""
    kinds = get_type_hints(Row)
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(**{name: kinds[name](value) for name, value in row.items()}) for row in csv.DictReader(file)]


# ---------------------------------------------------------------- what it leaves


def _finish(
    trainer: Trainer,
    learned: Readable,
    held: LabelledPhotos,
    val: LabelledPhotos,
    out: Path,
    data_name: str,
    data_options: Sequence[str],
    talk: bool,
) -> Outcome:
    model = trainer.averaged.module.eval()
    model.load_state_dict(trainer.best_state)
    state = halved({name: tensor.cpu() for name, tensor in model.state_dict().items()})
    means = branch_means(averaged(trainer), trainer.photos, progress=_bar("branch means", talk))
    described = Description(
        variant=trainer.recipe.variant,
        classes=trainer.photos.classes,
        preprocessing=trainer.preprocessing,
        provenance=Provenance("", "", "", ""),
    )
    # Everything that is told about the weights is measured on the file that is left, halved as it is.
    weights = out / WEIGHTS
    save_checkpoint(weights, state, described, means)
    kept = load(weights, trainer.device)
    heard = answers(kept, held, _bar("held-out photos", talk))
    temperature = best_temperature(heard.logits, heard.targets)
    kept = replace(kept, temperature=temperature)
    on_val = answers(kept, val, _bar("validation photos", talk))
    told = judged(kept, val, on_val)
    raw = judged(replace(kept, temperature=1.0), val, on_val)
    described = replace(
        described,
        temperature=temperature,
        provenance=Provenance(
            source=_source(trainer.recipe),
            licence="yours; the photos' licences may say more",
            training_data=_training_data(trainer, data_name),
            accuracy=accuracy(told),
        ),
        training={
            "command": command(trainer.recipe, ["--data", data_name, *data_options]),
            "recipe": trainer.recipe.to_dict(),
            "photos": len(trainer.photos),
            "without_labels": len(trainer.also or ()),
            "held_out": len(held),
            "skipped": len(learned.skipped),
            "steps": trainer.step,
            "minutes": round(trainer.seconds / 60, 1),
            "hardware": hardware(trainer.device, trainer.low_precision),
            "val": {
                "images": told.images,
                "top1": told.top1,
                "top5": told.top5,
                "ece": told.ece,
                "ece_before_temperature": raw.ece,
            },
        },
    )
    save_checkpoint(weights, state, described, means)
    _draw(trainer, kept, raw, told, val, on_val, out)
    return Outcome(weights, told, temperature, learned.skipped + on_val.skipped)


def _draw(
    trainer: Trainer,
    kept: PretrainedModel,
    raw: Evaluation,
    told: Evaluation,
    val: LabelledPhotos,
    on_val: Answers,
    out: Path,
) -> None:
    probabilities = kept.probabilities(on_val.logits).numpy()
    chosen, right = probabilities.argmax(axis=1), on_val.targets.numpy()
    confidence = probabilities.max(axis=1)
    labels = kept.labels
    figures.curves([asdict(row) for row in trainer.log], top5=len(labels) > 5).save(out / "curves.png")
    figures.confusion(figures.counted(right, chosen, len(labels)), labels).save(out / "confusion.png")
    kinds = {f"as trained, error {raw.ece:.3f}": torch.softmax(on_val.logits, dim=1).amax(dim=1).numpy()}
    if kept.temperature != 1:
        kinds[f"temperature {kept.temperature:g}, error {told.ece:.3f}"] = confidence
    reliable = figures.reliability({label: (confident, chosen == right) for label, confident in kinds.items()})
    reliable.save(out / "reliability.png")
    wrong = sorted(np.flatnonzero(chosen != right), key=lambda place: -confidence[place])[:WORST_MISTAKES]
    figures.mistakes(
        [
            (
                val.photo(on_val.photos[place]),
                f"{labels[chosen[place]]}, {confidence[place]:.0%}",
                f"is {labels[right[place]]}",
            )
            for place in wrong
        ]
    ).save(out / "mistakes.png")


def _source(recipe: Recipe) -> str:
    start = "trained from scratch" if recipe.start == SCRATCH else f"trained on from {Path(recipe.start).stem}"
    return f"{start}, with the answers of {Path(recipe.teacher).stem} as a teacher" if recipe.teacher else start


def _training_data(trainer: Trainer, name: str) -> str:
    labelled = f"{name}: {_photos_of(trainer.photos)}"
    return f"{labelled}, and {counted(len(trainer.also), 'photo')} without labels" if trainer.also else labelled


def accuracy(told: Evaluation) -> str:
    """How often the network was right, in words; five guesses among five classes are no feat."""
    top5 = f" and {100 * told.top5:.1f} % top-5" if len(told.per_class) > 5 else ""
    return f"{100 * told.top1:.1f} % top-1{top5} on {told.images:,} validation photo{'' if told.images == 1 else 's'}"


def command(recipe: Recipe, data_options: Sequence[str]) -> str:
    """The one command that trains by this recipe."""
    words = ["python", "-m", "inception", "train", *data_options, "--out", "OUT", *recipe.as_options()]
    return shlex.join(words)


def hardware(device: torch.device, low_precision: bool) -> str:
    """What it was trained on, in words."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores ({_cpu_name()})"
    return f"{kind}, {'bfloat16' if low_precision else 'float32'}, PyTorch {torch.__version__.split('+')[0]}"


def _cpu_name() -> str:
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return str(able.get("cpu_name") or platform.processor() or platform.machine())


# ---------------------------------------------------------------- what is said


def _introduce(trainer: Trainer, held: int, val: int) -> None:
    recipe = trainer.recipe
    counts = np.bincount(trainer.photos.targets, minlength=len(trainer.photos.classes))
    minutes = f"{recipe.minutes:g} minute{'' if recipe.minutes == 1 else 's'}"
    length = minutes if recipe.minutes else counted(recipe.epochs, "epoch")
    lines = [
        f"{_photos_of(trainer.photos)} to learn from, {held} held out to choose by, {val} to validate with at the end",
        f"{length} at {' then '.join(str(side) for side, _ in recipe.sizes)} pixels, "
        f"{counted(trainer.batches.batch, 'photo')} a step, {counted(trainer.per_epoch, 'step')} an epoch, on "
        f"{hardware(trainer.device, trainer.low_precision)}",
    ]
    if counts.max() >= 2 * counts.min():
        few, many = int(counts.argmin()), int(counts.argmax())
        remedy = "they are weighted" if recipe.balance else "--balance would weight them"
        lines.append(
            f"the classes are uneven: {trainer.photos.classes[few]} has {counted(counts[few], 'photo')}, "
            f"{trainer.photos.classes[many]} has {counts[many]}; {remedy}"
        )
    if trainer.step:
        lines.append(f"going on after step {trainer.step} (epoch {trainer.epoch + 1})")
    err(*lines)


def _photos_of(photos: LabelledPhotos) -> str:
    return f"{counted(len(photos), 'photo')} of {counted(len(photos.classes), 'class', 'classes')}"


def _postfix(trainer: Trainer, since: _Since) -> str:
    left = trainer.recipe.minutes - trainer.seconds / 60
    time_left = f", {max(left, 0):.0f} min left" if trainer.recipe.minutes else ""
    size = trainer.size_at(trainer.step)
    return f"{size} px, loss {since.loss / since.steps:.3f}, top-1 {since.top1 / since.steps:.1%}{time_left}"


def _line(row: Row, classes: int) -> str:
    top5 = f"  top-5 {row.held_out_top5:.1%}" if classes > 5 else ""
    return (
        f"epoch {row.epoch:3}  {row.size} px  loss {row.loss:.3f}  top-1 {row.top1:.1%}  "
        f"held out: loss {row.held_out_loss:.3f}  top-1 {row.held_out_top1:.1%}{top5}  "
        f"{row.images_per_second:.0f} img/s"
    )


def _bar(about: str, talk: bool) -> Callable[[Iterable[int]], Iterable[int]]:
    return lambda batches: tqdm(batches, desc=about, unit="batch", leave=False, disable=None if talk else True)


def _bar_looks(talk: bool) -> dict[str, Any]:
    # `disable=None`: no bar where nobody watches a terminal.
    return {"unit": " img", "disable": None if talk else True, "smoothing": 0.05, "dynamic_ncols": True}


def _workers(device: torch.device) -> int:
    # On a CPU training needs the cores itself, and decoding costs a twentieth of it.
    return min(os.cpu_count() or 1, 16) if device.type == "cuda" else 1
