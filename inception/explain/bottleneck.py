"""What the 1x1 reductions of a block make of its input: a few channels of many."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..network.blocks import BRANCHES
from ..network.inception_v1 import STAGES
from ..network.overflow import check_overflow
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .shapley import to_array

BEFORE = "before"  # the block's input, among the results
REDUCED = ("3x3", "5x5")  # branches that begin with a 1x1 reduction


@dataclass(frozen=True)
class Strongest:
    """The channels with the highest means of some maps, the highest first.

    Args:
        count: of all channels.
        numbers: of the chosen channels, from 0.
        maps: (len(numbers), H, W), float32 and read-only.
    """

    count: int
    numbers: tuple[int, ...]
    maps: np.ndarray = field(repr=False)


@torch.inference_mode()
def strongest_reduced(
    pretrained: PretrainedModel, prediction: Prediction, block: str, most: int
) -> dict[str, Strongest]:
    """Return the strongest channels of a block's input, under `BEFORE`, and of the reductions of its branches.

    Args:
        most: number of channels of each.

    Raises:
        ChoiceError: if there is no such block.
    """
    module = pretrained.model.block(block)
    before = prediction.stages[STAGES[STAGES.index(f"inception_{block}") - 1]]
    x = torch.from_numpy(before.copy(order="K")).unsqueeze(0).to(pretrained.device)
    maps = {BEFORE: x, **{branch: module[BRANCHES[branch][0]](x) for branch in REDUCED}}
    check_overflow(pretrained.name, list(maps.values()))
    return {name: _strongest(one[0], most) for name, one in maps.items()}


def _strongest(maps: Tensor, most: int) -> Strongest:
    order = torch.argsort(maps.mean(dim=(1, 2)), descending=True, stable=True)[:most]
    return Strongest(len(maps), tuple(order.tolist()), to_array(maps[order]))
