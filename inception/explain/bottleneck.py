"""What the 1x1 reductions of a block make of its input: a few channels of many."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..prediction import Prediction, bottleneck_maps
from ..pretrained.pretrained import PretrainedModel


@dataclass(frozen=True, eq=False)
class StrongestChannels:
    """The channels with the highest means of some maps, the highest first.

    Args:
        count: of all channels.
        numbers: of the chosen channels, from 0.
        maps: (len(numbers), H, W), float32 and read-only.
    """

    count: int
    numbers: tuple[int, ...]
    maps: np.ndarray = field(repr=False)


def strongest_reduced(
    pretrained: PretrainedModel, prediction: Prediction, block: str, most: int
) -> dict[str, StrongestChannels]:
    """Return the `most` strongest channels of each of the three results of `bottleneck_maps`.

    Raises:
        ChoiceError: if there is no such block.
    """
    return {name: _strongest(maps, most) for name, maps in bottleneck_maps(pretrained, prediction, block).items()}


def _strongest(maps: np.ndarray, most: int) -> StrongestChannels:
    order = np.argsort(-maps.mean(axis=(1, 2)), kind="stable")[: max(most, 0)]
    chosen = maps[order]
    chosen.flags.writeable = False
    return StrongestChannels(len(maps), tuple(order.tolist()), chosen)
