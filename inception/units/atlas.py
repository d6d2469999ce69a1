"""The atlas of a network: for each channel the places in photos that excite it, its classes, and its image.

An atlas is a folder: `atlas.json`, and for each branch a ZIP file such as `4c-3x3.zip` with `channels.json` and, for
each channel, `17-places.webp` (crops of photos) and `17-image.webp` (its visualization) as far as they were wanted.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import choice
from ..errors import UserError, quoted
from ..explain.masking import ExplanationError
from ..network.blocks import BLOCKS, BRANCHES
from ..pretrained.pretrained import PretrainedModel
from ..runtime import strict_json
from ..runtime.files import is_file, is_folder
from ..runtime.resources import resource

EMBEDDED_ATLAS = resource("weights/tiny-imagenet.atlas")  # of the embedded network, without photos
FORMAT = 1
INDEX, CHANNELS = "atlas.json", "channels.json"
MAX_BYTES = 32 * 2**20  # of a file in an archive; the largest that is made takes a tenth of it
# What reading a damaged archive raises; RuntimeError if its flags say that it is encrypted.
DAMAGED = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
COLUMNS = 9  # of the crops in one row: the strongest places above, the random ones below


@dataclass(frozen=True)
class NetworkIdentity:
    """The network that an atlas is of; `digest` is of its weights."""

    name: str
    digest: str


@dataclass(frozen=True)
class DataIdentity:
    """The photos that an atlas was made with; `digest` is of their names. No `classes` if they have none."""

    name: str
    photos: int
    classes: tuple[str, ...] = field(repr=False)
    digest: str


@dataclass(frozen=True)
class Place:
    """One cell of a channel on one photo: the photo's number in the data, the cell, and the channel's value there."""

    photo: int
    row: int
    column: int
    value: float


@dataclass(frozen=True)
class ClassArea:
    """How well a channel tells a class from the others: the area under the ROC curve, 0.5 for not at all."""

    label: str
    area: float


@dataclass(frozen=True)
class ChannelRecord:
    """Atlas entry of a channel.

    Attributes:
        channel: within its branch.
        mean: over all cells of all photos.
        silent: share of the photos in which it is nowhere above zero.
        strongest: of each photo its strongest cell, and of these, in descending order, up to nine above zero.
        random: nine cells drawn at random.
        classes: the classes that it tells apart best, best first.
        activation: its greatest value on its visualization image; None without an image.
        tuning: by feature, what `units.tuning.ChannelCurve.to_dict` says, responses to four digits.
    """

    channel: int
    mean: float
    silent: float
    strongest: tuple[Place, ...]
    random: tuple[Place, ...]
    classes: tuple[ClassArea, ...] = ()
    activation: float | None = None
    tuning: Mapping[str, Any] | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ChannelRecord:
        """Inverse of `dataclasses.asdict`.

        Raises:
            TypeError, KeyError: if `values` is not such a dict.
        """
        nested = {
            "strongest": tuple(strict_json.built(Place, place) for place in values["strongest"]),
            "random": tuple(strict_json.built(Place, place) for place in values["random"]),
            "classes": tuple(strict_json.built(ClassArea, area) for area in values["classes"]),
        }
        return strict_json.built(cls, {**values, **nested})


@dataclass(frozen=True)
class BranchRecord:
    """A branch of an atlas: its channels by number, and their pictures, which are read on demand."""

    block: str
    branch: str
    channels: Mapping[int, ChannelRecord]
    file: Path = field(repr=False)

    def image(self, channel: int) -> bytes | None:
        """Return a channel's visualization as a WebP file, or None if the atlas has none of it."""
        return self._picture(f"{channel}-image.webp")

    def places(self, channel: int) -> bytes | None:
        """Return the crops of a channel's places as a WebP file, or None if the atlas has none.

        Nine squares in a row, the strongest above and the random ones below. Each crop is at the top left of its
        square, and as large as the cell's receptive field within the photo, or reduced in one proportion.
        """
        return self._picture(f"{channel}-places.webp")

    def pictures(self) -> dict[str, bytes]:
        """Return all pictures as WebP files, by name.

        Raises:
            UserError: if the file is missing, cut off or damaged.
        """
        try:
            with zipfile.ZipFile(self.file) as archive:
                return {name: _member(archive, name) for name in archive.namelist() if name != CHANNELS}
        except DAMAGED as error:
            raise _cut_off(self.file) from error

    def _picture(self, name: str) -> bytes | None:
        try:
            with zipfile.ZipFile(self.file) as archive:
                return _member(archive, name) if name in archive.namelist() else None
        except DAMAGED as error:
            raise _cut_off(self.file) from error


@dataclass(frozen=True)
class Atlas:
    """An atlas on disk; `branches` lists its branches as (block, branch)."""

    folder: Path = field(repr=False)
    network: NetworkIdentity
    data: DataIdentity
    branches: tuple[tuple[str, str], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files; the folder may have others."""
        return (self.folder / INDEX, *(branch_file(self.folder, *branch) for branch in self.branches))

    def branch(self, block: str, branch: str) -> BranchRecord:
        """Read a branch.

        Raises:
            UserError: if the atlas does not have it, or its file is missing or cut off.
        """
        choice("block", block, tuple(dict.fromkeys(name for name, _ in self.branches)))
        choice("branch", branch, tuple(name for of, name in self.branches if of == block))
        return read_branch(self.folder, block, branch)


def weights_digest(pretrained: PretrainedModel) -> str:
    """Return the SHA-256 of a network's weights, whatever file they came from."""
    digest = sha256()
    for name, tensor in sorted(pretrained.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.float().cpu().numpy()).tobytes())
    return digest.hexdigest()


def read_atlas(folder: Path, pretrained: PretrainedModel | None = None) -> Atlas:
    """Read an atlas; its branches and pictures are read when they are asked for.

    Args:
        pretrained: the network that it should be of.

    Raises:
        UserError: if there is no atlas, it is cut off, or it is of other weights.
    """
    file = folder / INDEX
    if not is_folder(folder) or not is_file(file):
        raise ExplanationError(
            "explain_atlas_missing",
            "There is no atlas in {name}; please make one with the command atlas, or name another folder.",
            name=quoted(folder.name),
        )
    try:
        index = strict_json.loads(file.read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ValueError("another format")
        data = {**index["data"], "classes": tuple(index["data"]["classes"])}
        branches = tuple((block, branch) for block, branch in index["branches"])
        if not all(block in BLOCKS and branch in BRANCHES for block, branch in branches):
            raise ValueError("unknown branches")
        network = strict_json.built(NetworkIdentity, index["network"])
        atlas = Atlas(folder, network, strict_json.built(DataIdentity, data), branches)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _cut_off(file) from error
    for block, branch in atlas.branches:
        if not is_file(branch_file(folder, block, branch)):
            raise _cut_off(branch_file(folder, block, branch))
    if pretrained is not None and weights_digest(pretrained) != atlas.network.digest:
        raise ExplanationError(
            "explain_atlas_other",
            "This atlas was made for other weights than those of {name} here; please make it again with the command "
            "atlas.",
            name=quoted(pretrained.name),
        )
    return atlas


def read_branch(folder: Path, block: str, branch: str) -> BranchRecord:
    """Read a branch of an atlas.

    Raises:
        UserError: if its file is missing or cut off.
    """
    file = branch_file(folder, block, branch)
    try:
        with zipfile.ZipFile(file) as archive:
            rows = strict_json.loads(_member(archive, CHANNELS).decode())
        channels = {record.channel: record for record in map(ChannelRecord.from_dict, rows)}
    except (*DAMAGED, TypeError, KeyError) as error:
        raise _cut_off(file) from error
    return BranchRecord(block, branch, channels, file)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a file of an archive.

    Raises:
        ValueError: if it would take more than `MAX_BYTES`.
    """
    if archive.getinfo(name).file_size > MAX_BYTES:
        raise ValueError("too large")
    return archive.read(name)


def branch_bytes(records: Mapping[int, ChannelRecord], pictures: Mapping[str, bytes]) -> bytes:
    """Return the file of a branch; `pictures` are WebP files by their names."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        rows = [asdict(records[channel]) for channel in sorted(records)]
        _add(archive, CHANNELS, strict_json.dumps(rows).encode(), zipfile.ZIP_DEFLATED)
        for name, data in pictures.items():
            _add(archive, name, data, zipfile.ZIP_STORED)
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    # Without the time of day, so that the same atlas has the same bytes.
    archive.writestr(zipfile.ZipInfo(name), data, method)


def branch_file(folder: Path, block: str, branch: str) -> Path:
    """Return the path of a branch's file."""
    return folder / f"{block}-{branch}.zip"


def _cut_off(file: Path) -> UserError:
    return ExplanationError(
        "explain_atlas_damaged",
        "The atlas's file {name} is missing or cut off; please finish the atlas with the command atlas.",
        name=quoted(file.name),
    )
