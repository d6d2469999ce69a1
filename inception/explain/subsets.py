"""The logits for many sets of branches at once, without computing the same thing twice.

What a block's output meets first works channel by channel (max pools, and before a `preact`
convolution BatchNorm and ReLU) or is linear (1x1 convolutions). So these layers run once for the
channels of each branch, on and off, and what they give is added up for each set; it saves a
quarter of the work. Only what lies behind the next ReLU runs for every set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.blocks import BRANCHES, InceptionBlock
from ..network.fused import FusedUnit
from ..network.inception_v1 import HEAD, stage_after
from ..network.overflow import check_overflow
from ..pretrained.pretrained import PretrainedModel
from .masking import contiguous_like_input

Layers = Sequence[Callable[[Tensor], Tensor]]


def logits_of_sets(
    pretrained: PretrainedModel, block: str, on: Tensor, off: Tensor, sets: Sequence[frozenset[str]]
) -> Tensor:
    """The logits (sets, classes) with the branches of each set on and the other branches off.

    `on` is the block's output (1, C, H, W), `off` what its channels hold when they are off (1, C, 1, 1).
    """
    model = pretrained.engine
    slices = tuple(model.block(block).slices.values())
    # Which branch is taken from where: (sets, 4), 0 for on and 1 for off.
    taken = torch.tensor([[int(branch not in members) for branch in BRANCHES] for members in sets], device=on.device)
    pair = contiguous_like_input(torch.cat([on, off.expand_as(on)]))
    stage = stage_after(f"inception_{block}")
    while stage != HEAD and not isinstance(model.get_submodule(stage), InceptionBlock):
        pair = model.get_submodule(stage)(pair)
        stage = stage_after(stage)
    if stage == HEAD:
        mixed = torch.cat([pair[taken[:, number], where] for number, where in enumerate(slices)], dim=1)
    else:
        mixed = _through_block(model.get_submodule(stage), pair, slices, taken)
        stage = stage_after(stage)
    logits = model.trace(mixed, start=stage).required_logits
    check_overflow(pretrained.name, [logits])
    return logits


def _through_block(module: nn.Module, pair: Tensor, slices: Sequence[slice], taken: Tensor) -> Tensor:
    """The output of the next block for each set, from its input with everything on and everything off, (2, C, H, W)."""
    outputs = []
    for layers in BRANCHES.values():
        given = module.get_submodule("pool")(pair) if layers[0] == "pool" else pair
        entry, *rest = (layer for layer in layers if layer != "pool")
        y = _mixed(module.get_submodule(entry), given, slices, taken)
        for layer in rest:
            y = module.get_submodule(layer)(y)
        outputs.append(y)
    return torch.cat(outputs, dim=1)


def _mixed(unit: nn.Module, pair: Tensor, slices: Sequence[slice], taken: Tensor) -> Tensor:
    """A 1x1 unit's output (sets, C_out, H, W): its convolution runs on each branch's channels by themselves."""
    before, weight, bias, after = _parts(unit)
    for layer in before:
        pair = layer(pair)
    shares = [
        F.conv2d(contiguous_like_input(pair[:, where]), contiguous_like_input(weight[:, where])).permute(0, 2, 3, 1)
        for where in slices
    ]
    _, height, width, channels = shares[0].shape
    parts = torch.stack(shares).reshape(2 * len(slices), -1)
    chosen = F.one_hot(taken, 2).flatten(1).to(parts.dtype)
    y = (chosen @ parts).view(len(taken), height, width, channels)
    if bias is not None:
        y += bias
    y = y.permute(0, 3, 1, 2)
    for layer in after:
        y = layer(y)
    return y


def _parts(unit: nn.Module) -> tuple[Layers, Tensor, Tensor | None, Layers]:
    """What a unit does before its convolution, the convolution's weight and bias, and what it does after it."""
    if isinstance(unit, FusedUnit):
        return [], unit.weight, unit.bias, [torch.relu_]
    layers = list(unit.children())
    conv = next(layer for layer in layers if isinstance(layer, nn.Conv2d))
    place = layers.index(conv)
    return layers[:place], conv.weight, conv.bias, layers[place + 1 :]
