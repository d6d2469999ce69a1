"""Draw the pictures of docs/explanations.md, with the embedded weights: `python -m scripts.draw_explanations`.

All numbers are computed. Run it again when the weights have changed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from inception import Prediction, PretrainedModel, load, open_photo, predict
from inception.explain.ablation import AblationTable, ablation_table
from inception.explain.attribution import Evidence, GradCam, evidence, grad_cams
from inception.explain.convolution import ConvolutionTrace, trace_convolution
from inception.explain.receptive_field import EffectiveField, Square, effective_field
from inception.explain.shapley import BranchVotes, branch_votes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.render.maps import SIGNED_COLOURS, limits, overlay

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples" / "red_panda.jpg"
STYLE = ROOT / "inception" / "web" / "stage" / "static" / "css" / "tokens.css"

BLOCK = "4c"  # of the votes and of Grad-CAM
FIELD_BLOCK = "3b"  # from 4a on, the receptive field may exceed the small photo
CELL_BLOCK, CELL_BRANCH = "3a", "3x3"

INK, GREY, PALE = "#222222", "#666666", "#bbbbbb"
WIDTH = 10.0  # inches, at DOTS per inch
DOTS = 100
PHOTO_PIXELS = 320


def branch_colours() -> dict[str, str]:
    """Return the page's colours of the branches."""
    light = STYLE.read_text(encoding="utf-8").split("@media")[0]
    colours = dict(re.findall(r"--b-(\w+): (#\w{6});", light))
    return {branch: colours[branch] for branch in BRANCHES}


def draw(pretrained: PretrainedModel, photo: Image.Image) -> dict[str, bytes]:
    """Return every picture, encoded, by the name of its file."""
    colours = branch_colours()
    prediction = predict(pretrained, photo)
    fields = [central_field(pretrained, prediction, FIELD_BLOCK, branch) for branch in BRANCHES]
    return {
        "explain-votes.png": png(votes_picture(branch_votes(pretrained, prediction, BLOCK), colours)),
        "explain-glance.png": png(ablation_picture(ablation_table(pretrained, prediction), colours)),
        "explain-evidence.jpg": jpeg(evidence_picture(prediction, evidence(pretrained, prediction), colours)),
        "explain-grad-cam.jpg": jpeg(grad_cam_picture(prediction, grad_cams(pretrained, prediction, BLOCK), colours)),
        "explain-sight.jpg": jpeg(field_picture(prediction, fields, colours)),
        "explain-by-hand.png": png(cell_picture(strongest_cell(pretrained, prediction), colours[CELL_BRANCH])),
    }


# ---------------------------------------------------------------- the pictures


def votes_picture(votes: BranchVotes, colours: Mapping[str, str]) -> Figure:
    """Draw the sum as a waterfall: from the logit with all four branches off, vote by vote, to the logit."""
    rows = [("all four off", 0.0, votes.baseline, GREY)]
    subtotal = votes.baseline
    for branch, vote in votes.votes.items():
        rows.append((branch, subtotal, vote, colours[branch]))
        subtotal += vote
    rows.append(("the logit", 0.0, votes.logit, INK))

    figure = _figure(3.4)
    axis = figure.subplots()
    for place, (name, start, amount, colour) in enumerate(rows):
        axis.barh(place, amount, left=start, color=colour, height=0.62)
        axis.annotate(
            _signed(amount) if name in colours else _plain(amount),
            (max(start, start + amount), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
        if place + 1 < len(rows):
            axis.plot([start + amount] * 2, [place - 0.31, place + 1.31], color=PALE, linewidth=1, zorder=0)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(range(len(rows)), [name for name, *_ in rows])
    for label, (name, *_) in zip(axis.get_yticklabels(), rows, strict=True):
        if name in colours:
            label.set(color=colours[name], fontweight="bold")
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set_xlabel(f"{_plain(votes.baseline)} {_terms(votes.votes.values())} = {_plain(votes.total)}")
    axis.set_title(f"What each branch of block {votes.block} is worth for “{votes.label}”", loc="left")
    _bare(axis)
    return figure


def ablation_picture(table: AblationTable, colours: Mapping[str, str]) -> Figure:
    """Draw the 36 falls of the logit as a table, white where an ablation changes nothing."""
    falls = np.array([[table.falls[block][branch] for block in BLOCKS] for branch in BRANCHES])
    maximum = limits(falls, signed=True).high or 1.0
    figure = _figure(3.3)
    axis = figure.subplots()
    axis.imshow(falls, cmap=SIGNED_COLOURS, vmin=-maximum, vmax=maximum, aspect="auto")
    for (row, column), fall in np.ndenumerate(falls):
        colour = "white" if abs(fall) > 0.6 * maximum else INK
        axis.text(column, row, _signed(fall), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(BLOCKS)), list(BLOCKS))
    axis.set_yticks(range(len(BRANCHES)), list(BRANCHES), fontweight="bold")
    for label, branch in zip(axis.get_yticklabels(), BRANCHES, strict=True):
        label.set_color(colours[branch])
    axis.set_title(f"How far the logit {_plain(table.logit)} of “{table.label}” falls without one branch", loc="left")
    axis.set_xlabel("block")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def evidence_picture(prediction: Prediction, split: Evidence, colours: Mapping[str, str]) -> Figure:
    """Draw the evidence on the photo: each branch, then all four."""
    height, width = split.map.shape
    figure = _maps_on_photo(
        prediction,
        {branch: (split.maps[branch], _signed(split.amounts[branch])) for branch in BRANCHES},
        (split.map, _signed(sum(split.amounts.values()))),
        colours,
        signed=True,
    )
    figure.suptitle(f"Evidence for “{split.label}” at block 5b, {height}×{width} cells (red: for, blue: against)")
    figure.supxlabel(f"{_plain(split.rest)} (the rest) {_terms(split.amounts.values())} = {_plain(split.total)}")
    return figure


def grad_cam_picture(prediction: Prediction, cams: Mapping[str | None, GradCam], colours: Mapping[str, str]) -> Figure:
    """Draw Grad-CAM on the photo: each branch, then the whole block."""
    block_cam = cams[None]
    height, width = block_cam.signed.shape
    figure = _maps_on_photo(
        prediction,
        {branch: (cams[branch].rectified, "") for branch in BRANCHES},
        (block_cam.rectified, ""),
        colours,
        signed=False,
    )
    figure.suptitle(f"Grad-CAM for “{block_cam.label}” at block {block_cam.block}, {height}×{width} cells")
    return figure


def field_picture(prediction: Prediction, fields: Sequence[EffectiveField], colours: Mapping[str, str]) -> Figure:
    """Draw each branch's receptive field, how much its pixels count, and the square that holds 90 % of that."""
    figure = _figure(3.3)
    for axis, effective in zip(figure.subplots(1, len(fields)), fields, strict=True):
        # Energy falls so steeply that without the root only a few pixels would be visible.
        values = np.sqrt(effective.energy)
        axis.imshow(
            overlay(prediction.image, values, limits(values), size=PHOTO_PIXELS), extent=_extent(prediction.image)
        )
        core = effective.core()
        _outline(axis, effective.square, "white", "-", 3.5)
        _outline(axis, effective.square, colours[effective.branch], "-", 2.0)
        _outline(axis, core, "white", "--", 1.5)
        _head(
            axis, effective.branch, f"{effective.square.width} px, 90 % in {core.width} px", colours[effective.branch]
        )
    figure.suptitle(f"What the cell in row {fields[0].row}, column {fields[0].column} of block {FIELD_BLOCK} sees")
    return figure


def cell_picture(trace: ConvolutionTrace, colour: str) -> Figure:
    """Draw the computation of a cell: its strongest input channel, the kernel, their products, and the steps after."""
    products = trace.patch * trace.kernel
    strongest = int(np.abs(products.sum(axis=(1, 2))).argmax())
    contribution = float(products[strongest].sum())
    figure = _figure(3.6)
    tables = (
        (trace.patch[strongest], "input", "×"),
        (trace.kernel[strongest], "weights", "="),
        (products[strongest], "products", f"they add up to {_plain(contribution, 3)}"),
    )
    for axis, (numbers, name, sign) in zip(figure.subplots(1, len(tables)), tables, strict=True):
        maximum = limits(numbers, signed=True).high or 1.0
        axis.imshow(numbers, cmap=SIGNED_COLOURS, vmin=-maximum, vmax=maximum)
        for (row, column), number in np.ndenumerate(numbers):
            dark = abs(number) > 0.6 * maximum
            axis.text(column, row, _plain(number, 3), ha="center", va="center", color="white" if dark else INK)
        axis.set_title(name)
        axis.set_xlabel(sign, fontsize=12)
        _frame(axis, colour)
    figure.suptitle(
        f"Block {trace.block}, layer {trace.layer}, channel {trace.channel}, row {trace.row}, column {trace.column}: "
        f"input channel {strongest}, which counts most"
    )
    figure.supxlabel(_steps(trace, contribution))
    return figure


def _steps(trace: ConvolutionTrace, contribution: float) -> str:
    """Format the steps from one input channel's contribution to the cell's value, as far as the layer has them."""
    others = trace.sum - trace.bias - contribution
    steps = [
        f"{_plain(contribution, 3)} {_term(others, 3)} (the other {len(trace.kernel) - 1} input channels) "
        f"{_term(trace.bias, 3)} (bias) = {_plain(trace.sum, 3)}\n"
    ]
    if trace.affine is not None and trace.normalised is not None:
        scale, shift = _plain(trace.affine.scale, 4), _term(trace.affine.shift, 3)
        steps.append(f"BatchNorm: × {scale} {shift} = {_plain(trace.normalised, 3)}")
    if trace.relu is not None:
        steps.append(f"ReLU: {_plain(trace.relu, 3)}")
    return "  →  ".join([*steps, f"in the map: {_plain(trace.value, 3)}"])


# ---------------------------------------------------------------- explanations of single cells


def central_field(pretrained: PretrainedModel, prediction: Prediction, block: str, branch: str) -> EffectiveField:
    """Compute the effective receptive field of the central cell, whose square is cropped least by the border."""
    _, height, width = prediction.block(block).shape
    return effective_field(pretrained, prediction, block, branch, height // 2, width // 2)


def strongest_cell(pretrained: PretrainedModel, prediction: Prediction) -> ConvolutionTrace:
    """Trace the cell with the highest value of the branch, away from the border."""
    inner = prediction.branch(CELL_BLOCK, CELL_BRANCH)[:, 1:-1, 1:-1]
    channel, row, column = (int(index) for index in np.unravel_index(inner.argmax(), inner.shape))
    return trace_convolution(pretrained, prediction, CELL_BLOCK, CELL_BRANCH, channel, row + 1, column + 1)


# ---------------------------------------------------------------- parts of pictures


def _maps_on_photo(
    prediction: Prediction,
    maps: Mapping[str, tuple[np.ndarray, str]],
    combined: tuple[np.ndarray, str],
    colours: Mapping[str, str],
    *,
    signed: bool,
) -> Figure:
    """Draw the photo, each branch's map on it with a text beside the branch's name, and the combined map.

    The branches share a scale; the combined map has its own, as a single branch would otherwise hardly be visible.
    """
    figure = _figure(2.9 if combined[1] else 2.6)
    axes = figure.subplots(1, len(maps) + 2)
    axes[0].imshow(prediction.image.resize((PHOTO_PIXELS, PHOTO_PIXELS), Image.Resampling.BICUBIC))
    _head(axes[0], "what it saw", "", PALE, ink=INK)
    shared = limits(np.stack([values for values, _ in maps.values()]), signed=signed)
    panels = [(branch, values, text, shared, colours[branch]) for branch, (values, text) in maps.items()]
    panels.append(("all four", *combined, limits(combined[0], signed=signed), INK))
    for axis, (name, values, text, bounds, colour) in zip(axes[1:], panels, strict=True):
        axis.imshow(overlay(prediction.image, values, bounds, size=PHOTO_PIXELS))
        _head(axis, name, text, colour)
    return figure


def _head(axis: Axes, name: str, text: str, colour: str, ink: str | None = None) -> None:
    axis.set_title(f"{name}  {text}".strip(), color=ink or colour, fontsize=11, fontweight="bold")
    _frame(axis, colour)


def _frame(axis: Axes, colour: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set(color=colour, linewidth=2.5)


def _outline(axis: Axes, square: Square, colour: str, style: str, width: float) -> None:
    corner = (square.left, square.top)
    axis.add_patch(
        Rectangle(corner, square.width, square.height, fill=False, edgecolor=colour, linestyle=style, linewidth=width)
    )


def _extent(picture: Image.Image) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top in pixels of the network's input."""
    return 0.0, float(picture.width), float(picture.height), 0.0


def _plain(number: float, digits: int = 2) -> str:
    """Format as "−0.30", with a true minus sign, and without a sign if it rounds to zero."""
    text = f"{abs(number):.{digits}f}"
    return f"−{text}" if number < 0 and float(text) else text


def _signed(number: float) -> str:
    """Format as "+1.21"."""
    text = _plain(number)
    return text if text.startswith("−") else f"+{text}"


def _term(number: float, digits: int = 2) -> str:
    """Format as "+ 1.21", a term of a sum."""
    text = _plain(number, digits)
    return f"− {text[1:]}" if text.startswith("−") else f"+ {text}"


def _terms(numbers: Iterable[float]) -> str:
    return " ".join(_term(number) for number in numbers)


def _bare(axis: Axes) -> None:
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH, height), dpi=DOTS, layout="constrained")


def _pixels(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def png(figure: Figure) -> bytes:
    """Encode a chart; a palette would change the branches' colours."""
    out = io.BytesIO()
    _pixels(figure).save(out, "PNG", optimize=True)
    return out.getvalue()


def jpeg(figure: Figure) -> bytes:
    """Encode photos with maps on them."""
    out = io.BytesIO()
    _pixels(figure).save(out, "JPEG", quality=85, optimize=True)
    return out.getvalue()


def main(folder: Path = ROOT / "docs") -> None:
    """Write every picture into `folder` and print its size."""
    for name, encoded in draw(load("tiny-imagenet"), open_photo(PHOTO)).items():
        (folder / name).write_bytes(encoded)
        print(f"{len(encoded):>8,}  {name}")


if __name__ == "__main__":
    main()
