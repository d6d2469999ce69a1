"""The training itself: steps, averaged weights, and checkpoints that lose nothing."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torchvision.transforms import v2

from ..errors import UserError, quoted
from ..network.inception_v1 import InceptionV1
from ..runtime.files import is_file, replace_file
from ..runtime.wording import counted
from ..vision.preprocessing import Preprocessing
from .datasets import LabelledPhotos
from .distributed import ALONE, World, low_precision
from .loader import UNLABELLED, Batches, loader
from .recipe import Recipe
from .teacher import Teacher, divergence

AUXILIARY_WEIGHT = 0.3  # Szegedy et al. 2014, section 5
MOMENTUM = 0.9
# Without BatchNorm a few large gradients would throw the weights far off.
LARGEST_GRADIENT = 5.0


class CheckpointError(UserError):
    """A checkpoint from which a training cannot go on."""


@dataclass(frozen=True)
class Row:
    """One line of the log: what the steps since the line before came to, and the held-out photos' verdict."""

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


@dataclass(frozen=True)
class Step:
    """What one step came to, over this process's share of the batch."""

    loss: float
    top1: float
    photos: int


class Answers(NamedTuple):
    """The teacher's logits (n, classes) for some of a batch's photos, whose places are in `photos` (n,)."""

    photos: Tensor
    logits: Tensor


class LossModule(nn.Module):
    """Photos and classes in, loss and logits out: the forward pass that training differentiates."""

    def __init__(
        self, model: InceptionV1, smoothing: float, class_weights: Tensor | None, teacher_weight: float = 0.5
    ) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing
        self.class_weights = class_weights
        self.teacher_weight = teacher_weight

    def forward(self, photos: Tensor, targets: Tensor, answers: Answers | None = None) -> tuple[Tensor, Tensor]:
        """`targets` are classes (N,), or a share of each class (N, classes) where photos were mixed.

        A photo of the class `UNLABELLED` must be among those that the teacher answered.
        """
        trace = self.model.trace(photos)
        if trace.logits is None:
            raise ValueError("This model was built with include_top=False; there is nothing to train towards.")
        losses = [self._loss(trace.logits, targets, answers)]
        losses += [AUXILIARY_WEIGHT * self._loss(side, targets, answers) for side in trace.aux.values()]
        return torch.stack(losses).sum(), trace.logits

    def _loss(self, logits: Tensor, targets: Tensor, answers: Answers | None) -> Tensor:
        if answers is None:
            return F.cross_entropy(logits.float(), targets, self.class_weights, label_smoothing=self.smoothing)
        losses = F.cross_entropy(
            logits.float(),
            targets,
            self.class_weights,
            label_smoothing=self.smoothing,
            reduction="none",
            ignore_index=UNLABELLED,
        )
        weight = torch.where(targets[answers.photos] == UNLABELLED, 1.0, self.teacher_weight)
        taught = divergence(logits[answers.photos].float(), answers.logits)
        blended = torch.lerp(losses[answers.photos], taught, weight)
        return losses.index_copy(0, answers.photos, blended).mean()


class Trainer:
    """Trains `model` in place; `averaged` is the network to keep.

    Args:
        model: on the device to train on.
        photos: those to learn from, not the held-out ones.
        also: further photos, whose labels are not used: the teacher answers them.
        teacher: on the same device; needed where the recipe names one.
        workers: processes that decode photos.
        world: this process's place among those that train together.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: InceptionV1,
        preprocessing: Preprocessing,
        photos: LabelledPhotos,
        *,
        also: LabelledPhotos | None = None,
        teacher: Teacher | None = None,
        workers: int = 0,
        world: World = ALONE,
    ) -> None:
        self.recipe, self.model, self.preprocessing, self.photos = recipe, model, preprocessing, photos
        self.also, self.teacher, self.workers, self.world = also, teacher, workers, world
        self.device = next(model.parameters()).device
        self.low_precision = low_precision(self.device)
        self.step, self.seconds = 0, 0.0
        self.log: list[Row] = []
        self.best: tuple[float, float] = (-1.0, 0.0)
        self.best_state: dict[str, Tensor] = {}

        model.to(memory_format=torch.channels_last).train()
        if recipe.freeze_stem:
            model.stem.requires_grad_(False)
        self.averaged = AveragedModel(model, multi_avg_fn=self._average, use_buffers=True)
        class_weights = _class_weights(photos).to(self.device) if recipe.balance else None
        lesson = LossModule(model, recipe.smoothing, class_weights, recipe.teacher_weight)
        self.lesson: nn.Module = DistributedDataParallel(lesson) if world.size > 1 else lesson
        self.optimizer = torch.optim.SGD(
            _groups(model, recipe.weight_decay), lr=recipe.rate, momentum=MOMENTUM, nesterov=True
        )
        self.mix = _mix(recipe.mix, len(photos.classes))
        self.batches = Batches(
            len(photos), recipe, self.size_at, also=len(also or ()), rank=world.rank, world=world.size
        )

    # ---------------------------------------------------------------- how far

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; photos that fill no whole batch wait for another epoch's order."""
        return self.batches.per_epoch

    @property
    def epoch(self) -> int:
        """Whole epochs so far."""
        return self.step // self.per_epoch

    def progress_at(self, step: int) -> float:
        """Share of the training that is over before `step`, 0 to 1."""
        if self.recipe.minutes:
            return min(self.seconds / (60 * self.recipe.minutes), 1.0)
        return min(step / (self.recipe.epochs * self.per_epoch), 1.0)

    def size_at(self, step: int) -> int:
        """Side of the photos at `step`, in pixels."""
        return self.recipe.size_at(self.progress_at(step))

    @property
    def over(self) -> bool:
        """Whether the recipe is fulfilled."""
        return self.progress_at(self.step) >= 1

    @property
    def queries(self) -> int:
        """How often the held-out photos should have been looked at so far."""
        return self.step // (self.recipe.evaluate_every or self.per_epoch)

    @property
    def _count(self) -> int:
        return len(self.photos) + len(self.also or ())

    # ---------------------------------------------------------------- steps

    def steps(self) -> Iterator[Step]:
        """Train until the recipe is fulfilled; between two steps the caller may look, log and save."""
        self.batches.step = self.step
        batches = iter(loader(self.photos, self.recipe, self.batches, self.workers, self.also))
        before = time.monotonic()
        while not self.over:
            done = self.learn(*next(batches))
            self.seconds, before = self.seconds + time.monotonic() - before, time.monotonic()
            yield done

    def learn(self, samples: Tensor, targets: Tensor) -> Step:
        """One step on photos (N, 3, H, W) in 0..255 and their classes (N,)."""
        rate = self.recipe.rate_at(self.progress_at(self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        done = self.differentiate(samples, targets)
        if self.model.variant.block_eps is None:
            nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.averaged.update_parameters(self.model)
        self.step += 1
        return done

    def differentiate(self, samples: Tensor, targets: Tensor) -> Step:
        """Leave in `.grad` the gradient of the mean loss over all processes' photos."""
        self.optimizer.zero_grad(set_to_none=True)
        self._hold_still()
        loss, right, parts = 0.0, 0.0, min(self.recipe.accumulate, len(targets))
        for part in range(parts):
            # A step seeds its own chance: a resumed training needs to restore no generator.
            torch.manual_seed(hash((self.recipe.seed, self.step, self.world.rank * parts + part)) & 0xFFFF_FFFF)
            photos, classes = self._moved(samples[part::parts], targets[part::parts])
            answers = self._answers(photos, classes) if self.teacher else None
            photos = self.preprocessing.normalised(photos).contiguous(memory_format=torch.channels_last)
            mixed, shares = self.mix(photos, classes) if self.mix else (photos, classes)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision):
                error, logits = self.lesson(mixed, shares, answers)
            (error * (len(classes) / len(targets))).backward()
            loss += float(error.detach()) * len(classes) / len(targets)
            right += float((logits.detach().argmax(1) == classes).sum())
        return Step(loss, right / max(int((targets != UNLABELLED).sum()), 1), len(targets) * self.world.size)

    def _moved(self, samples: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return samples.to(self.device, non_blocking=True).float(), targets.to(self.device, non_blocking=True)

    def _answers(self, samples: Tensor, classes: Tensor) -> Answers | None:
        """The teacher's, for all photos without a label and a random `teacher_share` of the others."""
        assert self.teacher is not None
        drawn = torch.rand(len(classes)) < self.recipe.teacher_share
        chosen = (drawn.to(self.device) | (classes == UNLABELLED)).nonzero().squeeze(1)
        # What is made in inference mode cannot take part in a gradient; a copy can.
        return Answers(chosen, self.teacher.logits(samples[chosen]).clone()) if len(chosen) else None

    def _hold_still(self) -> None:
        """A frozen stem keeps its BatchNorm statistics too."""
        self.model.train()
        if self.recipe.freeze_stem:
            self.model.stem.eval()

    @torch.no_grad()
    def _average(self, averaged: Any, current: Any, count: Any) -> None:
        """An exponential average that forgets its beginning quickly (the first steps weigh little in the end)."""
        keep = min(self.recipe.average, (1 + int(count)) / (10 + int(count)))
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(averaged, current, 1 - keep)
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    # ---------------------------------------------------------------- the log and the best weights

    def note(self, row: Row) -> None:
        """Add a line to the log; keep the averaged weights where the held-out photos like them best so far."""
        self.log.append(row)
        verdict = (row.held_out_top1, -row.held_out_loss)
        if verdict >= self.best:
            self.best = verdict
            self.best_state = {name: tensor.cpu().clone() for name, tensor in self.averaged.module.state_dict().items()}

    # ---------------------------------------------------------------- checkpoints

    def save(self, path: Path) -> None:
        """Write all that `restore` needs; the file is whole or the one before stays.

        Raises:
            OSError: if nothing can be written there.
        """
        file = io.BytesIO()
        torch.save(
            {
                "recipe": self.recipe.to_dict(),
                "classes": list(self.photos.classes),
                "photos": self._count,
                "step": self.step,
                "seconds": self.seconds,
                "log": [asdict(row) for row in self.log],
                "model": self.model.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best": list(self.best),
                "best_state": self.best_state,
            },
            file,
        )
        replace_file(path, file.getbuffer())

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint that `read_checkpoint` returned.

        Raises:
            CheckpointError: if it comes from other photos.
        """
        if (tuple(state["classes"]), state["photos"]) != (self.photos.classes, self._count):
            raise CheckpointError(
                "checkpoint_photos",
                "The interrupted training had {before} of {classes}, these are {now} of {others}; "
                "please name the same photos, or begin anew with another --out.",
                before=counted(state["photos"], "photo"),
                classes=counted(len(state["classes"]), "class", "classes"),
                now=self._count,
                others=len(self.photos.classes),
            )
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.log = [Row(**row) for row in state["log"]]
        self.best, self.best_state = tuple(state["best"]), state["best_state"]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `Trainer.save` wrote.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    if not is_file(path):
        raise CheckpointError(
            "checkpoint_missing",
            "There is no interrupted training in {folder}; leave out --resume to begin one.",
            folder=quoted(str(path.parent)),
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises what its zip reader and its unpickler raise.
    except Exception as error:
        raise CheckpointError(
            "checkpoint_damaged",
            "{name} is damaged; please remove it and begin anew.",
            name=quoted(str(path)),
        ) from error


def _class_weights(photos: LabelledPhotos) -> Tensor:
    counts = torch.bincount(torch.tensor(photos.targets), minlength=len(photos.classes)).float()
    return counts.sum() / (len(counts) * counts)


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases and BatchNorm's scales do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _mix(kind: str, classes: int) -> v2.Transform | None:
    kinds = {"mixup": [v2.MixUp], "cutmix": [v2.CutMix], "both": [v2.MixUp, v2.CutMix]}.get(kind, [])
    return v2.RandomChoice([mix(num_classes=classes) for mix in kinds]) if kinds else None
