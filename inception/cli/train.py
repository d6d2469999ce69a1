"""The options of `python -m inception train`."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.files import as_text, is_file, is_there
from ..runtime.terminal import err, out, short_path
from .numbers import MAX_SIDE, MIN_SIDE, real, refused, whole

# What needs torch is imported inside the functions: `--help` should not wait for it.
if TYPE_CHECKING:
    from ..training.recipe import Recipe

MIX = "none, mixup, cutmix or both"
A_YEAR = 525_600  # minutes
MOST_EPOCHS = 1_000_000
MOST_IN_A_BATCH = 100_000
MOST_WORKERS = 256
LARGEST_SEED = 2**63 - 1  # that PyTorch takes
MOST_SIZES, MOST_PARTS = 16, 1_000_000

_share = real(0, 1, below=True)
_side, _part = whole(MIN_SIDE, MAX_SIDE), real(0, MOST_PARTS, above=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options; those of the recipe have no value unless they are given."""
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="a folder with train/ and val/ of one folder for each class, one such folder, parquet files, or the name "
        "of a data set on the Hugging Face hub (owner/name)",
    )
    parser.add_argument(
        "--classes",
        type=lambda text: [name.strip() for name in text.split(",")],
        default=[],
        metavar="NAME,NAME,...",
        help="only these of the data's classes",
    )
    parser.add_argument(
        "--also",
        metavar="DATA",
        help="further photos without labels, which the teacher answers: a folder, or data as for --data, whose labels "
        "are not used",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for what the training leaves")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted training in --out")
    parser.add_argument(
        "--val-split",
        type=real(0, 1, above=True, below=True),
        default=0.2,
        metavar="SHARE",
        help="where the data has no val part: the share that is kept to validate with (default: 0.2)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--workers", type=whole(0, MOST_WORKERS), metavar="N", help="processes that decode photos")
    parser.add_argument(
        "--save-every",
        type=real(0, A_YEAR * 60),
        default=120,
        metavar="SECONDS",
        help="between checkpoints (default: 120)",
    )

    recipe = parser.add_argument_group("recipe", argument_default=argparse.SUPPRESS)
    recipe.add_argument("--variant", help="batchnorm, googlenet or torchvision (default: that of --from, or batchnorm)")
    recipe.add_argument(
        "--from",
        dest="start",
        metavar="WEIGHTS",
        help="weights to go on from: a name that `models` lists, a checkpoint, or scratch (default: tiny-imagenet; "
        "scratch for the other variants)",
    )
    recipe.add_argument("--freeze-stem", action="store_true", help="leave the layers before block 3a as they are")
    recipe.add_argument("--aux", action="store_true", help="train with the paper's two auxiliary classifiers")
    recipe.add_argument("--dropout", type=_share, metavar="SHARE", help="before the classifier (default: 0.2)")
    recipe.add_argument(
        "--epochs", type=whole(1, MOST_EPOCHS), metavar="N", help="how often each photo is seen (default: 30)"
    )
    recipe.add_argument("--minutes", type=real(0, A_YEAR, above=True), metavar="M", help="train for this long instead")
    size = recipe.add_mutually_exclusive_group()
    size.add_argument(
        "--image-size", type=whole(MIN_SIDE, MAX_SIDE), metavar="PX", help="side of the photos (default: 128)"
    )
    size.add_argument(
        "--sizes",
        type=_sizes,
        metavar="PX:SHARE,...",
        help="progressive sizes with their shares of the training, for instance 64:2,96:1,128:1",
    )
    recipe.add_argument(
        "--batch",
        type=whole(1, MOST_IN_A_BATCH),
        metavar="N",
        help="photos in a step, over all processes (default: 128)",
    )
    recipe.add_argument(
        "--accumulate",
        type=whole(1, MOST_IN_A_BATCH),
        metavar="N",
        help="compute a batch in so many parts (default: 1)",
    )
    recipe.add_argument("--rate", type=real(0, 100, above=True), help="highest learning rate (default: 0.05)")
    recipe.add_argument("--warm-up", type=_share, metavar="SHARE", help="of the training (default: 0.05)")
    recipe.add_argument("--weight-decay", type=real(0, 1), metavar="D", help="(default: 0.0001)")
    recipe.add_argument("--smoothing", type=_share, metavar="S", help="of the labels (default: 0.1)")
    recipe.add_argument(
        "--smallest-crop",
        type=real(0, 1, above=True),
        metavar="SHARE",
        help="of a photo's area; 1 for no crops (default: 0.35)",
    )
    recipe.add_argument("--no-flip", dest="flip", action="store_false", help="never mirror photos")
    recipe.add_argument(
        "--colour", type=real(0, 1), metavar="C", help="change brightness, contrast and saturation (default: 0)"
    )
    recipe.add_argument(
        "--zoom-out", type=real(0, 1), metavar="SHARE", help="of the photos that are shown whole and small (default: 0)"
    )
    recipe.add_argument(
        "--degrade",
        type=real(0, 1),
        metavar="SHARE",
        help="of the photos that are reduced to a low resolution (default: 0)",
    )
    recipe.add_argument(
        "--also-share", type=real(0, 1), metavar="SHARE", help="of each batch: photos of --also (default: 0.1)"
    )
    recipe.add_argument("--teacher", metavar="WEIGHTS", help="weights whose answers are learned from too: googlenet, …")
    recipe.add_argument(
        "--teacher-weight", type=real(0, 1), metavar="W", help="of its answers against the labels (default: 0.5)"
    )
    recipe.add_argument(
        "--teacher-share", type=real(0, 1), metavar="SHARE", help="of the labelled photos that it answers (default: 1)"
    )
    recipe.add_argument("--teacher-size", type=_side, metavar="PX", help="side of the photos it sees (default: 224)")
    recipe.add_argument("--mix", help=f"mix photos: {MIX} (default: none)")
    recipe.add_argument(
        "--average", type=_share, metavar="SHARE", help="that averaged weights keep at a step (default: 0.999)"
    )
    recipe.add_argument("--balance", action="store_true", help="rare classes weigh more")
    recipe.add_argument(
        "--held-out",
        type=real(0, 1, above=True, below=True),
        metavar="SHARE",
        help="of the training photos, to choose the checkpoint and the temperature by (default: 0.1)",
    )
    recipe.add_argument(
        "--evaluate-every",
        type=whole(0, 10**9),
        metavar="STEPS",
        help="look at the held-out photos (default: 0, each epoch)",
    )
    recipe.add_argument("--seed", type=whole(0, LARGEST_SEED), help="for repeatable runs (default: 0)")


def _sizes(text: str) -> tuple[tuple[int, float], ...]:
    parts = text.split(",")
    try:
        if len(parts) > MOST_SIZES:
            raise argparse.ArgumentTypeError
        return tuple((_side(side), _part(share or "1")) for side, _, share in (part.partition(":") for part in parts))
    except argparse.ArgumentTypeError as error:
        raise refused(
            text,
            f"of the form 64:2,96:1,128:1: at most {MOST_SIZES} sides in pixels from {MIN_SIDE} to {MAX_SIDE}, each "
            f"with its share of the training, above 0 and at most {MOST_PARTS}",
        ) from error


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that the options describe.

    The starting weights follow from the variant where only that is given, and the variant from the
    starting weights.
    """
    from ..pretrained.zoo import DEFAULT_MODEL, load
    from ..training.recipe import SCRATCH, Recipe

    given = _given(options)
    start, variant = given.get("start"), given.get("variant")
    if start is None and variant not in (None, Recipe.variant):
        given["start"] = SCRATCH
    if variant is None and start not in (None, SCRATCH, DEFAULT_MODEL):
        given["variant"] = load(start).model.variant.name
    return Recipe(**given)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    from ..training.recipe import Recipe

    given = {field.name: getattr(options, field.name) for field in fields(Recipe) if hasattr(options, field.name)}
    if hasattr(options, "image_size"):
        given["sizes"] = ((options.image_size, 1.0),)
    if "epochs" in given:
        given.setdefault("minutes", 0.0)
    return given


def _data_name(data: str) -> str:
    return Path(data).name if is_there(Path(data)) else data


def _data_options(options: argparse.Namespace) -> list[str]:
    classes = ["--classes", ",".join(options.classes)] if options.classes else []
    return [*classes, *(["--also", _data_name(options.also)] if options.also else [])]


def run(options: argparse.Namespace) -> int:
    """Train as the options say.

    Raises:
        KeyboardInterrupt: after Ctrl+C, with what to do next.
    """
    from ..runtime.device import choose_device
    from ..runtime.files import is_full, no_room
    from ..training.datasets import located
    from ..training.loop import CHECKPOINT, accuracy, interrupted, train
    from ..training.split import further_photos, training_photos

    recipe = replace(interrupted(options.out), **_given(options)) if options.resume else recipe_of(options)
    device = choose_device(options.device)
    photos, val = training_photos(located(options.data), options.val_split, options.classes)
    also = further_photos(located(options.also)) if options.also else None
    try:
        outcome = train(
            recipe,
            photos,
            val,
            options.out,
            device=device.torch_device,
            data_name=_data_name(options.data),
            data_options=_data_options(options),
            also=also,
            resume=options.resume,
            save_every=options.save_every,
            workers=options.workers,
        )
    except KeyboardInterrupt:
        then = "; the same command with --resume goes on from here" if is_file(options.out / CHECKPOINT) else ""
        raise KeyboardInterrupt(f"Interrupted{then}.") from None
    except OSError as error:
        if not is_full(error):
            raise
        kept = is_file(options.out / CHECKPOINT)
        then = "make some, and go on with the same command and --resume" if kept else "make some, and begin again"
        raise no_room(options.out, then) from error
    if outcome is None:
        return 0
    for name in outcome.skipped:
        err(f"skipped, cannot be read: {short_path(name)}")
    out(f"{accuracy(outcome.val)}, calibration error {outcome.val.ece:.3f} with temperature {outcome.temperature:g}")
    weights = as_text(outcome.weights)
    out(f"{weights}: look inside with python -m inception serve --model {weights}")
    return 0
