"""Forward pass with branches and channels of several blocks ablated, of which every later output is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import perf_counter
from types import MappingProxyType

import torch
from torch import Tensor

from ..checks import choice
from ..network.blocks import BLOCKS
from ..network.inception_v1 import STAGES, stage_of
from ..network.overflow import check_overflow
from ..prediction import Prediction, to_array
from ..pretrained.pretrained import PretrainedModel
from .masking import ablation_values, block_output, branch_mask, channels_last
from .registry import ABLATIONS


@torch.inference_mode()
def ablated_prediction(
    pretrained: PretrainedModel,
    prediction: Prediction,
    off: Mapping[str, str | Iterable[str | int]],
    ablation: str = ABLATIONS[0],
) -> Prediction:
    """Return the prediction with whole branches and single channels ablated, in one or several blocks at once.

    The network runs on from the earliest of these blocks. Outputs of the stages before it are shared with `prediction`;
    those of that block and of all stages behind it are new, as are logits, probabilities and `seconds`.

    Args:
        off: by block, names of branches, and numbers of channels in the block's concatenated output, from 0; or the
            name of one branch. Without any, the result is `prediction` itself.
        ablation: what replaces them: "zero", or "mean", each channel's mean over training photos.

    Raises:
        ChoiceError, ExplanationError: if there is no such block, branch, channel or ablation.
    """
    begin = perf_counter()
    masks = {choice("block", block, tuple(BLOCKS)): _mask(pretrained, block, off[block]) for block in off}
    # By stage, the mask and the values that replace the masked channels.
    ablated = {
        stage_of(block): (mask, ablation_values(pretrained, block, ablation))
        for block, mask in masks.items()
        if mask.any()
    }
    if not ablated:
        return prediction
    engine = pretrained.engine
    first = min(ablated, key=STAGES.index)
    mask, values = ablated[first]
    output = torch.lerp(block_output(pretrained, prediction, first.removeprefix("inception_")), values, mask)
    changed: dict[str, Tensor] = {first: output}
    for stage in STAGES[STAGES.index(first) + 1 :]:
        output = engine.get_submodule(stage)(channels_last(output))
        if stage in ablated:
            mask, values = ablated[stage]
            output = torch.lerp(output, values, mask)
        changed[stage] = output
    logits = engine.required_head(output)
    check_overflow(pretrained.name, (*changed.values(), logits))
    probabilities = pretrained.probabilities(logits)
    return replace(
        prediction,
        logits=to_array(logits[0]),
        probabilities=to_array(probabilities[0]),
        stages=MappingProxyType({**prediction.stages, **{stage: to_array(maps[0]) for stage, maps in changed.items()}}),
        seconds=perf_counter() - begin,
    )


def _mask(pretrained: PretrainedModel, block: str, off: str | Iterable[str | int]) -> Tensor:
    members = (off,) if isinstance(off, str) else tuple(off)
    names = [member for member in members if isinstance(member, str)]
    return branch_mask(pretrained, block, names, [member for member in members if not isinstance(member, str)])
