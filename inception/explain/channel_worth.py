"""Worth of every single channel of every block for the logit of a class: gradient times activation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from ..network.blocks import BLOCKS
from ..network.inception_v1 import STAGES, stage_of
from ..network.overflow import check_overflow
from ..prediction import Prediction, to_array
from ..pretrained.pretrained import PretrainedModel
from .masking import block_output, class_index

FIRST_BLOCK = next(iter(BLOCKS))


def channel_worth(
    pretrained: PretrainedModel, prediction: Prediction, classes: Iterable[int | None], first: str = FIRST_BLOCK
) -> dict[int, dict[str, np.ndarray]]:
    """Return by class and block the worth (C,) of each channel of the block's output, float32 and read-only.

    It is the gradient of the class's logit with respect to the channel's map times the map, summed over its cells: to
    first order, how much the logit would fall if the channel were zero. Where the network behind the block is linear,
    as behind block 5b of a network with a linear head, it is exactly that.

    One forward pass from block `first` on serves it, all later blocks and all classes; each class takes one backward
    pass.

    Raises:
        ChoiceError: if there is no such block.
        ExplanationError: if there is no such class.
    """
    wanted = [class_index(pretrained, prediction, target) for target in classes]
    # Enable gradients even inside a caller's no_grad or inference_mode.
    with torch.inference_mode(False), torch.enable_grad():
        output = block_output(pretrained, prediction, first).requires_grad_()
        outputs = {first: output}
        for stage in STAGES[STAGES.index(stage_of(first)) + 1 :]:
            output = pretrained.engine.get_submodule(stage)(output)
            block = stage.removeprefix("inception_")
            if block in BLOCKS:
                outputs[block] = output
        logits = pretrained.engine.required_head(output)[0]
        check_overflow(pretrained.name, [logits.detach()])
        worth = {}
        for number, index in enumerate(wanted):
            # autograd.grad, unlike backward, leaves no gradients on the model's parameters.
            gradients = torch.autograd.grad(
                logits[index], list(outputs.values()), retain_graph=number + 1 < len(wanted)
            )
            worth[index] = {
                block: to_array((maps.detach() * gradient).sum(dim=(0, 2, 3)))
                for (block, maps), gradient in zip(outputs.items(), gradients, strict=True)
            }
    return worth
