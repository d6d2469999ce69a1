"""Text of the `explain` command: each part of the report in lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..explain.catalogue import EXPLANATIONS
from ..explain.catalogue.branch_votes import branch_votes
from .photos import Report


def lines(report: Report) -> Iterator[str]:
    """Yield the report as text."""
    yield f"  {report['label']} (class {report['class']}): {report['probability']:.1%}, logit {report['logit']:z.2f}"
    yield f"  what the branches of block {report['block']} add to it (off: {report['off']}):"
    yield f"    none on {report['baseline']:z8.2f}"
    for branch, vote in report["votes"].items():
        yield f"    {branch:7} {vote:+z8.2f}"
    yield f"  {_addition(report['baseline'], report['votes'].values())}, the logit is {report['logit']:z.2f}"
    for key in ("subsets", *(one.key for one in EXPLANATIONS.values() if one is not branch_votes)):
        if key in report:
            yield from PARTS[key](report[key]) if key in PARTS else _part_lines(key, report[key])
    yield from (f"  {file}" for file in report.get("files", ()))


def _part_lines(name: str, part: Any, indent: str = "  ") -> Iterator[str]:
    """Yield a part that has no text of its own: its names and values."""
    if isinstance(part, dict):
        yield f"{indent}{name}:"
        for key, value in part.items():
            yield from _part_lines(key, value, f"{indent}  ")
    else:
        yield f"{indent}{name} {part:z.4f}" if isinstance(part, float) else f"{indent}{name} {part}"


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
            f"{row['branch']} channel {row['channel_in_branch']} {row['amount']:+z.2f}"
            for row in split[f"strongest_{side}"][:3]
        ]
        yield f"    most {side} it: {', '.join(channels) or 'none'}"


def _cam_lines(cams: Report) -> Iterator[str]:
    yield f"  Grad-CAM at block {cams['block']}, maps of {cams['height']}x{cams['width']}:"
    for branch, row in cams["maps"].items():
        yield (
            f"    {branch:7} highest {row['highest']:.3g} at row {row['row']}, column {row['column']}, "
            f"lowest {row['lowest']:.3g}"
        )


def _switched_lines(switched: Report) -> Iterator[str]:
    off = [*switched["branches"], *(f"channel {channel} of the block" for channel in switched["channels"])]
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


def _circuit_lines(circuit: Report) -> Iterator[str]:
    unit = circuit["unit"]
    if unit["block"] is None:
        yield f"  circuit of the logit of {unit['label']}, from the channels of block {circuit['block']}:"
    else:
        before = "the stem" if circuit["block"] == "stem" else f"block {circuit['block']}"
        yield (
            f"  circuit of {unit['block']}/{unit['branch']}, channel {unit['channel']}, row {unit['row']}, column "
            f"{unit['column']}, from the channels of {before}:"
        )
    for source in circuit["sources"]:
        name = f"{source['block']}/{source['branch']}" if source["branch"] else source["block"]
        yield (
            f"    {name:8} channel {source['channel']:4} {source['contribution']:+z8.3f}, most at row {source['row']}, "
            f"column {source['column']}"
        )
    yield f"    {'all other channels':21} {circuit['rest']:+z8.3f}"
    branches = " ".join(f"{amount:+z.2f} ({branch})" for branch, amount in circuit["by_branch"].items())
    yield f"    by branch: {circuit['constant']:z.2f} (constant, from the biases) {branches}"
    total = _addition(circuit["constant"], circuit["by_branch"].values())
    yield f"  {total}, {'the logit' if unit['block'] is None else 'before the ReLU it'} is {circuit['value']:z.2f}"


def _occlusion_lines(occlusion: Report) -> Iterator[str]:
    window = occlusion["window"]
    size, stride = f"{window}x{window} pixels", occlusion["stride"]
    yield f"  how much the logit falls behind a grey square of {size}, which moves by {stride}:"
    yield from (f"    {' '.join(f'{drop:z6.2f}' for drop in row)}" for row in occlusion["drops"])


def _integrated_lines(gradients: Report) -> Iterator[str]:
    place = f"row {gradients['row']}, column {gradients['column']}"
    yield (
        f"  integrated gradients from plain grey, {gradients['steps']} steps: highest {gradients['highest']:.3g} at "
        f"{place}, lowest {gradients['lowest']:.3g}"
    )
    yield (
        f"    all pixels add up to {gradients['total']:z.2f}; the logit is {gradients['logit']:z.2f}, "
        f"that of plain grey {gradients['baseline']:z.2f}, and their difference {gradients['error']:.2f} away"
    )


def _faithfulness_lines(result: Report) -> Iterator[str]:
    method = result["method"].replace("_", " ") + (f" at block {result['block']}" if result["block"] else "")
    yield f"  can the map of {method} for {result['label']} be trusted? Areas under the probability, 0 to 1:"
    for test, wanted in (("insertion", "higher"), ("deletion", "lower")):
        random = ", ".join(f"{order[f'{test}_auc']:.3f}" for order in result["random"])
        verdict = "better than all of them" if result[f"{test}_beats_random"] else "not better than all of them"
        yield f"    {test:9} {result[f'{test}_auc']:.3f} ({wanted} is better); in random orders {random}: {verdict}"
    yield "    rank correlations, without their signs, with the maps of networks that are random from the head down to"
    for level in result["randomised"]:
        yield f"      {level['stage']:13} {_likeness(level)}"
    alike = [level["stage"] for level in result["randomised"] if level["exceeds_chance"]]
    if alike:
        yield f"    more alike than by chance, so that part of the map is not learned: down to {', '.join(alike)}"
        yield "    (near 1 the whole map would not depend on the weights)"
    else:
        yield "    no more alike than by chance, as it should be: the map depends on what the network has learned"


def _likeness(level: Report) -> str:
    """Return the mean correlation of a level without signs, the signed range, and what chance gives."""
    if level["correlation"] is None:
        return "none, the maps are constant"
    signed = level["correlations"]
    return (
        f"mean {level['correlation']:.2f} ({min(signed):+z.2f} to {max(signed):+z.2f} in {len(signed)} networks); "
        f"by chance up to {level['chance']:.2f}"
    )


PARTS: dict[str, Callable[[Any], Iterator[str]]] = {
    "subsets": _subset_lines,
    "table": _table_lines,
    "evidence": _evidence_lines,
    "cam": _cam_lines,
    "switched": _switched_lines,
    "cell": _cell_lines,
    "logit_circuit": _circuit_lines,
    "circuit": _circuit_lines,
    "occlusion": _occlusion_lines,
    "faithfulness": _faithfulness_lines,
    "integrated_gradients": _integrated_lines,
}
