"""Pictures of a training: numbers in, PIL images out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

BINS = 15
# Paul Tol's bright scheme, distinct for colour-blind eyes.
BLUE, RED, GREY = "#4477AA", "#EE6677", "#888888"
MOST_NAMES = 40  # beyond this, names along a matrix cannot be read


def curves(log: Sequence[Mapping[str, Any]], *, top5: bool = True) -> Image.Image:
    """Loss, accuracy and learning rate over the steps; `log` holds rows with the fields of the CSV log."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    steps = [row["step"] for row in log]
    shown: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
        ("loss", (("loss", "training, augmented", BLUE), ("held_out_loss", "held out", RED))),
        (
            "accuracy",
            (
                ("top1", "training top-1, augmented", BLUE),
                ("held_out_top1", "held-out top-1", RED),
                *([("held_out_top5", "held-out top-5", GREY)] if top5 else []),
            ),
        ),
        ("learning rate", (("rate", "learning rate", BLUE),)),
    )
    for axis, (title, lines) in zip(axes, shown, strict=True):
        for name, label, colour in lines:
            axis.plot(steps, [row[name] for row in log], color=colour, label=label, marker="o", markersize=3)
        for before, after in pairwise(log):
            if before["size"] != after["size"]:
                axis.axvline(before["step"], color=GREY, linewidth=0.8, linestyle=":")
        axis.set_title(title)
        axis.set_xlabel("steps (dotted: larger photos)" if len({row["size"] for row in log}) > 1 else "steps")
        axis.grid(alpha=0.3)
        if len(lines) > 1:
            axis.legend(frameon=False, fontsize=8)
    return _drawn(figure)


def counted(right: np.ndarray, chosen: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (row) was taken for each class (column), (classes, classes)."""
    return np.bincount(right * classes + chosen, minlength=classes * classes).reshape(classes, classes)


def confusion(counts: np.ndarray, names: Sequence[str]) -> Image.Image:
    """The matrix as shares of each row; numbers where they can be read."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(names) <= MOST_NAMES
    side = min(3.0 + 0.35 * len(names), 12.0) if few else 9.0
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(picture, ax=axis, label="share of the photos of the row's class", shrink=0.8)
    axis.set_xlabel("the network's answer")
    axis.set_ylabel("the right answer")
    if few:
        short = [name.split(",")[0] for name in names]
        axis.set_xticks(range(len(names)), short, rotation=90)
        axis.set_yticks(range(len(names)), short)
    if len(names) <= 12:
        for row, column in np.ndindex(*counts.shape):
            colour = "black" if shares[row, column] > 0.6 else "white"
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    return _drawn(figure)


def reliability(kinds: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Image.Image:
    """How often answers of a given confidence are right; a network that means what it says lies on the diagonal.

    `kinds` gives for each label the confidences (N,) and which answers were right (N,). The area of
    a point tells how many answers it stands for.
    """
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="means what it says")
    for (label, (confidences, correct)), colour in zip(kinds.items(), (BLUE, RED), strict=False):
        # Points for which hardly a photo speaks would tell of chance only.
        bins = min(BINS, max(3, len(correct) // 25))
        places = np.minimum((confidences * bins).astype(int), bins - 1)
        rows = [places == place for place in range(bins) if (places == place).any()]
        x, y = [confidences[row].mean() for row in rows], [correct[row].mean() for row in rows]
        axis.plot(x, y, color=colour, label=label)
        axis.scatter(x, y, [12 + 250 * row.mean() for row in rows], color=colour, zorder=3)
    axis.set_xlim(0, 1.02)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("probability that the network gives its answer")
    axis.set_ylabel("share of these answers that are right")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="upper left")
    return _drawn(figure)


def mistakes(shown: Sequence[tuple[Image.Image, str, str]], columns: int = 6) -> Image.Image:
    """Photos with what the network said and what is right, the most confident mistake first."""
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(2.1 * columns, 2.5 * rows), layout="constrained")
    for axis in figure.subplots(rows, columns, squeeze=False).flat:
        axis.axis("off")
    if not shown:
        figure.suptitle("No mistakes on the validation photos")
    for axis, (photo, said, right) in zip(figure.axes, shown, strict=False):
        axis.imshow(photo)
        axis.set_title(f"{_short(said)}\n{_short(right)}", fontsize=8)
    return _drawn(figure)


def _short(text: str, most: int = 28) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _drawn(figure: Figure) -> Image.Image:
    # A canvas of its own: pyplot would keep every figure in a global.
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return Image.open(file).convert("RGB")
