"""The trainer: optimisation steps, averaged weights and checkpoints."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from ..errors import UserError
from ..network.inception_v1 import InceptionV1
from ..runtime.files import replace_file
from ..runtime.wording import counted
from ..vision.preprocessing import Preprocessing
from .checkpoint import CheckpointError
from .distributed import SINGLE_PROCESS, World, low_precision
from .loader import UNLABELLED, BatchSampler, data_loader
from .log import LogRow
from .photos import LabelledPhotos
from .recipe import Recipe, RecipeError
from .teacher import Teacher, divergence

if TYPE_CHECKING:
    from torchvision.transforms import v2

AUXILIARY_WEIGHT = 0.3  # Szegedy et al. 2014, section 5
MOMENTUM = 0.9
MAX_GRADIENT_NORM = 5.0  # without BatchNorm, where a few large gradients would make training diverge


class DivergenceError(UserError):
    """A training whose loss or activations are no longer finite."""


def diverged(step: int) -> DivergenceError:
    """Return the error of a training that diverged at `step`."""
    return DivergenceError(
        "train_diverged",
        "The loss is no longer finite at step {step}; please begin anew with a smaller --rate.",
        step=step,
    )


@dataclass(frozen=True)
class Step:
    """Mean loss and accuracy of one step over this process's share of the batch, and the photos of all processes.

    `seconds` is the time that the step and its photos took, without what the caller of `steps` did before it.
    """

    loss: float
    top1: float
    photos: int
    seconds: float = 0.0


class TeacherLogits(NamedTuple):
    """The teacher's logits (n, classes) for some photos of a batch, and their positions in the batch (n,)."""

    photos: Tensor
    logits: Tensor


class LossModule(nn.Module):
    """The network and its loss in one module, as DistributedDataParallel needs it."""

    def __init__(
        self, model: InceptionV1, smoothing: float, class_weights: Tensor | None, teacher_weight: float = 0.5
    ) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing
        self.class_weights = class_weights
        self.teacher_weight = teacher_weight

    def forward(self, photos: Tensor, targets: Tensor, teacher: TeacherLogits | None = None) -> tuple[Tensor, Tensor]:
        """Compute the loss and the logits (N, classes) of normalised photos (N, 3, H, W).

        `targets` are classes (N,), or probabilities (N, classes) of mixed photos. `teacher` must cover every photo
        of the class `UNLABELLED`.
        """
        trace = self.model.trace(photos)
        logits = trace.required_logits
        losses = [self._loss(logits, targets, teacher)]
        losses += [AUXILIARY_WEIGHT * self._loss(auxiliary, targets, teacher) for auxiliary in trace.aux.values()]
        return torch.stack(losses).sum(), logits

    def _loss(self, logits: Tensor, targets: Tensor, teacher: TeacherLogits | None) -> Tensor:
        if teacher is None:
            return F.cross_entropy(logits.float(), targets, self.class_weights, label_smoothing=self.smoothing)
        losses = F.cross_entropy(
            logits.float(),
            targets,
            self.class_weights,
            label_smoothing=self.smoothing,
            reduction="none",
            ignore_index=UNLABELLED,
        )
        weight = torch.where(targets[teacher.photos] == UNLABELLED, 1.0, self.teacher_weight)
        distillation = divergence(logits[teacher.photos].float(), teacher.logits)
        blended = torch.lerp(losses[teacher.photos], distillation, weight)
        return losses.index_copy(0, teacher.photos, blended).mean()


class Trainer:
    """Train `model` in place; `averaged` holds the moving average of its weights.

    Args:
        model: on the device to train on.
        photos: the training photos, without the held-out ones.
        also: further photos for distillation; their labels are ignored.
        teacher: on the same device; required if the recipe names one.
        workers: processes that decode photos.
        fingerprint: of the photos, as `split.fingerprint` returns it; a checkpoint of others is refused.
        world: this process's rank among the training processes.
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
        fingerprint: str = "",
        world: World = SINGLE_PROCESS,
    ) -> None:
        self.fingerprint = fingerprint
        self.recipe, self.model, self.preprocessing, self.photos = recipe, model, preprocessing, photos
        self.also, self.teacher, self.workers, self.world = also, teacher, workers, world
        self.device = next(model.parameters()).device
        self.low_precision = low_precision(self.device)
        self.step, self.seconds = 0, 0.0
        self.log: list[LogRow] = []
        self.best: tuple[float, float] = (-1.0, 0.0)
        self.best_state: dict[str, Tensor] = {}

        model.to(memory_format=torch.channels_last).train()
        if recipe.freeze_stem:
            model.stem.requires_grad_(False)
        self.averaged = AveragedModel(model, multi_avg_fn=self._average, use_buffers=True)
        class_weights = _class_weights(photos).to(self.device) if recipe.balance else None
        loss_module = LossModule(model, recipe.smoothing, class_weights, recipe.teacher_weight)
        self.loss_module: nn.Module = DistributedDataParallel(loss_module) if world.size > 1 else loss_module
        self.optimizer = torch.optim.SGD(
            _parameter_groups(model, recipe.weight_decay), lr=recipe.rate, momentum=MOMENTUM, nesterov=True
        )
        self.mix = _mix(recipe.mix, len(photos.classes))
        self.batches = BatchSampler(
            len(photos), recipe, self.size_at, also=len(also or ()), rank=world.rank, world=world.size
        )

        self._check_parts()

    def _check_parts(self) -> None:
        """Check that BatchNorm gets several values of each channel from every part of a batch.

        Raises:
            RecipeError: if a part is a single photo so small that block 5b has a single cell.
        """
        share, side = self.batches.batch // self.world.size, min(side for side, _ in self.recipe.sizes)
        if self.model.variant.block_eps is None or share // min(self.recipe.accumulate, share) > 1:
            return
        with torch.inference_mode():
            features = self.model.eval().trace(torch.zeros(1, 3, side, side, device=self.device)).features
        self.model.train()
        if features.shape[2:].numel() == 1:
            raise RecipeError(
                "recipe_part",
                "A part of a batch is one photo of {side} pixels, too little for BatchNorm; please choose a larger "
                "--batch, a smaller --accumulate or larger photos.",
                side=side,
            )

    # ---------------------------------------------------------------- progress

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; the photos of an incomplete last batch are left out."""
        return self.batches.per_epoch

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return self.step // self.per_epoch

    def progress_at(self, step: int) -> float:
        """Return the fraction of the training that is complete before `step`."""
        if self.recipe.minutes:
            return min(self.seconds / (60 * self.recipe.minutes), 1.0)
        return min(step / (self.recipe.epochs * self.per_epoch), 1.0)

    def size_at(self, step: int) -> int:
        """Return the side of the photos at `step`, in pixels."""
        return self.recipe.size_at(self.progress_at(step))

    @property
    def finished(self) -> bool:
        """Whether training is complete."""
        return self.progress_at(self.step) >= 1

    @property
    def evaluations_due(self) -> int:
        """Evaluations on the held-out photos that the recipe schedules up to now."""
        return self.step // (self.recipe.evaluate_every or self.per_epoch)

    @property
    def _photo_count(self) -> int:
        return len(self.photos) + len(self.also or ())

    # ---------------------------------------------------------------- steps

    def steps(self) -> Iterator[Step]:
        """Train to the end, yielding after each step so that the caller can evaluate, log and save."""
        self.batches.step = self.step
        batches = iter(data_loader(self.photos, self.recipe, self.batches, self.workers, self.also))
        before = time.monotonic()
        while not self.finished:
            begin = time.monotonic()
            step = self.train_step(*next(batches))
            end = time.monotonic()
            # Also what the caller has done since the last step, as the length of a training is wall-clock time.
            self.seconds, before = self.seconds + end - before, end
            yield replace(step, seconds=end - begin)

    def train_step(self, samples: Tensor, targets: Tensor) -> Step:
        """Take one optimisation step on photos (N, 3, H, W) in 0..255 and their classes (N,)."""
        rate = self.recipe.rate_at(self.progress_at(self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        step = self.backward(samples, targets)
        if not isfinite(step.loss):
            raise diverged(self.step)
        if self.model.variant.block_eps is None:
            nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.averaged.update_parameters(self.model)
        self.step += 1
        return step

    def backward(self, samples: Tensor, targets: Tensor) -> Step:
        """Compute the gradient of the mean loss over the photos of all processes, into `.grad`."""
        self.optimizer.zero_grad(set_to_none=True)
        self.set_train_mode()
        loss, right, parts = 0.0, 0.0, min(self.recipe.accumulate, len(targets))
        for part in range(parts):
            # Each step seeds the generator, so that a checkpoint need not store its state.
            torch.manual_seed(hash((self.recipe.seed, self.step, self.world.rank * parts + part)) & 0xFFFF_FFFF)
            photos, classes = self._to_device(samples[part::parts], targets[part::parts])
            teacher_logits = self._teacher_logits(photos, classes) if self.teacher else None
            photos = self.preprocessing.normalise(photos).contiguous(memory_format=torch.channels_last)
            mixed, mixed_classes = self.mix(photos, classes) if self.mix else (photos, classes)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision):
                part_loss, logits = self.loss_module(mixed, mixed_classes, teacher_logits)
            (part_loss * (len(classes) / len(targets))).backward()
            loss += float(part_loss.detach()) * len(classes) / len(targets)
            right += float((logits.detach().argmax(1) == classes).sum())
        return Step(loss, right / max(int((targets != UNLABELLED).sum()), 1), len(targets) * self.world.size)

    def _to_device(self, samples: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return samples.to(self.device, non_blocking=True).float(), targets.to(self.device, non_blocking=True)

    def _teacher_logits(self, samples: Tensor, classes: Tensor) -> TeacherLogits | None:
        """Run the teacher on all unlabelled photos and a random `teacher_share` of the labelled ones."""
        assert self.teacher is not None
        drawn = torch.rand(len(classes)) < self.recipe.teacher_share
        chosen = (drawn.to(self.device) | (classes == UNLABELLED)).nonzero().squeeze(1)
        # Tensors made in inference mode cannot take part in a gradient; a copy can.
        return TeacherLogits(chosen, self.teacher.logits(samples[chosen]).clone()) if len(chosen) else None

    def set_train_mode(self) -> None:
        """Set training mode, except in a frozen stem, whose BatchNorm statistics stay fixed too."""
        self.model.train()
        if self.recipe.freeze_stem:
            self.model.stem.eval()

    @torch.no_grad()
    def _average(self, averaged: Any, current: Any, count: Any) -> None:
        """Update an exponential moving average whose decay grows with `count`, so that early steps fade quickly."""
        decay = min(self.recipe.average, (1 + int(count)) / (10 + int(count)))
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    # ---------------------------------------------------------------- log and best weights

    def add_row(self, row: LogRow) -> None:
        """Append a row to the log, and keep the averaged weights if they are the best on the held-out photos so far."""
        self.log.append(row)
        score = (row.held_out_top1, -row.held_out_loss)
        if score >= self.best:
            self.best = score
            self.best_state = {name: tensor.cpu().clone() for name, tensor in self.averaged.module.state_dict().items()}

    # ---------------------------------------------------------------- checkpoints

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically.

        Raises:
            OSError: if it cannot be written; an earlier checkpoint stays intact.
        """
        file = io.BytesIO()
        torch.save(
            {
                "recipe": self.recipe.to_dict(),
                "classes": list(self.photos.classes),
                "photos": self._photo_count,
                "fingerprint": self.fingerprint,
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
        """Continue from a checkpoint that `checkpoint.read_checkpoint` returned.

        Raises:
            CheckpointError: if it is of other photos.
        """
        if (tuple(state["classes"]), state["photos"]) != (self.photos.classes, self._photo_count):
            raise CheckpointError(
                "checkpoint_photos",
                "The interrupted training had {before} of {classes}, these are {now} of {others}; "
                "please name the same photos, or begin anew with another --out.",
                before=counted(state["photos"], "photo"),
                classes=counted(len(state["classes"]), "class", "classes"),
                now=self._photo_count,
                others=len(self.photos.classes),
            )
        # Checkpoints of earlier versions have none.
        if state.get("fingerprint", self.fingerprint) != self.fingerprint:
            raise CheckpointError(
                "checkpoint_other_photos",
                "The interrupted training had other photos, or other ones for validation or without labels, or an "
                "earlier version began it with --also; please name the same photos, --val-split and --also, or begin "
                "anew with another --out.",
            )
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.log = [LogRow(**row) for row in state["log"]]
        self.best, self.best_state = tuple(state["best"]), state["best_state"]


def _class_weights(photos: LabelledPhotos) -> Tensor:
    counts = torch.bincount(torch.tensor(photos.targets), minlength=len(photos.classes)).float()
    return counts.sum() / (len(counts) * counts)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return optimizer groups with weight decay for weights, and without for biases and BatchNorm's parameters."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _mix(kind: str, classes: int) -> v2.Transform | None:
    from torchvision.transforms import v2

    transforms = {"mixup": [v2.MixUp], "cutmix": [v2.CutMix], "both": [v2.MixUp, v2.CutMix]}.get(kind, [])
    return v2.RandomChoice([transform(num_classes=classes) for transform in transforms]) if transforms else None
