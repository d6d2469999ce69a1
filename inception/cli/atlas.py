"""`atlas`: what excites each channel of a network, among photos and as an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..runtime.files import as_text, is_folder
from ..runtime.terminal import err, json_line, out, short_path
from ..runtime.wording import counted
from .device import load_pretrained, with_cpu_fallback
from .numbers import MAX_CHANNELS, MAX_IMAGE_SIDE, MAX_SEED, MAX_STEPS, MIN_SIDE, refused, whole_option
from .options import BLOCKS, SPLITS, Json, OneDevice, listed, model_argument, path_option, text_option
from .progress import progress

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from ..training.photos import LabelledPhotos

MAX_LIMIT = 10**6  # photos
LIMIT = 10_000


@dataclass(frozen=True)
class Request:
    """The network, the photos, and what the atlas is to hold."""

    model: str
    data: str
    split: str
    folder: Path
    blocks: tuple[str, ...]
    channels: int | None
    limit: int
    images: bool
    crops: bool
    steps: int
    size: int
    seed: int
    json: bool


def _blocks(text: str) -> str:
    if not set(text.split(",")) <= set(BLOCKS):
        raise refused(text, f"some of {', '.join(BLOCKS)}, with commas between them")
    return text


def atlas(
    model: Annotated[str, model_argument("NETWORK")],
    data: Annotated[
        str,
        text_option(
            "--data",
            "Photos: a folder, best with one folder for each class, Parquet files, or a data set on the Hugging Face "
            "hub.",
            metavar="DATA",
        ),
    ],
    folder: Annotated[Path, path_option("--out", "DIR", "Folder of the atlas; created, or completed if it exists.")],
    split: Annotated[
        str, text_option("--split", f"Part of the data: {listed(SPLITS)}.", values=SPLITS, metavar="SPLIT")
    ] = "val",
    blocks: Annotated[
        str,
        typer.Option("--blocks", parser=_blocks, metavar="BLOCKS", help="Blocks to collect, with commas between them."),
    ] = ",".join(BLOCKS),
    channels: Annotated[
        int | None,
        whole_option(
            "--channels", 1, MAX_CHANNELS, "Of each branch only the N channels that respond most", default="all"
        ),
    ] = None,
    limit: Annotated[
        int, whole_option("--limit", 1, MAX_LIMIT, "Use no more than N photos, taken evenly from all of them")
    ] = LIMIT,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Optimise an image for each channel; takes longest.")
    ] = True,
    crops: Annotated[bool, typer.Option("--crops/--no-crops", help="Keep pieces of the photos.")] = True,
    steps: Annotated[int, whole_option("--steps", 1, MAX_STEPS, "Steps of gradient ascent for each image")] = 128,
    size: Annotated[int, whole_option("--size", MIN_SIDE, MAX_IMAGE_SIDE, "Side of the images", metavar="PX")] = 64,
    seed: Annotated[int, whole_option("--seed", 0, MAX_SEED, "Of the random places and of the images")] = 0,
    device: OneDevice = "auto",
    json: Json = False,
) -> int:
    """Collect what excites each channel of a network, among photos and as an image."""
    chosen = tuple(blocks.split(","))
    request = Request(model, data, split, folder, chosen, channels, limit, images, crops, steps, size, seed, json)
    return with_cpu_fallback(device, lambda device: _atlas(request, device))


def _atlas(request: Request, device: str) -> int:
    from ..units.atlas import read_atlas
    from ..units.atlas_build import AtlasOptions, build_atlas
    from ..units.feature_visualization import VisualizationSettings

    pretrained = load_pretrained(request.model, device)
    photos = _photos(request.data, request.split).evenly(request.limit)
    options = AtlasOptions(
        blocks=request.blocks,
        channels=request.channels,
        images=request.images,
        crops=request.crops,
        seed=request.seed,
        image_settings=VisualizationSettings(steps=request.steps, side=request.size),
    )
    name = Path(request.data).resolve().name
    for skipped in build_atlas(pretrained, photos, name, request.folder, options, progress):
        err(f"skipped, cannot be read: {short_path(skipped)}")
    made = read_atlas(request.folder, pretrained)
    channels = sum(len(made.branch(block, branch).channels) for block, branch in made.branches)
    size = sum(file.stat().st_size for file in made.files)
    if request.json:
        report = {"model": request.model, "photos": made.data.photos, "classes": len(made.data.classes)}
        out(json_line({**report, "channels": channels, "bytes": size, "folder": as_text(request.folder)}))
    else:
        summary = f"{counted(channels, 'channel')} on {counted(made.data.photos, 'photo')}"
        out(f"{summary}, {size / 1e6:.1f} MB in {as_text(request.folder)}")
    return 0


def _photos(data: str, split: str) -> LabelledPhotos:
    """Read labelled photos as `evaluate` does, or those of a folder without class folders."""
    from ..training.datasets import labelled_photos, locate_data, unlabelled_photos

    path = locate_data(data)
    if is_folder(path) and not any(path.glob("*/")) and not any(path.glob("*.parquet")):
        return unlabelled_photos(path)
    return labelled_photos(path, split)
