"""The result of a training run: weights with their calibration, provenance and evaluation, and plots."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ..network.inception_v1 import InceptionV1
from ..pretrained.checkpoint import save_checkpoint
from ..pretrained.description import Description, Provenance
from ..pretrained.pretrained import PretrainedModel
from ..pretrained.zoo import load
from ..runtime.device import cpu_name
from ..runtime.progress import Progress
from ..runtime.threads import available_cores
from ..runtime.wording import counted
from .calibration import MIN_CALIBRATION_PHOTOS, best_temperature, branch_means, half_precision
from .evaluation import Evaluation, LabelledLogits, evaluate_logits, labelled_logits
from .initial_model import layer_options
from .loader import ReadablePhotos
from .photos import LabelledPhotos
from .recipe import SCRATCH, Recipe
from .trainer import Trainer

WEIGHTS = "model.safetensors"
MAX_MISTAKES = 24  # in the plot of the most confident mistakes
NO_PROVENANCE = Provenance("", "", "", "")


@dataclass(frozen=True)
class TrainingResult:
    """Files and figures of a training run; `val` is measured once, at the end, on the weights in the file."""

    weights: Path
    val: Evaluation
    temperature: float
    calibrated: bool  # whether there were enough held-out photos to fit the temperature
    skipped: tuple[str, ...]  # names of photos that cannot be read


def averaged_model(trainer: Trainer) -> PretrainedModel:
    """Return the averaged weights as a `PretrainedModel`."""
    return PretrainedModel(
        name="training",
        model=cast("InceptionV1", trainer.averaged.module.eval()),
        preprocessing=trainer.preprocessing,
        labels=trainer.photos.classes,
        provenance=NO_PROVENANCE,
    )


def write_result(
    trainer: Trainer,
    training: ReadablePhotos,
    held_out: LabelledPhotos,
    val: LabelledPhotos,
    out: Path,
    *,
    data_name: str,
    data_options: Sequence[str],
    progress: Callable[[str], Progress],
) -> TrainingResult:
    """Calibrate and evaluate the best averaged weights, and write them and the plots into folder `out`.

    `progress` returns a progress bar with a description.
    """
    model = trainer.averaged.module.eval()
    model.load_state_dict(trainer.best_state)
    state = half_precision({name: tensor.cpu() for name, tensor in model.state_dict().items()})
    means = branch_means(averaged_model(trainer), trainer.photos, progress=progress("branch means"))
    preact, use_bias = layer_options(trainer.model)
    description = Description(
        variant=trainer.recipe.variant,
        classes=trainer.photos.classes,
        preprocessing=trainer.preprocessing,
        provenance=NO_PROVENANCE,
        preact=preact,
        use_bias=use_bias,
    )
    # Calibration and evaluation use the weights as they are in the file, in half precision.
    weights = out / WEIGHTS
    save_checkpoint(weights, state, description, means)
    saved = load(weights, trainer.device)
    held_out_logits = labelled_logits(saved, held_out, progress("held-out photos"))
    temperature = best_temperature(held_out_logits.logits, held_out_logits.targets)
    saved = replace(saved, temperature=temperature)
    val_logits = labelled_logits(saved, val, progress("validation photos"))
    evaluation = evaluate_logits(saved, val, val_logits)
    uncalibrated = evaluate_logits(replace(saved, temperature=1.0), val, val_logits)
    description = replace(
        description,
        temperature=temperature,
        provenance=Provenance(
            source=_source_text(trainer.recipe),
            licence="yours; the photos' licences may say more",
            training_data=_data_text(trainer, data_name),
            accuracy=accuracy_text(evaluation),
        ),
        training={
            "command": command_line(trainer.recipe, ["--data", data_name, *data_options]),
            "recipe": trainer.recipe.to_dict(),
            "photos": len(trainer.photos),
            "without_labels": len(trainer.also or ()),
            "held_out": len(held_out),
            "skipped": len(training.skipped),
            "steps": trainer.step,
            "minutes": round(trainer.seconds / 60, 1),
            "hardware": hardware_text(trainer.device, trainer.low_precision),
            "val": {
                "images": evaluation.images,
                "top1": evaluation.top1,
                "top5": evaluation.top5,
                "ece": evaluation.ece,
                "ece_before_temperature": uncalibrated.ece,
            },
        },
    )
    save_checkpoint(weights, state, description, means)
    _save_plots(trainer, saved, val, val_logits, out)
    calibrated = len(held_out_logits.targets) >= MIN_CALIBRATION_PHOTOS
    return TrainingResult(weights, evaluation, temperature, calibrated, training.skipped + val_logits.skipped)


def _save_plots(
    trainer: Trainer,
    saved: PretrainedModel,
    val: LabelledPhotos,
    val_logits: LabelledLogits,
    out: Path,
) -> None:
    # Loads matplotlib, for which a refused command need not wait.
    from . import plots

    probabilities = saved.probabilities(val_logits.logits).numpy()
    predicted, targets = val_logits.logits.argmax(dim=1).numpy(), val_logits.targets.numpy()
    confidence = probabilities.max(axis=1)
    labels = saved.labels
    plots.curves([asdict(row) for row in trainer.log], top5=len(labels) > 5).save(out / "curves.png")
    plots.confusion(plots.confusion_counts(targets, predicted, len(labels)), labels).save(out / "confusion.png")
    raw_confidence = torch.softmax(val_logits.logits, dim=1).amax(dim=1).numpy()
    confidences = {"as trained": raw_confidence}
    if saved.temperature != 1:
        confidences[f"temperature {saved.temperature:g}"] = confidence
    correct = predicted == targets
    reliability = plots.reliability({label: (values, correct) for label, values in confidences.items()})
    reliability.save(out / "reliability.png")
    wrong = sorted(np.flatnonzero(~correct), key=lambda index: -confidence[index])[:MAX_MISTAKES]
    plots.mistakes(
        [
            (
                val.photo(val_logits.photos[index]),
                f"{labels[predicted[index]]}, {confidence[index]:.0%}",
                f"is {labels[targets[index]]}",
            )
            for index in wrong
        ]
    ).save(out / "mistakes.png")


def _source_text(recipe: Recipe) -> str:
    start = "trained from scratch" if recipe.start == SCRATCH else f"fine-tuned from {Path(recipe.start).stem}"
    return f"{start}, with {Path(recipe.teacher).stem} as a teacher" if recipe.teacher else start


def _data_text(trainer: Trainer, name: str) -> str:
    labelled = f"{name}: {photos_text(trainer.photos)}"
    return f"{labelled}, and {counted(len(trainer.also), 'photo')} without labels" if trainer.also else labelled


def photos_text(photos: LabelledPhotos) -> str:
    """Return for instance "900 photos of 2 classes"."""
    return f"{counted(len(photos), 'photo')} of {counted(len(photos.classes), 'class', 'classes')}"


def accuracy_text(evaluation: Evaluation) -> str:
    """Return the accuracy in words; top-5 accuracy only for more than five classes."""
    top5 = f" and {100 * evaluation.top5:.1f} % top-5" if len(evaluation.per_class) > 5 else ""
    plural = "" if evaluation.images == 1 else "s"
    return f"{100 * evaluation.top1:.1f} % top-1{top5} on {evaluation.images:,} validation photo{plural}"


def calibration_text(result: TrainingResult) -> str:
    """Return the calibration error and the temperature in words."""
    temperature = (
        f"temperature {result.temperature:g}"
        if result.calibrated
        else f"no temperature: fewer than {MIN_CALIBRATION_PHOTOS} held-out photos"
    )
    return f"calibration error {error_text(result.val)}, {temperature}"


def error_text(evaluation: Evaluation) -> str:
    """Return the calibration error, and what it would be by chance alone."""
    return f"{evaluation.ece:.3f} ({evaluation.ece_by_chance:.3f} if perfectly calibrated)"


def command_line(recipe: Recipe, data_options: Sequence[str]) -> str:
    """Return the shell command that trains with this recipe."""
    return shlex.join(["python", "-m", "inception", "train", *data_options, "--out", "OUT", *recipe.as_options()])


def hardware_text(device: torch.device, low_precision: bool) -> str:
    """Return the hardware, the precision and PyTorch's version in words."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{available_cores()} cores ({cpu_name()})"
    return f"{name}, {'bfloat16' if low_precision else 'float32'}, PyTorch {torch.__version__.split('+')[0]}"
