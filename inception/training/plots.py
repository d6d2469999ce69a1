"""Plots of a training run and its evaluation, as PIL images."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from PIL import Image

from ..render.fonts import default_face, face_for
from .evaluation import BINS, calibration_error

# Paul Tol's bright scheme, distinct for colour-blind eyes.
BLUE, RED, GREY = "#4477AA", "#EE6677", "#888888"
MAX_NAMES = 40  # class names along a confusion matrix; more would not be legible


def curves(log: Sequence[Mapping[str, Any]], *, top5: bool = True) -> Image.Image:
    """Plot loss, accuracy and learning rate over the steps; `log` has the columns of the CSV log."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    steps = [row["step"] for row in log]
    panels: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
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
    for axis, (title, lines) in zip(axes, panels, strict=True):
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
    return _rendered(figure)


def confusion_counts(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count the photos of each class (row) that were classified as each class (column): (classes, classes)."""
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def confusion(counts: np.ndarray, names: Sequence[str]) -> Image.Image:
    """Plot a confusion matrix as fractions of each row, with counts in the cells for up to 12 classes."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(names) <= MAX_NAMES
    side = min(3.0 + 0.35 * len(names), 12.0) if few else 9.0
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axis, label="share of the photos of the true class", shrink=0.8)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    if few:
        short = [name.split(",")[0] for name in names]
        literally = _literally("".join(short))
        axis.set_xticks(range(len(names)), short, rotation=90, **literally)
        axis.set_yticks(range(len(names)), short, **literally)
    if len(names) <= 12:
        for row, column in np.ndindex(*counts.shape):
            colour = "black" if shares[row, column] > 0.6 else "white"
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    return _rendered(figure)


def reliability(kinds: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Image.Image:
    """Plot a reliability diagram: accuracy against confidence. A calibrated network lies on the diagonal.

    `kinds` gives for each label the confidences (N,) and whether the predictions were right (N,). The area of a point
    is proportional to its number of predictions. The legend gives the calibration error over the bins that are drawn.
    """
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect calibration")
    for (label, (confidences, correct)), colour in zip(kinds.items(), (BLUE, RED), strict=False):
        # Fewer bins for few photos, because the accuracy of a nearly empty bin is noise.
        bins = min(BINS, max(3, len(correct) // 25))
        indices = np.minimum((confidences * bins).astype(int), bins - 1)
        rows = [indices == index for index in range(bins) if (indices == index).any()]
        x, y = [confidences[row].mean() for row in rows], [correct[row].mean() for row in rows]
        error = calibration_error(confidences, correct, bins)
        axis.plot(x, y, color=colour, label=f"{label}, error {error:.3f} in {bins} bins")
        axis.scatter(x, y, [12 + 250 * row.mean() for row in rows], color=colour, zorder=3)
    axis.set_xlim(0, 1.02)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("confidence: probability of the predicted class")
    axis.set_ylabel("accuracy: share of right predictions")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="upper left")
    return _rendered(figure)


def mistakes(examples: Sequence[tuple[Image.Image, str, str]], columns: int = 6) -> Image.Image:
    """Plot photos, each with its predicted and its true class."""
    rows = max(1, -(-len(examples) // columns))
    figure = Figure(figsize=(2.1 * columns, 2.5 * rows), layout="constrained")
    for axis in figure.subplots(rows, columns, squeeze=False).flat:
        axis.axis("off")
    if not examples:
        figure.suptitle("No mistakes on the validation photos")
    for axis, (photo, predicted, target) in zip(figure.axes, examples, strict=False):
        axis.imshow(photo)
        title = f"{_shortened(predicted)}\n{_shortened(target)}"
        axis.set_title(title, **_literally(title), fontsize=8)
    return _rendered(figure)


def _literally(text: str) -> dict[str, Any]:
    """Return the properties with which matplotlib draws a text of the user's.

    Dollar signs do not begin a formula, and a font of this machine is used where matplotlib's lacks a letter.
    """
    face = face_for(text)
    if face is None or face == default_face():
        return {"parse_math": False}
    return {"parse_math": False, "fontproperties": FontProperties(fname=face.path)}


def _shortened(text: str, maximum: int = 28) -> str:
    return text if len(text) <= maximum else text[: maximum - 1] + "…"


def _rendered(figure: Figure) -> Image.Image:
    # Without pyplot, which keeps every figure in a global.
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return Image.open(file).convert("RGB")
