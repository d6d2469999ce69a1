"""`python -m inception explain`: its options, the report of one photo, and how it reads."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .numbers import MAX_CHANNELS, refused, whole

# What needs torch is imported inside the functions: `--help` should not wait for it.
if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel

LONGEST_NAME = 1000
LARGEST_PLACE = 9999  # of channels, rows and columns; which of them there are, the network says
_place = whole(0, LARGEST_PLACE)

Report = dict[str, Any]
Cell = tuple[str, int, int, int]  # branch; channel, row and column from 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what may be explained, but not the network or the form of the answer."""
    parser.add_argument("--block", required=True, help="3a 3b 4a 4b 4c 4d 4e 5a or 5b")
    parser.add_argument(
        "--class",
        dest="wanted",
        type=_class,
        metavar="NAME_OR_NUMBER",
        help="the class whose logit is explained (default: the most probable one)",
    )
    parser.add_argument(
        "--off",
        default="zero",
        help="what a branch holds that is switched off: zero, or mean, its mean over training photos where the "
        "weights bring it (default: zero)",
    )
    parser.add_argument("--subsets", action="store_true", help="the answer for all sixteen sets of branches")
    parser.add_argument("--table", action="store_true", help="each branch of each of the nine blocks off alone")
    parser.add_argument("--evidence", action="store_true", help="the exact split of the logit at block 5b")
    parser.add_argument("--cam", action="store_true", help="Grad-CAM of the block and its branches")
    parser.add_argument(
        "--switch-off",
        type=_names,
        default=(),
        metavar="BRANCH[,BRANCH]",
        help="the answer with these of 1x1, 3x3, 5x5 and pool off",
    )
    parser.add_argument(
        "--channels",
        type=_numbers,
        default=(),
        metavar="N[,N]",
        help="the answer with these channels of the block's whole output off, counted from 0",
    )
    parser.add_argument(
        "--cell",
        type=_cell,
        metavar="BRANCH:CHANNEL:ROW:COLUMN",
        help="what one cell sees and how it is computed, all counted from 0, the channel within its branch",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the pictures of --evidence and --cam, which it turns on, and for the JSON; made if need be",
    )


def _class(text: str) -> str:
    if len(text) > LONGEST_NAME:
        raise refused(text, f"a class's name, of at most {LONGEST_NAME} characters, or its number")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(map(_place, text.split(",")))
    except argparse.ArgumentTypeError:
        numbers = ()
    if not 1 <= len(numbers) <= MAX_CHANNELS:
        raise refused(text, f"of the form 3,17,42: at most {MAX_CHANNELS} numbers, each from 0 to {LARGEST_PLACE}")
    return numbers


def _cell(text: str) -> Cell:
    try:
        branch, channel, row, column = text.split(":")
        return branch, _place(channel), _place(row), _place(column)
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise refused(
            text,
            f"of the form BRANCH:CHANNEL:ROW:COLUMN, for instance 3x3:17:4:5, the numbers from 0 to {LARGEST_PLACE}",
        ) from error


def check(options: argparse.Namespace, pretrained: PretrainedModel) -> None:
    """Refuse what can be seen to be wrong before the first photo is opened.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, branch, channel or cell, or way to be off.
    """
    from ..explain.masking import ablation_values, branch_mask
    from ..explain.receptive_field import cell_square

    ablation_values(pretrained, options.block, options.off)
    branch_mask(pretrained, options.block, options.switch_off, options.channels)
    if options.cell:
        branch, _, row, column = options.cell
        cell_square(pretrained.model, options.block, branch, row, column)


def explained(
    options: argparse.Namespace, pretrained: PretrainedModel, prediction: Prediction
) -> tuple[Report, dict[str, Image.Image]]:
    """All that the options ask about one photo, and with --out its pictures, by the end of their files' names.

    Raises:
        ChoiceError, ExplanationError: if what is asked about does not exist.
    """
    from ..explain.ablation import ablate, ablation_table
    from ..explain.attribution import GradCams, evidence, grad_cams
    from ..explain.catalogue.cell import CellExplanation
    from ..explain.convolution import trace_convolution
    from ..explain.receptive_field import cell_square, effective_field
    from ..explain.shapley import branch_votes

    block, wanted, off = options.block, options.wanted, options.off
    shares = branch_votes(pretrained, prediction, block, wanted, off)
    report = {"model": options.model, **shares.to_dict()}
    if not options.subsets:
        del report["subsets"]
    maps: list[dict[str, np.ndarray]] = []
    if options.table:
        report["table"] = ablation_table(pretrained, prediction, wanted, off).to_dict()
    if options.evidence or options.out:
        split = evidence(pretrained, prediction, wanted)
        report["evidence"] = split.to_dict()
        maps.append({"evidence": split.map})
    if options.cam or options.out:
        cams = grad_cams(pretrained, prediction, block, wanted)
        report["cam"] = GradCams(cams).to_dict()
        maps.append({f"{block}-{branch}-cam" if branch else f"{block}-cam": cam.signed for branch, cam in cams.items()})
    if options.switch_off or options.channels:
        report["switched"] = ablate(
            pretrained, prediction, block, options.switch_off, options.channels, off=off
        ).to_dict()
    if options.cell:
        branch, channel, row, column = options.cell
        report["cell"] = CellExplanation(
            trace_convolution(pretrained, prediction, block, branch, channel, row, column),
            cell_square(pretrained.model, block, branch, row, column),
            effective_field(pretrained, prediction, block, branch, row, column),
        ).to_dict()
    pictures: dict[str, Image.Image] = {}
    if options.out:
        for together in maps:
            pictures.update(_overlays(prediction, together))
    return report, pictures


def _overlays(prediction: Prediction, maps: dict[str, np.ndarray]) -> dict[str, Image.Image]:
    """Signed maps (H, W) on the photo, all on one scale, so that equal colours are equal values."""
    from ..render.maps import Limits, overlay

    reach = max(float(abs(values).max()) for values in maps.values())
    return {name: overlay(prediction.seen, values, Limits(-reach, reach)) for name, values in maps.items()}


def lines(report: Report) -> Iterator[str]:
    """The report in short lines."""
    yield f"  {report['label']} (class {report['class']}): {report['probability']:.1%}, logit {report['logit']:z.2f}"
    yield f"  what the branches of block {report['block']} add to it (off: {report['off']}):"
    yield f"    none on {report['baseline']:z8.2f}"
    for branch, vote in report["votes"].items():
        yield f"    {branch:7} {vote:+z8.2f}"
    yield f"  {_addition(report['baseline'], report['votes'].values())}, the logit is {report['logit']:z.2f}"
    for part, told in PARTS.items():
        if part in report:
            yield from told(report[part])
    yield from (f"  {file}" for file in report.get("files", ()))


def _addition(first: float, others: Iterable[float]) -> str:
    """For instance "0.31 + 22.39 - 0.50 = 22.20"."""
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
        told = [f"{row['channel']} ({row['branch']}) {row['amount']:+z.2f}" for row in split[f"strongest_{side}"][:3]]
        yield f"    channels most {side} it: {', '.join(told) or 'none'}"


def _cam_lines(cams: Report) -> Iterator[str]:
    yield f"  Grad-CAM at block {cams['block']}, maps of {cams['height']}x{cams['width']}:"
    for branch, row in cams["maps"].items():
        yield (
            f"    {branch:7} highest {row['highest']:.3g} at row {row['row']}, column {row['column']}, "
            f"lowest {row['lowest']:.3g}"
        )


def _switched_lines(switched: Report) -> Iterator[str]:
    gone = [*switched["branches"], *(f"channel {channel}" for channel in switched["channels"])]
    yield f"  the answer with {', '.join(gone)} off:"
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
