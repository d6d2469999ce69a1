"""Making an atlas: one pass over photos, then crops and images, branch by branch; an interrupted build is resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from ..errors import PhotoError, UserError, quoted
from ..explain.masking import ExplanationError
from ..explain.receptive_field import clipped_square, map_size
from ..network.anatomy import receptive_field
from ..network.blocks import BLOCKS, BRANCHES
from ..network.inception_v1 import STAGES, stage_of
from ..network.overflow import check_overflow
from ..prediction import input_batch
from ..pretrained.pretrained import PretrainedModel
from ..runtime import strict_json
from ..runtime.files import is_file, make_folder, write_file
from ..runtime.progress import Progress
from ..runtime.wording import counted
from .atlas import (
    COLUMNS,
    FORMAT,
    INDEX,
    BranchRecord,
    ChannelRecord,
    ClassArea,
    DataIdentity,
    NetworkIdentity,
    Place,
    branch_bytes,
    branch_file,
    read_branch,
    weights_digest,
)
from .atlas_places import NOWHERE, TOLD_APART, BlockMeasurement, BlockSurvey, Places, class_areas
from .feature_visualization import VisualizationSettings, visualize_channels
from .tuning import LayerTuning, layer_tunings

BATCH = 32  # photos
IMAGES = 16  # in one batch
QUALITY = 85  # of WebP
IMAGE_SETTINGS = VisualizationSettings(steps=128, side=64)
CLASS_PHOTOS = 5  # a class with fewer is not listed: channels would tell it apart by chance
# What the error names if an entry of the index differs: an option or argument of the command, or the program's version.
MADE_BY = {
    "format": "program version",
    "network": "network",
    "data": "photos",
    "branches": "--blocks",
    "channels": "--channels",
    "crops": "--crops",
    "seed": "--seed",
    "image_settings": "--steps or --size",
}
TILE = 64  # greatest side of a crop in pixels


class AtlasPhotos(Protocol):
    """Photos with their classes, such as `training.photos.LabelledPhotos`; a single class counts as unlabelled."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def targets(self) -> Sequence[int]:
        """Index of each photo's class."""

    def __len__(self) -> int: ...

    def photo(self, index: int) -> Image.Image:
        """Open a photo.

        Raises:
            PhotoError: if it cannot be read.
        """

    def name(self, index: int) -> str:
        """Return a photo's name."""


@dataclass(frozen=True)
class AtlasOptions:
    """Contents of an atlas to build.

    Attributes:
        blocks: whose branches.
        channels: of each branch, those with the highest mean over the photos; None for all.
        images: whether to optimise an image for each channel, which takes most of the time.
        crops: whether to keep the photos' crops; without them the atlas holds nothing of the photos.
        seed: of the random places and of the images.
        image_settings: of the images.
    """

    blocks: tuple[str, ...] = tuple(BLOCKS)
    channels: int | None = None
    images: bool = True
    crops: bool = True
    seed: int = 0
    image_settings: VisualizationSettings = IMAGE_SETTINGS


def build_atlas(
    pretrained: PretrainedModel,
    photos: AtlasPhotos,
    data_name: str,
    folder: Path,
    options: AtlasOptions | None = None,
    progress: Progress = iter,
) -> tuple[str, ...]:
    """Make an atlas in a folder, or finish one that was stopped, and return the names of photos that cannot be read.

    Each branch's file is whole or not there. `progress` may wrap the iteration over batches of photos, and over
    batches of images.

    Raises:
        UserError: if no photo can be read, the folder cannot be written, or it holds an atlas of something else.
    """
    options = options or AtlasOptions()
    blocks = tuple(block for block in BLOCKS if block in options.blocks)
    make_folder(folder)
    _write_index(pretrained, photos, data_name, folder, blocks, options)
    missing = {block: [branch for branch in BRANCHES if not _is_whole(folder, block, branch)] for block in blocks}
    pending = [block for block in blocks if missing[block]]
    skipped: tuple[str, ...] = ()
    if pending:
        measured, readable, skipped = _survey(pretrained, photos, pending, options.seed, progress)
        tuned = layer_tunings(pretrained, pending)
        for block in pending:
            found = (measured[block], tuned[block])
            _write_branches(pretrained, photos, folder, block, missing[block], *found, readable, options)
    if options.images:
        _add_images(pretrained, folder, blocks, options, progress)
    return skipped


def _is_whole(folder: Path, block: str, branch: str) -> bool:
    try:
        read_branch(folder, block, branch).pictures()  # reading checks each one's checksum
    except UserError:
        return False
    return True


def _write_index(
    pretrained: PretrainedModel,
    photos: AtlasPhotos,
    data_name: str,
    folder: Path,
    blocks: Sequence[str],
    options: AtlasOptions,
) -> None:
    names = "\0".join(photos.name(index) for index in range(len(photos)))
    classes = photos.classes if len(photos.classes) > 1 else ()
    index: dict[str, Any] = {
        "format": FORMAT,
        "network": asdict(NetworkIdentity(pretrained.name, weights_digest(pretrained))),
        "data": asdict(DataIdentity(data_name, len(photos), classes, sha256(names.encode()).hexdigest())),
        "branches": [[block, branch] for block in blocks for branch in BRANCHES],
        "channels": options.channels,
        "crops": options.crops,
        "seed": options.seed,
        "image_settings": asdict(options.image_settings),
    }
    file = folder / INDEX
    if is_file(file):
        _check_continued(file, index)
    elif any(folder.iterdir()):
        raise ExplanationError(
            "explain_atlas_folder",
            "{name} holds other files; please name a new or empty folder for the atlas.",
            name=quoted(folder.name),
        )
    write_file(file, strict_json.dumps(index, indent=1).encode())


def _check_continued(file: Path, index: dict[str, Any]) -> None:
    """Check that an index says the same as the one that is to be written.

    Raises:
        ExplanationError: if it does not; it names the options that differ.
    """
    try:
        begun = strict_json.loads(file.read_text(encoding="utf-8"))
        differing = [
            MADE_BY[key]
            for key, value in strict_json.loads(strict_json.dumps(index)).items()
            if begun.get(key) != value
        ]
    except (OSError, ValueError, AttributeError):
        differing = ["contents"]
    if differing:
        raise ExplanationError(
            "explain_atlas_begun",
            "{name} holds an atlas with other {differing}; please give the same, name another folder, or remove it.",
            name=quoted(file.parent.name),
            differing=" and ".join(differing),
        )


@torch.inference_mode()
def _survey(
    pretrained: PretrainedModel, photos: AtlasPhotos, blocks: Sequence[str], seed: int, progress: Progress
) -> tuple[dict[str, BlockMeasurement], list[int], tuple[str, ...]]:
    """Pass over the photos; also return the numbers of those that can be read, and the names of the others."""
    stages = STAGES[: STAGES.index(stage_of(blocks[-1])) + 1]
    labelled = len(photos.classes) > 1
    surveys = {
        block: BlockSurvey(sum(pretrained.model.block(block).branch_channels.values()), seed, keep_maxima=labelled)
        for block in blocks
    }
    readable: list[int] = []
    skipped: list[str] = []
    for start in progress(range(0, len(photos), BATCH)):
        numbers, images = [], []
        for number in range(start, min(start + BATCH, len(photos))):
            try:
                images.append(pretrained.preprocessing.apply(photos.photo(number)))
                numbers.append(number)
            except PhotoError:
                skipped.append(photos.name(number))
        if not images:
            continue
        readable += numbers
        maps = input_batch(pretrained, images)
        for stage in stages:
            maps = pretrained.engine.get_submodule(stage)(maps)
            block = stage.removeprefix("inception_")
            if block in surveys:
                surveys[block].add(maps, numbers)
        check_overflow(pretrained.name, [maps])
    if not readable:
        raise UserError(
            "data_unreadable",
            "None of {count} can be read; please check the files.",
            count=counted(len(photos), "photo"),
        )
    return {block: survey.result() for block, survey in surveys.items()}, readable, tuple(skipped)


def _write_branches(
    pretrained: PretrainedModel,
    photos: AtlasPhotos,
    folder: Path,
    block: str,
    branches: Sequence[str],
    measured: BlockMeasurement,
    tuned: LayerTuning,
    readable: Sequence[int],
    options: AtlasOptions,
) -> None:
    """Write the files of some of a block's branches, without images."""
    areas = None
    if measured.maxima is not None:
        targets = np.array([photos.targets[number] for number in readable])
        areas = class_areas(measured.maxima.numpy(), targets, len(photos.classes))
        areas[:, np.bincount(targets, minlength=len(photos.classes)) < CLASS_PHOTOS] = np.nan
    _, columns = map_size(pretrained.model, block)
    for branch in branches:
        part = pretrained.model.block(block).slices[branch]
        chosen = measured.mean[part].argsort(descending=True, stable=True)[: options.channels].tolist()
        records = {}
        for channel in sorted(chosen):
            number = part.start + channel
            records[channel] = ChannelRecord(
                channel=channel,
                mean=float(measured.mean[number]),
                silent=float(measured.silent[number]),
                strongest=_places(measured.strongest, number, columns),
                random=_places(measured.random, number, columns),
                classes=() if areas is None else _told_apart(areas[number], photos.classes),
                tuning=tuning_record(tuned, number),
            )
        pictures = _crops(pretrained, photos, block, branch, records) if options.crops else {}
        write_file(branch_file(folder, block, branch), branch_bytes(records, pictures))


def tuning_record(tuned: LayerTuning, number: int) -> dict[str, Any]:
    """Return the tuning of a channel of a block's output as plain data, responses to four digits."""
    curves = {feature: curve.to_dict() for feature, curve in tuned.channel(number).curves.items()}
    for curve in curves.values():
        curve["responses"] = [float(f"{response:.4g}") for response in curve["responses"]]
    return curves


def _places(places: Places, number: int, columns: int) -> tuple[Place, ...]:
    photos, cells, values = (part[number].tolist() for part in (places.photos, places.cells, places.values))
    rows = zip(photos, cells, values, strict=True)
    return tuple(
        Place(photo, cell // columns, cell % columns, value) for photo, cell, value in rows if photo != NOWHERE
    )


def _told_apart(areas: np.ndarray, classes: Sequence[str]) -> tuple[ClassArea, ...]:
    best = np.argsort(-np.nan_to_num(areas), kind="stable")[:TOLD_APART]
    return tuple(ClassArea(classes[index], float(areas[index])) for index in best if not np.isnan(areas[index]))


def _crops(
    pretrained: PretrainedModel,
    photos: AtlasPhotos,
    block: str,
    branch: str,
    records: Mapping[int, ChannelRecord],
) -> dict[str, bytes]:
    """Return a picture of each channel's places; photos with places are opened again for each branch, once each."""
    field, side = receptive_field(pretrained.model, block, branch), pretrained.input_size
    tile = min(TILE, field.size, side)
    sheets = {channel: Image.new("RGB", (COLUMNS * tile, 2 * tile)) for channel in records}
    wanted: dict[int, list[tuple[int, int, int, Place]]] = {}
    for channel, record in records.items():
        for row, places in enumerate((record.strongest, record.random)):
            for column, place in enumerate(places):
                wanted.setdefault(place.photo, []).append((channel, row, column, place))
    for number, uses in wanted.items():
        photo = pretrained.preprocessing.apply(photos.photo(number))
        for channel, row, column, place in uses:
            square = clipped_square(field, place.row, place.column, side, side)
            crop = photo.crop((square.left, square.top, square.right, square.bottom))
            crop.thumbnail((tile, tile), Image.Resampling.BICUBIC)
            sheets[channel].paste(crop, (column * tile, row * tile))
    return {f"{channel}-places.webp": _webp(sheet) for channel, sheet in sheets.items()}


def _add_images(
    pretrained: PretrainedModel, folder: Path, blocks: Sequence[str], options: AtlasOptions, progress: Progress
) -> None:
    """Optimise the images that are missing, a batch at a time, and write the branch's file after each."""
    branches = [read_branch(folder, block, branch) for block in blocks for branch in BRANCHES]
    missing = [(branch, batches) for branch in branches if (batches := _without_images(branch))]
    work = _image_batches(pretrained, missing, options)
    for _ in progress(range(sum(len(batches) for _, batches in missing))):
        next(work)


def _without_images(branch: BranchRecord) -> list[list[int]]:
    """Return the batches of a branch's channels that have no images yet.

    A channel is always in the same batch, since its image depends on its place there.
    """
    channels = sorted(branch.channels)
    batches = [channels[start : start + IMAGES] for start in range(0, len(channels), IMAGES)]
    return [batch for batch in batches if any(branch.channels[channel].activation is None for channel in batch)]


def _image_batches(
    pretrained: PretrainedModel, missing: Sequence[tuple[BranchRecord, list[list[int]]]], options: AtlasOptions
) -> Iterator[None]:
    settings = replace(options.image_settings, seed=options.seed)
    for branch, batches in missing:
        records, pictures = dict(branch.channels), branch.pictures()
        for batch in batches:
            found = visualize_channels(pretrained, branch.block, branch.branch, batch, settings)
            for channel, image, activation in zip(batch, found.image, found.activation, strict=True):
                records[channel] = replace(records[channel], activation=activation)
                pictures[f"{channel}-image.webp"] = _webp(Image.fromarray(image))
            write_file(branch.file, branch_bytes(records, pictures))
            yield


def _webp(image: Image.Image) -> bytes:
    encoded = BytesIO()
    image.save(encoded, "WEBP", quality=QUALITY, method=6)
    return encoded.getvalue()
