"""`train`: the options of a training, and the recipe that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from .numbers import MAX_SIDE, MIN_SIDE, real, real_option, refused, whole, whole_option
from .options import MODELS, VARIANTS, YEAR_MINUTES, OneDevice, listed, path_option, text_option
from .training_run import VAL_SPLIT, run

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from ..training.recipe import Recipe

SCRATCH = "scratch"
MIXES = ("none", "mixup", "cutmix", "both")
MAX_EPOCHS = 1_000_000
MAX_BATCH = 100_000
MAX_WORKERS = 256
MAX_SEED = 2**63 - 1  # of PyTorch
MAX_SIZES, MAX_PARTS = 16, 1_000_000

_side, _part = whole(MIN_SIDE, MAX_SIDE), real(0, MAX_PARTS, above=True)


def _sizes(text: str) -> tuple[tuple[int, float], ...]:
    parts = text.split(",")
    try:
        if len(parts) > MAX_SIZES:
            raise typer.BadParameter("")
        return tuple((_side(side), _part(share or "1")) for side, _, share in (part.partition(":") for part in parts))
    except typer.BadParameter as error:
        raise refused(
            text,
            f"of the form 64:2,96:1,128:1: at most {MAX_SIZES} sides in pixels from {MIN_SIDE} to {MAX_SIDE}, each "
            f"with its share of the training, above 0 and at most {MAX_PARTS}",
        ) from error


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


# Options of the recipe are None unless they are given: a resumed training takes the others from its checkpoint.
def _whole(name: str, minimum: int, maximum: int, help: str, default: str, **more: Any) -> Any:
    return whole_option(name, minimum, maximum, help, rich_help_panel="Recipe", default=default, **more)


def _real(name: str, minimum: float, maximum: float, help: str, default: str, **more: Any) -> Any:
    more = {"metavar": "SHARE", **more}
    return real_option(name, minimum, maximum, help, rich_help_panel="Recipe", default=default, **more)


def _text(name: str, help: str, default: str, **more: Any) -> Any:
    return text_option(name, help, rich_help_panel="Recipe", default=default, **more)


def _flag(name: str, help: str) -> Any:
    return typer.Option(name, help=help, rich_help_panel="Recipe", show_default=False)


def train(
    context: typer.Context,
    data: Annotated[
        str,
        text_option(
            "--data",
            "A folder with train/ and val/ of one folder for each class, one such folder, Parquet files, or the name "
            "of a data set on the Hugging Face hub (owner/name).",
            metavar="DATA",
        ),
    ],
    folder: Annotated[Path, path_option("--out", "DIR", "Folder for what the training writes.")],
    classes: Annotated[
        Any,
        typer.Option("--classes", parser=_names, metavar="NAME,NAME,...", help="Use only these of the data's classes."),
    ] = None,
    also: Annotated[
        str | None,
        text_option(
            "--also",
            "Further photos without labels, which the teacher labels: a folder, or data as for --data, whose labels "
            "are ignored.",
            metavar="DATA",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the interrupted training in --out.")] = False,
    val_split: Annotated[
        float,
        real_option(
            "--val-split",
            0,
            1,
            "Share of data without a val part that is kept for validation",
            above=True,
            below=True,
            metavar="SHARE",
        ),
    ] = VAL_SPLIT,
    device: OneDevice = "auto",
    workers: Annotated[
        int | None,
        whole_option(
            "--workers",
            0,
            MAX_WORKERS,
            "Processes that decode photos",
            default="1; on a GPU one for each core, up to 16",
        ),
    ] = None,
    save_every: Annotated[
        float,
        real_option("--save-every", 0, YEAR_MINUTES * 60, "Time between checkpoints in seconds", metavar="SECONDS"),
    ] = 120,
    variant: Annotated[
        str | None,
        _text("--variant", f"{listed(VARIANTS)}.", "that of --from, or batchnorm", values=VARIANTS, metavar="VARIANT"),
    ] = None,
    start: Annotated[
        str | None,
        _text(
            "--from",
            "Weights to start from: a name that `models` lists, a checkpoint, or scratch.",
            "tiny-imagenet; scratch for the other variants",
            values=(*MODELS, SCRATCH),
            metavar="WEIGHTS",
        ),
    ] = None,
    freeze_stem: Annotated[bool | None, _flag("--freeze-stem", "Do not train the layers before block 3a.")] = None,
    aux: Annotated[bool | None, _flag("--aux", "Train with the paper's two auxiliary classifiers.")] = None,
    dropout: Annotated[
        float | None, _real("--dropout", 0, 1, "Dropout before the classifier", "0.2", below=True)
    ] = None,
    epochs: Annotated[int | None, _whole("--epochs", 1, MAX_EPOCHS, "Epochs", "30")] = None,
    minutes: Annotated[
        float | None,
        _real(
            "--minutes",
            0,
            YEAR_MINUTES,
            "Train for this many minutes instead",
            "the epochs decide",
            above=True,
            metavar="M",
        ),
    ] = None,
    image_size: Annotated[
        int | None, _whole("--image-size", MIN_SIDE, MAX_SIDE, "Side of the photos in pixels", "128", metavar="PX")
    ] = None,
    sizes: Annotated[
        Any,
        typer.Option(
            "--sizes",
            parser=_sizes,
            metavar="PX:SHARE,...",
            help="Progressive sizes with their shares of the training, for instance 64:2,96:1,128:1; instead of "
            f"--image-size. At most {MAX_SIZES} sides: from {MIN_SIDE} to {MAX_SIDE}.",
            rich_help_panel="Recipe",
        ),
    ] = None,
    batch: Annotated[int | None, _whole("--batch", 1, MAX_BATCH, "Photos in a step, over all processes", "128")] = None,
    accumulate: Annotated[
        int | None, _whole("--accumulate", 1, MAX_BATCH, "Parts in which a batch is computed", "1")
    ] = None,
    rate: Annotated[
        float | None, _real("--rate", 0, 100, "Highest learning rate", "0.05", above=True, metavar="RATE")
    ] = None,
    warm_up: Annotated[
        float | None, _real("--warm-up", 0, 1, "Share of the training in which the rate rises", "0.05", below=True)
    ] = None,
    weight_decay: Annotated[float | None, _real("--weight-decay", 0, 1, "Weight decay", "0.0001", metavar="D")] = None,
    smoothing: Annotated[
        float | None, _real("--smoothing", 0, 1, "Label smoothing", "0.1", below=True, metavar="S")
    ] = None,
    smallest_crop: Annotated[
        float | None,
        _real("--smallest-crop", 0, 1, "Smallest crop's share of a photo's area; 1 for no crops", "0.35", above=True),
    ] = None,
    flip: Annotated[
        bool | None, _flag("--flip/--no-flip", "Mirror photos at random, or never.  [default: flip]")
    ] = None,
    colour: Annotated[
        float | None,
        _real("--colour", 0, 1, "Jitter of brightness, contrast and saturation", "0", metavar="C"),
    ] = None,
    zoom_out: Annotated[
        float | None, _real("--zoom-out", 0, 1, "Share of the photos that are shown whole and small", "0")
    ] = None,
    degrade: Annotated[
        float | None, _real("--degrade", 0, 1, "Share of the photos that are reduced to a low resolution", "0")
    ] = None,
    also_share: Annotated[
        float | None,
        _real("--also-share", 0, 1, "Share of each batch that comes from --also", "0.1", above=True, below=True),
    ] = None,
    teacher: Annotated[
        str | None,
        _text(
            "--teacher",
            "Teacher network for distillation: a name that `models` lists, or a checkpoint.",
            "",
            values=MODELS,
            metavar="WEIGHTS",
        ),
    ] = None,
    teacher_weight: Annotated[
        float | None,
        _real("--teacher-weight", 0, 1, "Weight of the teacher's answers against the labels", "0.5", metavar="W"),
    ] = None,
    teacher_share: Annotated[
        float | None, _real("--teacher-share", 0, 1, "Fraction of the labelled photos that the teacher is run on", "1")
    ] = None,
    teacher_size: Annotated[
        int | None,
        _whole("--teacher-size", MIN_SIDE, MAX_SIDE, "Side in pixels of the teacher's photos", "224", metavar="PX"),
    ] = None,
    mix: Annotated[
        str | None, _text("--mix", f"Mix photos: {listed(MIXES)}.", "none", values=MIXES, metavar="MIX")
    ] = None,
    average: Annotated[
        float | None,
        _real("--average", 0, 1, "Decay of the moving average of the weights, per step", "0.999", below=True),
    ] = None,
    balance: Annotated[bool | None, _flag("--balance", "Give rare classes more weight in the loss.")] = None,
    held_out: Annotated[
        float | None,
        _real(
            "--held-out",
            0,
            1,
            "Share of the training photos that choose the checkpoint and the temperature",
            "0.1",
            above=True,
            below=True,
        ),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        _whole(
            "--evaluate-every", 0, 10**9, "Steps between two evaluations on the held-out photos", "0, once an epoch"
        ),
    ] = None,
    seed: Annotated[int | None, _whole("--seed", 0, MAX_SEED, "Seed of all random numbers", "0")] = None,
) -> int:
    """Train the network on labelled photos.

    Raises:
        KeyboardInterrupt: after Ctrl+C, with what to do next.
    """
    if image_size is not None and sizes is not None:
        raise UserError("options", "--image-size and --sizes exclude each other; please leave out one of them.")
    if epochs is not None and minutes:
        raise UserError("options", "--epochs and --minutes exclude each other; please leave out one of them.")
    from ..training.loop import interrupted_recipe

    options = context.params
    recipe = replace(interrupted_recipe(folder), **_given(options)) if resume else recipe_of(options)
    return run(
        recipe,
        folder,
        located_at=data,
        also_at=also,
        classes=classes or [],
        val_split=val_split,
        device=device,
        resume=resume,
        save_every=save_every,
        workers=workers,
    )


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    """Return the recipe that the command's options describe.

    The starting weights follow from the variant where only that is given, and the variant from the
    starting weights.
    """
    from ..pretrained.zoo import DEFAULT_MODEL, load
    from ..training.recipe import Recipe

    given = _given(options)
    start, variant = given.get("start"), given.get("variant")
    if start is None and variant not in (None, Recipe.variant):
        given["start"] = SCRATCH
    if variant is None and start not in (None, SCRATCH, DEFAULT_MODEL):
        given["variant"] = load(start).model.variant.name
    return Recipe(**given)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the recipe that were given."""
    from ..training.recipe import Recipe

    values = {field.name: options.get(field.name) for field in fields(Recipe)}
    given = {name: value for name, value in values.items() if value is not None}
    if options.get("image_size") is not None:
        given["sizes"] = ((options["image_size"], 1.0),)
    if "epochs" in given:
        given.setdefault("minutes", 0.0)
    return given
