"""`explain`: its options, the report of one photo, and the report as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..runtime.files import as_text, make_folder, write_file
from .numbers import MAX_CHANNELS, refused, whole, with_default
from .options import Block, Json, Model, OneDevice, Photos, path_option, text_option
from .photos import Report, Stems, each_photo

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel

MAX_NAME_CHARACTERS = 1000
MAX_INDEX = 9999  # of channels, rows and columns; the network knows which of them exist
_index = whole(0, MAX_INDEX)

Cell = tuple[str, int, int, int]  # branch; channel, row and column from 0


@dataclass(frozen=True)
class Request:
    """What to explain of each photo."""

    block: str
    target: str | None  # name or number of the class; None for the most probable one
    ablation: str
    subsets: bool
    table: bool
    evidence: bool
    cam: bool
    switch_off: tuple[str, ...]
    channels: tuple[int, ...]
    cell: Cell | None
    out: Path | None


def _class(text: str) -> str:
    if len(text) > MAX_NAME_CHARACTERS:
        raise refused(text, f"a class's name, of at most {MAX_NAME_CHARACTERS} characters, or its number")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _channels(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(map(_index, text.split(",")))
    except typer.BadParameter:
        numbers = ()
    if not 1 <= len(numbers) <= MAX_CHANNELS:
        raise refused(text, f"of the form 3,17,42: at most {MAX_CHANNELS} numbers, each from 0 to {MAX_INDEX}")
    return numbers


def _cell(text: str) -> Cell:
    try:
        branch, channel, row, column = text.split(":")
        return branch, _index(channel), _index(row), _index(column)
    except (ValueError, typer.BadParameter) as error:
        raise refused(
            text,
            f"of the form BRANCH:CHANNEL:ROW:COLUMN, for instance 3x3:17:4:5, the numbers from 0 to {MAX_INDEX}",
        ) from error


def explain(
    photos: Photos,
    block: Block,
    target: Annotated[
        str | None,
        typer.Option(
            "--class",
            parser=_class,
            metavar="NAME_OR_NUMBER",
            help=with_default(
                f"The class whose logit is explained, in at most {MAX_NAME_CHARACTERS} characters.",
                "the most probable one",
            ),
        ),
    ] = None,
    ablation: Annotated[
        str,
        text_option(
            "--off",
            "Output of a branch that is off: zero, or mean, its mean over training photos, where the weights have it.",
            values=("zero", "mean"),
            metavar="ABLATION",
        ),
    ] = "zero",
    subsets: Annotated[bool, typer.Option("--subsets", help="The answer for all sixteen sets of branches.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Each branch of each of the nine blocks off alone.")] = False,
    evidence: Annotated[bool, typer.Option("--evidence", help="The exact split of the logit at block 5b.")] = False,
    cam: Annotated[bool, typer.Option("--cam", help="Grad-CAM of the block and its branches.")] = False,
    switch_off: Annotated[
        Any,
        typer.Option(
            "--switch-off",
            parser=_names,
            metavar="BRANCH[,BRANCH]",
            help="The answer with these of 1x1, 3x3, 5x5 and pool off.",
        ),
    ] = None,
    channels: Annotated[
        Any,
        typer.Option(
            "--channels",
            parser=_channels,
            metavar="N[,N]",
            help="The answer with these channels of the block's whole output off, counted from 0: at most "
            f"{MAX_CHANNELS}.",
        ),
    ] = None,
    cell: Annotated[
        Any,
        typer.Option(
            "--cell",
            parser=_cell,
            metavar="BRANCH:CHANNEL:ROW:COLUMN",
            help="The receptive field of one cell and its arithmetic, all counted from 0, the channel within its "
            f"branch: at most {MAX_INDEX}.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        path_option(
            "--out",
            "DIR",
            "Folder for the pictures of --evidence and --cam, which it turns on, and for the JSON; made if need be.",
        ),
    ] = None,
    model: Model = "tiny-imagenet",
    device: OneDevice = "auto",
    json: Json = False,
) -> int:
    """Explain the answer for each photo: what each branch of a block adds to a class's logit."""
    request = Request(
        block, target, ablation, subsets, table, evidence, cam, switch_off or (), channels or (), cell, out
    )
    stems = Stems()

    def prepare(pretrained: PretrainedModel) -> Callable[[Path, Prediction], Report]:
        _check(request, pretrained)
        if out is not None:
            make_folder(out)

        def report(photo: Path, prediction: Prediction) -> Report:
            result, pictures = _explained(request, model, pretrained, prediction)
            if out is not None:
                _write(result, pictures, photo, f"{out / stems.take(photo)}", block)
            return result

        return report

    return each_photo(photos, model, device, prepare, json=json, lines=lines)


def _check(request: Request, pretrained: PretrainedModel) -> None:
    """Refuse what is seen to be wrong before the first photo is opened.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, ablation, branch, channel or cell.
    """
    from ..explain.masking import ablation_values, branch_mask
    from ..explain.receptive_field import cell_square

    ablation_values(pretrained, request.block, request.ablation)
    branch_mask(pretrained, request.block, request.switch_off, request.channels)
    if request.cell:
        branch, _, row, column = request.cell
        cell_square(pretrained.model, request.block, branch, row, column)


def _write(report: Report, pictures: dict[str, Image.Image], photo: Path, stem: str, block: str) -> None:
    """Write the pictures and the report, which then names all files."""
    from ..render.maps import encode
    from ..runtime import strict_json

    files = {Path(f"{stem}-{name}.jpg"): encode(image) for name, image in pictures.items()}
    json_file = Path(f"{stem}-{block}-explain.json")
    report["files"] = [as_text(file) for file in (*files, json_file)]
    files[json_file] = strict_json.dumps({"photo": as_text(photo), **report}, ensure_ascii=False, indent=1).encode()
    for file, data in files.items():
        write_file(file, data)


def _explained(
    request: Request, model: str, pretrained: PretrainedModel, prediction: Prediction
) -> tuple[Report, dict[str, Image.Image]]:
    """Return the report of one photo, and with --out its pictures, by the last part of their files' names.

    Raises:
        ChoiceError, ExplanationError: if the class does not exist.
    """
    from ..explain.ablation import ablate, ablation_table
    from ..explain.attribution import evidence, grad_cams
    from ..explain.convolution import trace_convolution
    from ..explain.receptive_field import cell_square, effective_field
    from ..explain.report import cams_report, cell_report, evidence_report, glance_report, switched_report, votes_report
    from ..explain.shapley import branch_votes

    block, target, ablation = request.block, request.target, request.ablation
    shares = branch_votes(pretrained, prediction, block, target, ablation)
    report = votes_report(model, shares, subsets=request.subsets)
    maps: list[dict[str, np.ndarray]] = []
    if request.table:
        report["table"] = glance_report(ablation_table(pretrained, prediction, target, ablation))
    if request.evidence or request.out:
        split = evidence(pretrained, prediction, target)
        report["evidence"] = evidence_report(split)
        maps.append({"evidence": split.map})
    if request.cam or request.out:
        cams = grad_cams(pretrained, prediction, block, target)
        report["cam"] = cams_report(cams)
        maps.append({f"{block}-{branch}-cam" if branch else f"{block}-cam": cam.signed for branch, cam in cams.items()})
    if request.switch_off or request.channels:
        report["switched"] = switched_report(
            ablate(pretrained, prediction, block, request.switch_off, request.channels, off=ablation)
        )
    if request.cell:
        branch, channel, row, column = request.cell
        report["cell"] = cell_report(
            trace_convolution(pretrained, prediction, block, branch, channel, row, column),
            effective_field(pretrained, prediction, block, branch, row, column),
            cell_square(pretrained.model, block, branch, row, column),
        )
    pictures: dict[str, Image.Image] = {}
    if request.out:
        for group in maps:
            pictures.update(_overlays(prediction, group))
    return report, pictures


def _overlays(prediction: Prediction, maps: dict[str, np.ndarray]) -> dict[str, Image.Image]:
    """Return signed maps (H, W) over the photo, all on one scale, so that equal colours are equal values."""
    from ..render.maps import Limits, overlay

    reach = max(float(abs(values).max()) for values in maps.values())
    return {name: overlay(prediction.image, values, Limits(-reach, reach)) for name, values in maps.items()}


def lines(report: Report) -> Iterator[str]:
    """Yield the report as text."""
    yield f"  {report['label']} (class {report['class']}): {report['probability']:.1%}, logit {report['logit']:z.2f}"
    yield f"  what the branches of block {report['block']} add to it (off: {report['off']}):"
    yield f"    none on {report['baseline']:z8.2f}"
    for branch, vote in report["votes"].items():
        yield f"    {branch:7} {vote:+z8.2f}"
    yield f"  {_addition(report['baseline'], report['votes'].values())}, the logit is {report['logit']:z.2f}"
    for part, part_lines in PARTS.items():
        if part in report:
            yield from part_lines(report[part])
    yield from (f"  {file}" for file in report.get("files", ()))


def _addition(first: float, others: Iterable[float]) -> str:
    """Return a sum as text, such as "0.31 + 22.39 - 0.50 = 22.20"."""
    terms = tuple(others)
    signed = "".join(f" {'-' if term < 0 else '+'} {abs(term):.2f}" for term in terms)
    return f"{first:z.2f}{signed} = {first + sum(terms):z.2f}"


def _subset_lines(subsets: list[Report]) -> Iterator[str]:
    yield "  with only these branches on:"
    for row in subsets:
        yield f"    {' + '.join(row['on']) or 'none':24} logit {row['logit']:z8.2f} {row['probability']:7.1%}"


def _table_lines(table: Report) -> Iterator[str]:
    falls = table["falls"]
    yield "  how much the logit falls with one branch off:"
    yield f"    block {''.join(f'{branch:>9}' for branch in next(iter(falls.values())))}"
    for block, row in falls.items():
        yield f"    {block:5} {''.join(f'{fall:z9.2f}' for fall in row.values())}"


def _evidence_lines(split: Report) -> Iterator[str]:
    holds = "for every photo" if split["linear"] else "for this photo"
    yield f"  evidence at block {split['block']}, an exact split {holds}:"
    for branch, amount in (*split["amounts"].items(), ("rest", split["rest"])):
        yield f"    {branch:7} {amount:+z8.2f}"
    total = _addition(split["rest"], split["amounts"].values())
    yield f"  {total}, the logit is {split['logit']:z.2f}"
    for side in ("for", "against"):
        channels = [
            f"{row['channel']} ({row['branch']}) {row['amount']:+z.2f}" for row in split[f"strongest_{side}"][:3]
        ]
        yield f"    channels most {side} it: {', '.join(channels) or 'none'}"


def _cam_lines(cams: Report) -> Iterator[str]:
    yield f"  Grad-CAM at block {cams['block']}, maps of {cams['height']}x{cams['width']}:"
    for branch, row in cams["maps"].items():
        yield (
            f"    {branch:7} highest {row['highest']:.3g} at row {row['row']}, column {row['column']}, "
            f"lowest {row['lowest']:.3g}"
        )


def _switched_lines(switched: Report) -> Iterator[str]:
    off = [*switched["branches"], *(f"channel {channel}" for channel in switched["channels"])]
    yield f"  the answer with {', '.join(off)} off:"
    for row in switched["top"]:
        yield f"    {row['probability']:6.1%} (was {row['probability_before']:.1%})  {row['label']}"


def _cell_lines(cell: Report) -> Iterator[str]:
    square, core, sums = cell["square"], cell["effective"], cell["by_hand"]
    place = f"row {cell['row']}, column {cell['column']}"
    yield f"  {cell['block']}/{cell['layer']}, channel {cell['channel']}, {place}: {cell['value']:z.4f}"
    yield (
        f"    can see columns {square['left']} to {square['right'] - 1} and rows {square['top']} to "
        f"{square['bottom'] - 1}; {core['share']:.0%} of what counts lies within {core['right'] - core['left']}x"
        f"{core['bottom'] - core['top']} pixels"
    )
    yield (
        f"    {sums['count']:,} products come to {sums['sum'] - sums['bias']:z.4f}, with the bias "
        f"{sums['bias']:z.4f} to {sums['sum']:z.4f}"
    )
    if sums["affine"] is not None:
        scale, shift = sums["affine"]["scale"], sums["affine"]["shift"]
        yield f"    BatchNorm: {scale:z.4f} x {sums['sum']:z.4f} {shift:+z.4f} = {sums['normalised']:z.4f}"
    if sums["relu"] is not None:
        yield f"    ReLU: {sums['relu']:z.4f}"


PARTS: dict[str, Callable[[Any], Iterator[str]]] = {
    "subsets": _subset_lines,
    "table": _table_lines,
    "evidence": _evidence_lines,
    "cam": _cam_lines,
    "switched": _switched_lines,
    "cell": _cell_lines,
}
