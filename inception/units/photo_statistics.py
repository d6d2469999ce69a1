"""Statistics over a set of photos: responses of the channels, and the importance of the branches of every block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..errors import UserError
from ..explain.shapley import branch_votes
from ..network.blocks import BLOCKS, BRANCHES
from ..prediction import predict_crop
from ..pretrained.pretrained import PretrainedModel
from ..runtime.progress import Progress
from .selectivity import sparseness

WORTH_PHOTOS = 8  # of the photos, taken evenly: votes take sixteen passes a block


@dataclass(frozen=True, eq=False)
class PhotoStatistics:
    """Statistics of a block over photos. The arrays are read-only.

    Attributes:
        responses: of each channel, the mean over the cells of each photo and over the photos of each group,
            (C, groups); 0 where that is negative.
        selectivity: `sparseness` of the responses, (C,): 0 for a channel that responds to all groups alike, 1 for one
            that responds to a single group; NaN for a channel that responds to none.
        worth: by branch, the mean absolute vote for the most probable class, over some of the photos.
    """

    block: str
    responses: np.ndarray = field(repr=False)
    selectivity: np.ndarray = field(repr=False)
    worth: Mapping[str, float]


def photo_statistics(
    pretrained: PretrainedModel,
    images: Sequence[Image.Image],
    groups: Sequence[int] | None = None,
    *,
    worth_photos: int = WORTH_PHOTOS,
    progress: Progress = iter,
) -> dict[str, PhotoStatistics]:
    """Measure the statistics of every block.

    Args:
        images: network inputs as pictures, from `Preprocessing.apply`; at least two.
        groups: the class of each photo, whole numbers; by default each photo is a group of its own.
        worth_photos: greatest number of photos for `worth`, taken evenly.
        progress: may wrap the iteration over the photos.

    Raises:
        UserError: if there are fewer than two groups.
        WeightsError: if activations overflow.
    """
    names, members = np.unique(np.arange(len(images)) if groups is None else np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise UserError(
            "explain_few_photos",
            "At least two photos are needed, of different classes if they have any; please give more.",
        )
    counted = {number * len(images) // worth_photos for number in range(worth_photos)}
    sums = {block: np.zeros((_channels(pretrained, block), len(names))) for block in BLOCKS}
    votes: dict[str, list[list[float]]] = {block: [] for block in BLOCKS}
    for number in progress(range(len(images))):
        prediction = predict_crop(pretrained, images[number])
        for block in BLOCKS:
            maps = prediction.block(block)
            sums[block][:, members[number]] += maps.mean(axis=(1, 2))
            if number in counted:
                result = branch_votes(pretrained, prediction, block)
                votes[block].append([abs(result.votes[branch]) for branch in BRANCHES])
    sizes = np.bincount(members)
    return {
        block: _statistics(block, np.maximum(sums[block] / sizes, 0), np.mean(votes[block], axis=0)) for block in BLOCKS
    }


def _channels(pretrained: PretrainedModel, block: str) -> int:
    return sum(pretrained.model.block(block).branch_channels.values())


def _statistics(block: str, responses: np.ndarray, worth: np.ndarray) -> PhotoStatistics:
    selectivity = np.where(responses.any(axis=1), sparseness(responses), np.nan)
    for array in (responses, selectivity):
        array.flags.writeable = False
    return PhotoStatistics(block, responses, selectivity, dict(zip(BRANCHES, worth.tolist(), strict=True)))
