"""`visualize`: an image that excites a branch, a channel or one of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError, quoted
from ..runtime.files import as_text, check_writable, make_folder, write_file
from ..runtime.terminal import json_line, out
from .device import load_pretrained, with_cpu_fallback
from .numbers import MAX_IMAGE_SIDE, MAX_IMAGES, MAX_SEED, MAX_STEPS, MIN_SIDE, whole_option
from .options import Json, Model, OneDevice, path_option
from .progress import progress

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from ..units.feature_visualization import VisualizationStep


@dataclass(frozen=True)
class Request:
    """What to visualize, and where to."""

    unit: str
    model: str
    file: Path
    steps: int
    size: int
    seed: int
    sign: int
    count: int
    json: bool


def visualize(
    unit: Annotated[
        str,
        typer.Argument(
            parser=str,
            metavar="UNIT",
            help="A branch (4c:3x3), a channel (4c:3x3:17), or a cell by row and column (4c:3x3:17@7,7).",
        ),
    ],
    file: Annotated[Path, path_option("--out", "FILE", "The picture, FILE.png; its folder is made if need be.")],
    model: Model = "tiny-imagenet",
    steps: Annotated[int, whole_option("--steps", 1, MAX_STEPS, "Steps of gradient ascent")] = 128,
    size: Annotated[
        int, whole_option("--size", MIN_SIDE, MAX_IMAGE_SIDE, "Side of the picture in pixels", metavar="PX")
    ] = 128,
    seed: Annotated[int, whole_option("--seed", 0, MAX_SEED, "The same seed gives the same picture")] = 0,
    negative: Annotated[
        bool, typer.Option("--negative", help="What drives a channel or cell below zero, instead of what excites it.")
    ] = False,
    diverse: Annotated[int, whole_option("--diverse", 1, MAX_IMAGES, "Number of different pictures, side by side")] = 1,
    device: OneDevice = "auto",
    json: Json = False,
) -> int:
    """Draw what excites a branch, a channel or a cell."""
    sign = -1 if negative else 1
    request = Request(unit, model, file, steps, size, seed, sign, diverse, json)
    return with_cpu_fallback(device, lambda device: _visualize(request, device))


def _check_picture(file: Path) -> None:
    """Check that a picture can be written, and make its folder.

    Raises:
        UserError: if it cannot, or if it is to be anything but a PNG file.
    """
    if file.suffix.lower() != ".png":
        raise UserError(
            "visualize_name",
            "The picture is a PNG file, and {name} does not end in .png; please name one that does.",
            name=quoted(file.name),
        )
    make_folder(file.parent)
    check_writable(file)


def _visualize(request: Request, device: str) -> int:
    from PIL import Image

    from ..units.feature_visualization import VisualizationSettings, shown_after, visualize
    from ..units.naturalness import example_photos, naturalness
    from ..units.unit import parse_unit

    unit = parse_unit(request.unit)
    _check_picture(request.file)
    settings = VisualizationSettings(
        steps=request.steps, side=request.size, seed=request.seed, sign=request.sign, count=request.count
    )
    pretrained = load_pretrained(request.model, device)
    growing = visualize(pretrained, unit, settings)
    for _ in progress(shown_after(request.steps)):
        step = next(growing)
    write_file(request.file, _png(step, request.size))
    path = naturalness(pretrained, unit, Image.fromarray(step.image[0]), example_photos(), request.sign)
    height, width = step.image.shape[1:3]
    if request.json:
        report = {"unit": str(unit), "model": request.model, "steps": step.steps, "activation": step.activation}
        report |= {"height": height, "width": width, "file": as_text(request.file), "naturalness": path.to_dict()}
        out(json_line(report))
    else:
        answers = ", ".join(f"{answer:.4g}" for answer in step.activation)
        out(f"{unit}  activation {answers}  image of {width}x{height} pixels  {as_text(request.file)}")
        out(path.sentence)
    return 0


def _png(step: VisualizationStep, side: int) -> bytes:
    """Return the images side by side, each `side` pixels high."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    strip = Image.fromarray(np.concatenate(list(step.image), axis=1))
    factor = side / step.image.shape[1]
    size = (round(strip.width * factor), round(strip.height * factor))
    encoded = BytesIO()
    strip.resize(size, Image.Resampling.BICUBIC).save(encoded, "PNG")
    return encoded.getvalue()
