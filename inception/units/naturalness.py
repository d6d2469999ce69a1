"""Naturalness of an image: whether the network processes it along the path of photos.

Geirhos, Zimmermann, Bilodeau, Brendel and Kim, "Don't trust your eyes: on the (un)reliability of feature
visualizations", ICML 2024: an image that was optimised for a unit may reach it by other channels than photos do. They
compare layers by Spearman's rank correlation, with photos of the same class as 1 and of other classes as 0. Between few
photos that difference is smaller than its error; so 0 is here what channels in random order give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..errors import UserError
from ..explain.ranks import ranks
from ..network.anatomy import ReceptiveField, receptive_field
from ..network.inception_v1 import STAGES, stage_of
from ..network.overflow import check_overflow
from ..prediction import input_batch
from ..pretrained.pretrained import PretrainedModel
from ..runtime.resources import resource
from ..vision.photo import open_photo
from .branch_network import branch_network, redirect
from .unit import Unit, UnitView, unit_view

MIN_PHOTOS = 4
EXCITING = 10  # photos that excite the unit most, at most half of all
ERRORS = 2  # standard errors by which photos must be more alike than channels in random order
BATCH = 16  # photos


@dataclass(frozen=True)
class BlockPath:
    """The image's path through one block, beside those of photos. All but `share` are Spearman correlations.

    Attributes:
        similarity: of the image to the photos that excite the unit most, the mean.
        single: the same of each photo, to those of them that are not itself.
        alike: mean of `single` over the photos that excite the unit most.
        others: mean of `single` over the other photos.
        share: `similarity / alike`: 1 is as alike as such photos, 0 as channels in random order. None if the photos
            themselves are not more alike than that by chance.
    """

    block: str
    similarity: float
    single: tuple[float, ...]
    alike: float
    others: float
    share: float | None

    @property
    def low(self) -> float:
        """Similarity of the least alike photo."""
        return min(self.single)

    @property
    def high(self) -> float:
        """Similarity of the most alike photo."""
        return max(self.single)

    @property
    def is_natural(self) -> bool | None:
        """Whether the image is at least as alike as the least alike photo; None where there is no share.

        One more photo would be less alike than each of N photos with a probability of 1 / (N + 1).
        """
        return None if self.share is None else self.similarity >= self.low

    def to_dict(self) -> dict[str, Any]:
        """`block, share, natural, similarity, alike, others, low, high`."""
        return {
            "block": self.block,
            "share": self.share,
            "natural": self.is_natural,
            "similarity": self.similarity,
            "alike": self.alike,
            "others": self.others,
            "low": self.low,
            "high": self.high,
        }


@dataclass(frozen=True)
class Naturalness:
    """An image's path through the network's blocks, up to and including the unit's.

    Attributes:
        blocks: in the network's order.
        photos: compared with.
        sign: +1 if compared with the photos that excite the unit most, -1 with those that inhibit it most.
        silent: whether none of the photos does so; those that come nearest are then compared with.
    """

    blocks: tuple[BlockPath, ...]
    photos: int
    sign: int
    silent: bool

    @property
    def is_natural(self) -> bool | None:
        """Whether the similarity, averaged over all blocks that have a share, is at least that of the lowest photo.

        None if no block has. A single test for all blocks: of nine, a photo often fails one by chance.
        """
        measured = [block for block in self.blocks if block.share is not None]
        if not measured:
            return None
        photos = np.mean([block.single for block in measured], axis=0)
        return bool(np.mean([block.similarity for block in measured]) >= photos.min())

    @property
    def sentence(self) -> str:
        """The result for each block in plain sentences."""
        like = [block.block for block in self.blocks if block.is_natural]
        unlike = [block.block for block in self.blocks if block.is_natural is False]
        does = "excites" if self.sign > 0 else "inhibits"
        silent = f"None of the {self.photos} photos {does} it. " if self.silent else ""
        return silent + _sentence(like, unlike, [block.block for block in self.blocks], self.photos)

    def to_dict(self) -> dict[str, Any]:
        """`natural, blocks, photos, sign, silent`; `blocks` as `BlockPath`."""
        return {
            "natural": self.is_natural,
            "blocks": [block.to_dict() for block in self.blocks],
            "photos": self.photos,
            "sign": self.sign,
            "silent": self.silent,
        }


def _sentence(like: Sequence[str], unlike: Sequence[str], blocks: Sequence[str], photos: int) -> str:
    last = blocks[-1]
    if not like and not unlike:
        return f"Up to block {last} the photos differ too much to say whether this image is processed as they are."
    judged = [*like, *unlike]
    where = f"Up to block {last}" if len(judged) == len(blocks) else f"In {', '.join(judged)}"
    if not unlike:
        return f"{where} the network processes this image much as it does photos."
    chance = f"In any one block, one photo in {photos + 1} would be that different by chance."
    if not like:
        return f"{where} the network processes this image differently from all {photos} photos. {chance}"
    return (
        f"In {', '.join(like)} the network processes this image much as it does photos; in {', '.join(unlike)}, "
        f"differently from all {photos} photos. {chance}"
    )


def example_photos() -> list[Image.Image]:
    """Return the photos that come with the project."""
    return [open_photo(path) for path in sorted(resource("examples").glob("*.jpg"))]


@torch.inference_mode()
def naturalness(
    pretrained: PretrainedModel, unit: Unit, image: Image.Image, photos: Sequence[Image.Image], sign: int = 1
) -> Naturalness:
    """Compare an image's path to a unit with the paths of photos.

    The path through a block is the greatest value of each of its channels over all cells. Of each photo, that piece
    counts which has the image's size and lies where the unit responds most, so that size and border are the same for
    all. The same piece of the image counts if it is larger than the network's input.

    Args:
        image: RGB as the network sees it, for instance from `visualize`, or a photo from `Preprocessing.apply`.
        photos: RGB, of any size, not yet preprocessed; at least `MIN_PHOTOS`.
        sign: +1 to compare with the photos that excite the unit most, -1 with those that drive it furthest down.

    Raises:
        UserError: if the network has no such unit, or there are too few photos.
        WeightsError: if activations overflow.
    """
    unit.check(pretrained)
    if len(photos) < MIN_PHOTOS:
        raise UserError(
            "explain_path_photos",
            "At least {least} photos are needed to compare an image with, and there are {count}; please give more.",
            least=MIN_PHOTOS,
            count=len(photos),
        )
    size = (min(image.width, pretrained.input_size), min(image.height, pretrained.input_size))
    view = unit_view(pretrained, unit, max(size))
    if (view.width, view.height) != size:
        view = UnitView(height=size[1], width=size[0])
    inputs = [pretrained.preprocessing.apply(photo) for photo in photos]
    pieces, values = _pieces(pretrained, unit, inputs, view, sign)
    if image.size != size:
        (image,), _ = _pieces(pretrained, unit, [image], view, sign)
    order = np.argsort(-values, kind="stable")
    exciting = order[: min(EXCITING, len(order) // 2)]
    paths = _paths(pretrained, unit.block, view, [*pieces, image])
    blocks = tuple(block_path(block, found, exciting) for block, found in paths.items())
    # A branch's mean square is never negative: there is always a photo for which it is least.
    silent = bool(values.max() <= 0) and (sign > 0 or unit.channel is not None)
    return Naturalness(blocks, len(photos), sign, silent)


def block_path(block: str, paths: np.ndarray, exciting: np.ndarray) -> BlockPath:
    """Return what the paths (photos + 1, C) through a block say of the last one, the image's.

    Args:
        exciting: the numbers of the photos that excite the unit most, at least two.
    """
    correlations = spearman(paths)[:, exciting]
    own = correlations[exciting]
    count, pairs = len(exciting), len(exciting) * (len(exciting) - 1)
    correlations[exciting] = (own - np.eye(count)) * count / (count - 1)  # a photo is not compared with itself
    means = correlations.mean(axis=1)
    image, single = float(means[-1]), means[:-1]
    alike = float(single[exciting].mean())
    # Ranks in random order correlate with variance 1 / (C - 1), and independently for each of the pairs.
    by_chance = ERRORS / np.sqrt((paths.shape[1] - 1) * pairs / 2)
    return BlockPath(
        block=block,
        similarity=image,
        single=tuple(single.tolist()),
        alike=alike,
        others=float(np.delete(single, exciting).mean()),
        share=image / alike if alike > by_chance else None,
    )


def spearman(rows: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlations (N, N) between rows (N, C); 0 with a row whose values are all equal."""
    placed = np.stack([ranks(row) for row in rows])
    placed -= placed.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(placed, axis=1, keepdims=True)
    units = np.divide(placed, lengths, out=np.zeros_like(placed), where=lengths > 0)
    correlations: np.ndarray = units @ units.T
    np.fill_diagonal(correlations, 1)
    return correlations


def _pieces(
    pretrained: PretrainedModel, unit: Unit, images: Sequence[Image.Image], view: UnitView, sign: int
) -> tuple[list[Image.Image], np.ndarray]:
    """Return a piece of each image, where the unit responds most, and its values there, times `sign`, (N,)."""
    network = branch_network(pretrained.model, unit.block, unit.branch)
    redirect(network, False)
    field = receptive_field(pretrained.model, unit.block, unit.branch)
    pieces, values = [], []
    for image in images:
        answers = sign * _answers(network(input_batch(pretrained, [image]))[0], unit)
        check_overflow(pretrained.name, [answers])
        row, column = unit.row, unit.column
        if row is None or column is None:
            row, column = divmod(int(answers.argmax()), answers.shape[1])
        left = _start(field, column, view.width, image.width)
        top = _start(field, row, view.height, image.height)
        pieces.append(image.crop((left, top, left + view.width, top + view.height)))
        values.append(float(answers[row, column]))
    return pieces, np.array(values)


def _answers(maps: Tensor, unit: Unit) -> Tensor:
    """Return the answers (h, w) that `visualize` raises: a channel's values, or the mean square of a branch's."""
    return F.relu(maps).square().mean(dim=0) if unit.channel is None else maps[unit.channel]


def _start(field: ReceptiveField, cell: int, length: int, side: int) -> int:
    """Return the first of `length` pixels of an image of `side` pixels, around what a cell sees of it."""
    first = max(0, field.start + cell * field.stride)
    end = min(side, field.start + cell * field.stride + field.size)
    return min(max(0, (first + end - length) // 2), side - length)


def _paths(
    pretrained: PretrainedModel, block: str, view: UnitView, images: Sequence[Image.Image]
) -> dict[str, np.ndarray]:
    """Return by block, up to this one, the greatest value of each channel for each image, (N, C)."""
    found: dict[str, list[np.ndarray]] = {}
    stages = STAGES[: STAGES.index(stage_of(block)) + 1]
    for begin in range(0, len(images), BATCH):
        x = F.pad(input_batch(pretrained, images[begin : begin + BATCH]), (view.left, 0, view.top, 0))
        for stage in stages:
            x = pretrained.engine.get_submodule(stage)(x)
            if stage.startswith("inception_"):
                greatest = x.amax(dim=(2, 3)).cpu().double()
                check_overflow(pretrained.name, [greatest])
                found.setdefault(stage.removeprefix("inception_"), []).append(greatest.numpy())
    return {name: np.concatenate(rows) for name, rows in found.items()}
