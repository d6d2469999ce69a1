"""Logits for many subsets of active branches at once, sharing the computation that they have in common.

The first layers behind a block work channel by channel (max pools, and BatchNorm and ReLU before a `preact`
convolution) or are linear (1x1 convolutions). They run once for the channels of each branch, active and ablated, and
their results are summed for each subset, which saves a quarter of the work. Only the layers behind the next ReLU run
for every subset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.blocks import BRANCHES, ConvUnit, InceptionBlock
from ..network.fused import FusedUnit
from ..network.inception_v1 import HEAD, stage_after, stage_of
from ..network.overflow import check_overflow
from ..pretrained.pretrained import PretrainedModel
from .masking import channels_last

Layers = Sequence[Callable[[Tensor], Tensor]]


def logits_of_subsets(
    pretrained: PretrainedModel, block: str, output: Tensor, ablated: Tensor, subsets: Sequence[frozenset[str]]
) -> Tensor:
    """Return the logits (subsets, classes) with the branches of each subset active and the others ablated.

    `output` is the block's output (1, C, H, W), `ablated` the values (1, C, 1, 1) that replace its channels.
    """
    model = pretrained.engine
    slices = tuple(model.block(block).slices.values())
    # (subsets, 4): for each branch its index in `pair`, 0 for active and 1 for ablated.
    taken = torch.tensor(
        [[int(branch not in members) for branch in BRANCHES] for members in subsets], device=output.device
    )
    pair = channels_last(torch.cat([output, ablated.expand_as(output)]))
    stage = stage_after(stage_of(block))
    while stage != HEAD and not isinstance(model.get_submodule(stage), InceptionBlock):
        pair = model.get_submodule(stage)(pair)
        stage = stage_after(stage)
    if stage == HEAD:
        mixed = torch.cat([pair[taken[:, number], channels] for number, channels in enumerate(slices)], dim=1)
    else:
        mixed = _through_block(model.get_submodule(stage), pair, slices, taken)
        stage = stage_after(stage)
    logits = model.logits(mixed, start=stage)
    check_overflow(pretrained.name, [logits])
    return logits


def _through_block(module: nn.Module, pair: Tensor, slices: Sequence[slice], taken: Tensor) -> Tensor:
    """Return the next block's output for each subset, from its input (2, C, H, W) with all active and all ablated."""
    outputs = []
    for layers in BRANCHES.values():
        x = module.get_submodule("pool")(pair) if layers[0] == "pool" else pair
        entry, *rest = (layer for layer in layers if layer != "pool")
        y = _mixed(module.get_submodule(entry), x, slices, taken)
        for layer in rest:
            y = module.get_submodule(layer)(y)
        outputs.append(y)
    return torch.cat(outputs, dim=1)


def _mixed(unit: nn.Module, pair: Tensor, slices: Sequence[slice], taken: Tensor) -> Tensor:
    """Return a 1x1 unit's output (subsets, C_out, H, W), running its convolution on each branch's channels alone."""
    before, weight, bias, after = _parts(unit)
    for layer in before:
        pair = layer(pair)
    shares = [
        F.conv2d(channels_last(pair[:, part]), channels_last(weight[:, part])).permute(0, 2, 3, 1) for part in slices
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
    """Return a unit's layers before its convolution, the convolution's weight and bias, and the layers after it."""
    if isinstance(unit, FusedUnit):
        return [], unit.weight, unit.bias, [torch.relu_]
    assert isinstance(unit, ConvUnit)
    layers, conv = list(unit.children()), unit.conv
    position = layers.index(conv)
    return layers[:position], conv.weight, conv.bias, layers[position + 1 :]
