"""Forward pass with branches of several blocks removed, of which every later output is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import perf_counter
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from ..checks import choice
from ..network.blocks import BLOCKS
from ..network.inception_v1 import STAGES
from ..network.overflow import check_overflow
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .masking import block_output, branch_mask, contiguous_like_input
from .shapley import to_array


@torch.inference_mode()
def ablated_prediction(
    pretrained: PretrainedModel, prediction: Prediction, off: Mapping[str, Iterable[str]]
) -> Prediction:
    """Return the prediction with whole branches replaced by zeros, in one or several blocks at once.

    The network runs on from the earliest of these blocks. Outputs of the stages before it are shared with `prediction`;
    those of that block and of all stages behind it are new, as are logits, probabilities and `seconds`.

    Args:
        off: by block, the branches that are removed. Without any, the result is `prediction` itself.

    Raises:
        ChoiceError: if there is no such block or branch.
    """
    begin = perf_counter()
    masks = {choice("block", block, tuple(BLOCKS)): branch_mask(pretrained, block, off[block]) for block in off}
    kept = {f"inception_{block}": 1 - mask for block, mask in masks.items() if mask.any()}
    if not kept:
        return prediction
    engine = pretrained.engine
    first = min(kept, key=STAGES.index)
    output = block_output(pretrained, prediction, first.removeprefix("inception_")) * kept[first]
    changed: dict[str, Tensor] = {first: output}
    for stage in STAGES[STAGES.index(first) + 1 :]:
        output = engine.get_submodule(stage)(contiguous_like_input(output))
        if stage in kept:
            output = output * kept[stage]
        changed[stage] = output
    logits = engine.required_head(output)
    check_overflow(pretrained.name, (*changed.values(), logits))
    probabilities = pretrained.probabilities(logits)
    return replace(
        prediction,
        logits=to_array(logits[0]),
        probabilities=to_array(probabilities[0]),
        stages=MappingProxyType({**prediction.stages, **{stage: _array(maps) for stage, maps in changed.items()}}),
        seconds=perf_counter() - begin,
    )


def _array(maps: Tensor) -> np.ndarray:
    return to_array(maps[0])
