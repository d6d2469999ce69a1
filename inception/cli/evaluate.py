"""`evaluate`: accuracy of a network on labelled photos, and its rejection rule from photos of other things."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError, quoted
from ..explain.registry import ABLATIONS, BRANCH_NAMES
from ..runtime.files import check_writable, is_file, write_file
from ..runtime.terminal import err, json_line, out, short_path
from ..runtime.wording import counted
from .device import load_pretrained, with_cpu_fallback
from .numbers import refused, whole_option
from .options import BLOCKS, SPLITS, Json, OneDevice, choice_option, listed, model_argument, path_option, text_option
from .photos import report_ignored
from .progress import progress
from .tables import in_terminal, show, table, text

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from torch import Tensor

    from ..pretrained.pretrained import PretrainedModel
    from ..pretrained.rejection import RejectionMeasurement
    from ..training.evaluation import Evaluation
    from ..training.without import WithoutBranches

MAX_LIMIT = 10**9
MAX_WORDS_CHARACTERS = 200  # of --outside


@dataclass(frozen=True)
class Request:
    """What to measure, and where the photos are."""

    model: str
    data: str
    split: str
    limit: int | None
    unknown: Path | None
    keep: bool
    outside: str
    without: tuple[tuple[str, str], ...]
    off: str
    json: bool


def _words(text: str) -> str:
    if len(text) > MAX_WORDS_CHARACTERS:
        raise refused(text, f"words of at most {MAX_WORDS_CHARACTERS} characters")
    return text


def _branches(text: str) -> tuple[tuple[str, str], ...]:
    """Parse a branch of a block, or "all"."""
    every = {f"{block}:{branch}": (block, branch) for block in BLOCKS for branch in BRANCH_NAMES}
    if text == "all":
        return tuple(every.values())
    if text not in every:
        raise refused(text, "a block and a branch such as 4b:1x1, or all")
    return (every[text],)


def evaluate(
    model: Annotated[str, model_argument("WEIGHTS")],
    data: Annotated[
        str,
        text_option(
            "--data",
            "A folder with one folder for each class, Parquet files, or a data set on the Hugging Face hub.",
            metavar="DATA",
        ),
    ],
    split: Annotated[
        str, text_option("--split", f"Part of the data: {listed(SPLITS)}.", values=SPLITS, metavar="SPLIT")
    ] = "val",
    device: OneDevice = "auto",
    limit: Annotated[
        int | None,
        whole_option("--limit", 1, MAX_LIMIT, "Use no more than N photos, taken evenly from all of them"),
    ] = None,
    unknown: Annotated[
        Path | None,
        path_option(
            "--unknown",
            "DIR",
            'Photos of none of the classes: also find the probability below which an answer is "not sure".',
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --unknown: write that rule next to the weights, which then apply it.")
    ] = False,
    outside: Annotated[
        str,
        typer.Option(
            "--outside",
            parser=_words,
            metavar="WORDS",
            help=f"With --unknown: what those photos show, in at most {MAX_WORDS_CHARACTERS} characters.",
            show_default=False,
        ),
    ] = "",
    without: Annotated[
        list[Any] | None,
        typer.Option(
            "--without",
            parser=_branches,
            metavar="BLOCK:BRANCH",
            help="Also measure the accuracy without this branch, and without as many channels drawn at random from its "
            "block; repeat it for more branches, or say all for the 36. On one core that takes 0.1 seconds for each "
            "photo and branch, 1 second for all; GoogLeNet takes twice as long.",
        ),
    ] = None,
    off: Annotated[
        str,
        choice_option(
            "--off", ABLATIONS, "With --without: what replaces the channels: zero, or their means over training photos."
        ),
    ] = ABLATIONS[0],
    json: Json = False,
) -> int:
    """Measure a network on labelled photos."""
    branches = tuple(branch for group in without or () for branch in group)
    request = Request(model, data, split, limit, unknown, keep, outside, branches, off, json)
    return with_cpu_fallback(device, lambda device: _evaluate(request, device))


def _evaluate(request: Request, device: str) -> int:
    from ..pretrained.rejection import MIN_PHOTOS
    from ..training.datasets import labelled_photos, locate_data, splits_of, unlabelled_photos
    from ..training.evaluation import evaluate_logits, labelled_logits, unlabelled_logits
    from ..training.matching import known_photos
    from ..training.without import evaluate_without

    if request.keep and not request.unknown:
        raise UserError("keep", "--keep keeps what --unknown DIR measures; please name that folder.")
    if request.outside and not request.unknown:
        raise UserError("outside", "--outside says what the photos of --unknown DIR show; please name that folder.")
    if request.off != ABLATIONS[0] and not request.without:
        raise UserError("off", "--off is about the channels that --without BLOCK:BRANCH removes; please name a branch.")
    rule_file = _rule_file(request.model) if request.keep else None
    pretrained = load_pretrained(request.model, device)
    data = locate_data(request.data)
    photos, left_out = known_photos(pretrained, labelled_photos(data, request.split))
    if request.limit:
        photos = photos.evenly(request.limit)
    outside = unlabelled_photos(request.unknown) if request.unknown else None
    if outside is not None and min(len(photos), len(outside)) < MIN_PHOTOS:
        counts = f"{len(photos)} inside and {len(outside)} outside"
        raise _not_measured(f"at least {MIN_PHOTOS} photos of each kind are needed, there are {counts}")
    report_ignored(data)
    if request.split not in splits_of(data):
        warning = f"has no part {request.split}: all of it is measured, which does not test a network trained on it"
        err(f"{short_path(request.data)} {warning}")
    without = (
        evaluate_without(pretrained, photos, request.without, request.off, progress=progress)
        if request.without
        else None
    )
    inside = labelled_logits(pretrained, photos, progress)
    result = replace(evaluate_logits(pretrained, photos, inside), left_out=left_out)
    skipped, measurement, failure = result.skipped, None, None
    if outside is not None:
        outside_logits, unreadable = unlabelled_logits(pretrained, outside, progress)
        skipped += unreadable
        # Without a rule, the accuracy is printed nevertheless.
        try:
            measurement = _measure_rejection(request, pretrained, inside.logits, outside_logits, rule_file)
        except UserError as error:
            failure = error
    for name in skipped:
        err(f"skipped, cannot be read: {short_path(name)}")
    if left_out.photos:
        err(str(left_out))
    if request.json:
        more: dict[str, Any] = {} if measurement is None else {"unknown": _plain(measurement)}
        if without is not None:
            more["without"] = without.to_dict()
        out(json_line({"model": request.model, **asdict(result), **more}))
    elif in_terminal():
        _show(result, measurement, without)
    else:
        out(*_summary(result))
        out(*(f"{accuracy:7.1%}  {name}" for name, accuracy in _by_accuracy(result)))
        if measurement is not None:
            out("", *_rejection_summary(measurement))
            out(f"{'score':12} {'AUROC':>6} {'inside doubted':>15} {'outside caught':>15}")
            for name, score in measurement.scores.items():
                out(f"{name:12} {score.auroc:6.3f} {score.doubted:15.1%} {score.caught:15.1%}")
        if without is not None:
            out("", _without_heading(without), f"{'branch':10} {'top-1':>6} {'random channels':>16}")
            out(*(f"{name:10} {top1:>6} {control:>16}" for name, top1, control in _without_rows(without)))
    if failure is not None:
        raise failure
    return 0


def _rule_file(model: str) -> Path:
    """Return the file for the rejection rule of a network.

    Raises:
        UserError: if its weights are not a file, or nothing can be written beside them.
    """
    from ..pretrained.checkpoint import rejection_file
    from ..pretrained.zoo import EMBEDDED_WEIGHTS, MODEL_NAMES

    weights = EMBEDDED_WEIGHTS if model == MODEL_NAMES[0] else Path(model)
    if not is_file(weights):
        raise UserError(
            "keep",
            "{name} is not a file of yours, so the rule cannot be stored beside it; evaluate a checkpoint by its path.",
            name=quoted(model),
        )
    file = rejection_file(weights)
    check_writable(file)
    return file


def _not_measured(why: str) -> UserError:
    return UserError("unknown", "This cannot be measured: {why}.", why=why)


def _measure_rejection(
    request: Request, pretrained: PretrainedModel, inside: Tensor, outside: Tensor, file: Path | None
) -> RejectionMeasurement:
    """Measure the rejection rule, and write it to `file`, if there is one.

    Args:
        inside, outside: logits (photos, classes) of photos of the classes, and of other things.

    Raises:
        UserError: if it cannot be measured or written.
    """
    from ..pretrained.rejection import measure_rejection

    try:
        measurement = measure_rejection(inside, outside, pretrained.temperature, request.outside)
    except ValueError as error:
        raise _not_measured(str(error)) from error
    if file is not None:
        write_file(file, measurement.rejection.to_json().encode(), durable=True)
    return measurement


def _plain(measurement: RejectionMeasurement) -> dict[str, Any]:
    values = asdict(measurement)
    return {"doubt": values.pop("rejection"), **values}


def _summary(result: Evaluation) -> Iterator[str]:
    from ..training.result import error_text

    classes = counted(len(result.per_class), "class", "classes")
    yield f"{counted(result.images, 'photo')} of {classes}, {len(result.skipped)} skipped"
    yield f"top-1 {result.top1:.1%}   top-5 {result.top5:.1%}   calibration error {error_text(result)}"


def _by_accuracy(result: Evaluation) -> list[tuple[str, float]]:
    return sorted(result.per_class.items(), key=lambda row: (-row[1], row[0]))


def _rejection_summary(measurement: RejectionMeasurement) -> Iterator[str]:
    rejection = measurement.rejection
    below = f"best probability below {rejection.threshold:.3f}"
    yield f"not sure: {below}, chosen on half of the photos"
    yield f"on the others, {rejection.inside} inside and {rejection.outside} outside:"


def _without_heading(without: WithoutBranches) -> str:
    sets = f"{counted(without.draws, 'set')} of as many channels drawn at random from the block"
    return f"without a branch (off: {without.ablation}), and without {sets}; with all branches {without.top1:.1%}:"


def _without_rows(without: WithoutBranches) -> Iterator[tuple[str, str, str]]:
    for one in without.branches:
        control = f"{100 * one.control:.1f} ± {100 * one.control_deviation:.1f}%"
        yield f"{one.block}:{one.branch}", f"{one.top1:.1%}", control


def _show(result: Evaluation, measurement: RejectionMeasurement | None, without: WithoutBranches | None) -> None:
    per_class = table("accuracy", "class", right=("accuracy",))
    for name, accuracy in _by_accuracy(result):
        per_class.add_row(text(f"{accuracy:.1%}"), text(name))
    show(*map(text, _summary(result)), per_class)
    if measurement is not None:
        columns = ("AUROC", "inside doubted", "outside caught")
        scores = table("score", *columns, right=columns)
        for name, score in measurement.scores.items():
            scores.add_row(*map(text, (name, f"{score.auroc:.3f}", f"{score.doubted:.1%}", f"{score.caught:.1%}")))
        show(*map(text, _rejection_summary(measurement)), scores)
    if without is not None:
        branches = table("branch", "top-1", "random channels", right=("top-1", "random channels"))
        for row in _without_rows(without):
            branches.add_row(*map(text, row))
        show(text(_without_heading(without)), branches)
