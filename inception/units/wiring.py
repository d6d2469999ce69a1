"""Wiring: which channels feed a channel, and which read it, by expanded weights.

Expanded weights (Voss et al., "Visualizing Weights", Distill 2021) multiply the kernels of the two convolutions of a
branch as if there were no ReLU, and for the pool branch no pooling, between them: an approximation. For the 1x1 branch
they are the weights themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import choice
from ..explain.circuit import STEM
from ..explain.masking import check_channel
from ..explain.readout import CLASSIFIER
from ..network.blocks import BLOCKS, BRANCHES, ConvUnit, InceptionBlock, scaled_kernel
from ..network.inception_v1 import InceptionV1

STRONGEST = 8


@dataclass(frozen=True)
class Connection:
    """One channel, or class, that feeds or reads a channel.

    `layer` is a block, "stem" or "classifier"; `branch` is None for the last two. `channel` counts from 0 within the
    branch, the stem's output or the classes. `strength` is the L2 norm of the expanded kernel, `total` its sum: above
    zero, the connection excites. `kernel` has its rows.
    """

    layer: str
    branch: str | None
    channel: int
    strength: float
    total: float
    kernel: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Wiring:
    """The strongest connections of one channel, strongest first."""

    feeds: tuple[Connection, ...]
    readers: tuple[Connection, ...]

    def to_dict(self) -> dict[str, Any]:
        """`feeds, readers`, each a list of `Connection`."""
        return {"feeds": [one.to_dict() for one in self.feeds], "readers": [one.to_dict() for one in self.readers]}


@torch.no_grad()
def wiring(model: InceptionV1, block: str, branch: str, channel: int, strongest: int = STRONGEST) -> Wiring:
    """Return the strongest connections of a channel, counted from 0 within its branch.

    Readers of block 5b are the classes; a model without a classifier has none.

    Raises:
        ChoiceError: if there is no such block or branch.
        UserError: if there is no such channel.
    """
    own = model.block(block)
    part = own.slices[choice("branch", branch, tuple(BRANCHES))]
    check_channel(f"{block}/{branch}", channel, part.stop - part.start)
    names = list(BLOCKS)
    at = names.index(block)
    before = names[at - 1] if at else STEM
    feeds = _strongest(expanded_kernel(own, branch)[channel], before, _sources(model, before), strongest)
    if at + 1 < len(names):
        after = model.block(names[at + 1])
        number = part.start + channel
        found = [
            connection
            for reader in BRANCHES
            for connection in _strongest(
                expanded_kernel(after, reader)[:, number],
                names[at + 1],
                [(reader, one) for one in range(after.branch_channels[reader])],
                strongest,
            )
        ]
        readers = sorted(found, key=lambda one: -one.strength)[: max(strongest, 0)]
    elif model.head is None:
        readers = []
    else:
        weights = _class_weights(model)[:, part.start + channel]
        classes: list[tuple[str | None, int]] = [(None, one) for one in range(len(weights))]
        readers = list(_strongest(weights[:, None, None], CLASSIFIER, classes, strongest))
    return Wiring(tuple(feeds), tuple(readers))


def expanded_kernel(block: InceptionBlock, branch: str) -> Tensor:
    """Return the expanded weights (C_out, C_in, k, k) of a branch, including BatchNorm's scale."""
    units = [unit for layer in BRANCHES[branch] if isinstance(unit := block[layer], ConvUnit)]
    kernel = scaled_kernel(units[0])
    for unit in units[1:]:
        kernel = torch.einsum("omhw,mi->oihw", scaled_kernel(unit), kernel[:, :, 0, 0])
    return kernel


def _sources(model: InceptionV1, layer: str) -> list[tuple[str | None, int]]:
    """Branch and channel of each channel of the output of a block or of the stem."""
    if layer == STEM:
        return [(None, one) for one in range(model.block(next(iter(BLOCKS))).widths.in_channels)]
    channels = model.block(layer).branch_channels
    return [(branch, one) for branch, count in channels.items() for one in range(count)]


def _strongest(
    kernels: Tensor, layer: str, names: Sequence[tuple[str | None, int]], strongest: int
) -> tuple[Connection, ...]:
    """Return the connections with the largest norms among kernels (C, k, k)."""
    strengths = kernels.flatten(1).norm(dim=1)
    order = strengths.argsort(descending=True, stable=True)[: max(strongest, 0)].tolist()
    return tuple(
        Connection(
            layer=layer,
            branch=names[one][0],
            channel=names[one][1],
            strength=float(strengths[one]),
            total=float(kernels[one].sum()),
            kernel=tuple(tuple(row) for row in kernels[one].tolist()),
        )
        for one in order
    )


def _class_weights(model: InceptionV1) -> Tensor:
    """Return the weights (classes, C) from pooled channels to logits; hidden layers as if without ReLU."""
    weights = [layer.weight.detach() for layer in model.required_head.modules() if isinstance(layer, nn.Linear)]
    product = weights[0]
    for one in weights[1:]:
        product = one @ product
    return product
