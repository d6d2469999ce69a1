"""Draw the pictures of docs/explanations.md, with the embedded weights: `python -m scripts.draw_explanations`.

Nothing in them is typed in. Run it again whenever the weights have changed.
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
SIGHT_BLOCK = "3b"  # from 4a on, a cell may see more than the small photo
HAND_BLOCK, HAND_BRANCH = "3a", "3x3"

INK, GREY, PALE = "#222222", "#666666", "#bbbbbb"
WIDTH = 10.0  # inches, at DOTS per inch
DOTS = 100
PHOTO_PIXELS = 320


def branch_colours() -> dict[str, str]:
    """The page's own, so that a branch looks the same everywhere."""
    light = STYLE.read_text(encoding="utf-8").split("@media")[0]
    found = dict(re.findall(r"--b-(\w+): (#\w{6});", light))
    return {branch: found[branch] for branch in BRANCHES}


def draw(pretrained: PretrainedModel, photo: Image.Image) -> dict[str, bytes]:
    """Every picture by its file's name, encoded."""
    colours = branch_colours()
    seen = predict(pretrained, photo)
    fields = [central_field(pretrained, seen, SIGHT_BLOCK, branch) for branch in BRANCHES]
    return {
        "explain-votes.png": png(votes_picture(branch_votes(pretrained, seen, BLOCK), colours)),
        "explain-glance.png": png(glance_picture(ablation_table(pretrained, seen), colours)),
        "explain-evidence.jpg": jpeg(evidence_picture(seen, evidence(pretrained, seen), colours)),
        "explain-grad-cam.jpg": jpeg(grad_cam_picture(seen, grad_cams(pretrained, seen, BLOCK), colours)),
        "explain-sight.jpg": jpeg(sight_picture(seen, fields, colours)),
        "explain-by-hand.png": png(by_hand_picture(brightest_cell(pretrained, seen), colours[HAND_BRANCH])),
    }


# ---------------------------------------------------------------- the pictures


def votes_picture(told: BranchVotes, colours: Mapping[str, str]) -> Figure:
    """The sum as steps: from the logit with all four off, vote by vote, to the logit."""
    rows = [("all four off", 0.0, told.baseline, GREY)]
    reached = told.baseline
    for branch, vote in told.votes.items():
        rows.append((branch, reached, vote, colours[branch]))
        reached += vote
    rows.append(("the logit", 0.0, told.logit, INK))

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
    axis.set_xlabel(f"{_plain(told.baseline)} {_terms(told.votes.values())} = {_plain(told.total)}")
    axis.set_title(f"What each branch of block {told.block} is worth for “{told.label}”", loc="left")
    _bare(axis)
    return figure


def glance_picture(told: AblationTable, colours: Mapping[str, str]) -> Figure:
    """The 36 falls as a table, white where switching off changes nothing."""
    falls = np.array([[told.falls[block][branch] for block in BLOCKS] for branch in BRANCHES])
    reach = limits(falls, signed=True).high or 1.0
    figure = _figure(3.3)
    axis = figure.subplots()
    axis.imshow(falls, cmap=SIGNED_COLOURS, vmin=-reach, vmax=reach, aspect="auto")
    for (row, column), fall in np.ndenumerate(falls):
        colour = "white" if abs(fall) > 0.6 * reach else INK
        axis.text(column, row, _signed(fall), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(BLOCKS)), list(BLOCKS))
    axis.set_yticks(range(len(BRANCHES)), list(BRANCHES), fontweight="bold")
    for label, branch in zip(axis.get_yticklabels(), BRANCHES, strict=True):
        label.set_color(colours[branch])
    axis.set_title(f"How far the logit {_plain(told.logit)} of “{told.label}” falls without one branch", loc="left")
    axis.set_xlabel("block")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def evidence_picture(seen: Prediction, told: Evidence, colours: Mapping[str, str]) -> Figure:
    """The split of the logit on the photo: each branch, then all four."""
    height, width = told.map.shape
    figure = _maps_on_photo(
        seen,
        {branch: (told.maps[branch], _signed(told.amounts[branch])) for branch in BRANCHES},
        (told.map, _signed(sum(told.amounts.values()))),
        colours,
        signed=True,
    )
    figure.suptitle(f"Evidence for “{told.label}” at block 5b, {height}×{width} cells (red: for, blue: against)")
    figure.supxlabel(f"{_plain(told.rest)} (the rest) {_terms(told.amounts.values())} = {_plain(told.total)}")
    return figure


def grad_cam_picture(seen: Prediction, told: Mapping[str | None, GradCam], colours: Mapping[str, str]) -> Figure:
    """What speaks for the class on the photo: each branch, then the block."""
    whole = told[None]
    height, width = whole.signed.shape
    figure = _maps_on_photo(
        seen,
        {branch: (told[branch].rectified, "") for branch in BRANCHES},
        (whole.rectified, ""),
        colours,
        signed=False,
    )
    figure.suptitle(f"Grad-CAM for “{whole.label}” at block {whole.block}, {height}×{width} cells")
    return figure


def sight_picture(seen: Prediction, fields: Sequence[EffectiveField], colours: Mapping[str, str]) -> Figure:
    """Each branch's exact square, how much its pixels count, and the square that holds 90 % of that."""
    figure = _figure(3.3)
    for axis, told in zip(figure.subplots(1, len(fields)), fields, strict=True):
        # Energy falls so steeply that without the root only a few pixels would be seen.
        shown = np.sqrt(told.energy)
        axis.imshow(overlay(seen.image, shown, limits(shown), size=PHOTO_PIXELS), extent=_extent(seen.image))
        core = told.core()
        _outline(axis, told.square, "white", "-", 3.5)
        _outline(axis, told.square, colours[told.branch], "-", 2.0)
        _outline(axis, core, "white", "--", 1.5)
        _head(axis, told.branch, f"{told.square.width} px, 90 % in {core.width} px", colours[told.branch])
    figure.suptitle(f"What the cell in row {fields[0].row}, column {fields[0].column} of block {SIGHT_BLOCK} sees")
    return figure


def by_hand_picture(told: ConvolutionTrace, colour: str) -> Figure:
    """One cell: the input channel that counts most, its kernel, their products, and the way to the result."""
    products = told.patch * told.kernel
    most = int(np.abs(products.sum(axis=(1, 2))).argmax())
    share = float(products[most].sum())
    figure = _figure(3.6)
    tables = (
        (told.patch[most], "input", "×"),
        (told.kernel[most], "weights", "="),
        (products[most], "products", f"they add up to {_plain(share, 3)}"),
    )
    for axis, (numbers, name, sign) in zip(figure.subplots(1, len(tables)), tables, strict=True):
        reach = limits(numbers, signed=True).high or 1.0
        axis.imshow(numbers, cmap=SIGNED_COLOURS, vmin=-reach, vmax=reach)
        for (row, column), number in np.ndenumerate(numbers):
            pale = abs(number) > 0.6 * reach
            axis.text(column, row, _plain(number, 3), ha="center", va="center", color="white" if pale else INK)
        axis.set_title(name)
        axis.set_xlabel(sign, fontsize=12)
        _frame(axis, colour)
    figure.suptitle(
        f"Block {told.block}, layer {told.layer}, channel {told.channel}, row {told.row}, column {told.column}: "
        f"input channel {most}, which counts most"
    )
    figure.supxlabel(_way(told, share))
    return figure


def _way(told: ConvolutionTrace, share: float) -> str:
    """From one input channel's products to the cell, as far as the layer has the steps."""
    others = told.sum - told.bias - share
    steps = [
        f"{_plain(share, 3)} {_term(others, 3)} (the other {len(told.kernel) - 1} input channels) "
        f"{_term(told.bias, 3)} (bias) = {_plain(told.sum, 3)}\n"
    ]
    if told.affine is not None and told.normalised is not None:
        scale, shift = _plain(told.affine.scale, 4), _term(told.affine.shift, 3)
        steps.append(f"BatchNorm: × {scale} {shift} = {_plain(told.normalised, 3)}")
    if told.relu is not None:
        steps.append(f"ReLU: {_plain(told.relu, 3)}")
    return "  →  ".join([*steps, f"in the map: {_plain(told.value, 3)}"])


# ---------------------------------------------------------------- what is drawn


def central_field(pretrained: PretrainedModel, seen: Prediction, block: str, branch: str) -> EffectiveField:
    """Of the cell in the middle, whose square is least cut off."""
    _, height, width = seen.block(block).shape
    return effective_field(pretrained, seen, block, branch, height // 2, width // 2)


def brightest_cell(pretrained: PretrainedModel, seen: Prediction) -> ConvolutionTrace:
    """The cell with the highest value of the branch that is computed by hand, away from the border."""
    inner = seen.branch(HAND_BLOCK, HAND_BRANCH)[:, 1:-1, 1:-1]
    channel, row, column = (int(place) for place in np.unravel_index(inner.argmax(), inner.shape))
    return trace_convolution(pretrained, seen, HAND_BLOCK, HAND_BRANCH, channel, row + 1, column + 1)


# ---------------------------------------------------------------- parts of pictures


def _maps_on_photo(
    seen: Prediction,
    maps: Mapping[str, tuple[np.ndarray, str]],
    whole: tuple[np.ndarray, str],
    colours: Mapping[str, str],
    *,
    signed: bool,
) -> Figure:
    """The photo, each branch's map on it with a word beside the branch's name, and the map of all four.

    The branches share one scale; all four together have their own, or a single branch would hardly be seen.
    """
    figure = _figure(2.9 if whole[1] else 2.6)
    axes = figure.subplots(1, len(maps) + 2)
    axes[0].imshow(seen.image.resize((PHOTO_PIXELS, PHOTO_PIXELS), Image.Resampling.BICUBIC))
    _head(axes[0], "what it saw", "", PALE, ink=INK)
    shared = limits(np.stack([values for values, _ in maps.values()]), signed=signed)
    shown = [(branch, values, word, shared, colours[branch]) for branch, (values, word) in maps.items()]
    shown.append(("all four", *whole, limits(whole[0], signed=signed), INK))
    for axis, (name, values, word, bounds, colour) in zip(axes[1:], shown, strict=True):
        axis.imshow(overlay(seen.image, values, bounds, size=PHOTO_PIXELS))
        _head(axis, name, word, colour)
    return figure


def _head(axis: Axes, name: str, word: str, colour: str, ink: str | None = None) -> None:
    axis.set_title(f"{name}  {word}".strip(), color=ink or colour, fontsize=11, fontweight="bold")
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
    """Left, right, bottom and top for a picture whose axes count the pixels of the network's input."""
    return 0.0, float(picture.width), float(picture.height), 0.0


def _plain(number: float, digits: int = 2) -> str:
    """ "−0.30", with a true minus; what rounds to zero has no sign."""
    text = f"{abs(number):.{digits}f}"
    return f"−{text}" if number < 0 and float(text) else text


def _signed(number: float) -> str:
    """ "+1.21"."""
    text = _plain(number)
    return text if text.startswith("−") else f"+{text}"


def _term(number: float, digits: int = 2) -> str:
    """ "+ 1.21", as a sum goes on."""
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
    """For charts: a palette would shift the branches' colours."""
    out = io.BytesIO()
    _pixels(figure).save(out, "PNG", optimize=True)
    return out.getvalue()


def jpeg(figure: Figure) -> bytes:
    """For photos with maps on them."""
    out = io.BytesIO()
    _pixels(figure).save(out, "JPEG", quality=85, optimize=True)
    return out.getvalue()


def main(folder: Path = ROOT / "docs") -> None:
    """Write every picture into `folder`, and print its size."""
    for name, encoded in draw(load("tiny-imagenet"), open_photo(PHOTO)).items():
        (folder / name).write_bytes(encoded)
        print(f"{len(encoded):>8,}  {name}")


if __name__ == "__main__":
    main()
