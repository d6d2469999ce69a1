"""The layers from the input to one branch, as a frozen copy whose ReLUs can let gradients pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.blocks import BRANCHES, ConvUnit
from ..network.copies import plain_copy
from ..network.inception_v1 import STAGES, InceptionV1, stage_of


class RedirectedReLU(nn.Module):
    """A ReLU that, while `redirected`, passes a gradient to photos that would get none.

    Where all of a photo's values are negative, a ReLU's gradient is zero and nothing could ever excite the unit behind
    it. Then the gradient passes at the values that it would raise. As in lucid, lucid/misc/redirected_relu_grad.py.
    """

    def __init__(self) -> None:
        super().__init__()
        self.redirected = True

    def forward(self, x: Tensor) -> Tensor:
        return _Redirected.apply(x) if self.redirected else F.relu(x)


class _Redirected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.relu(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        passed = torch.where(x > 0, gradient, 0)
        # The loss falls against the gradient: a positive one would push a negative value further down.
        raised = torch.where((x <= 0) & (gradient > 0), 0, gradient)
        silent = passed.flatten(1).abs().amax(dim=1) == 0
        return torch.where(silent.view(-1, 1, 1, 1), raised, passed)


def branch_network(model: InceptionV1, block: str, branch: str) -> nn.Sequential:
    """Return a frozen copy of the layers up to a branch, from (N, 3, H, W) to (N, C, h, w) before the last ReLU.

    It is float32, whatever type `model` has. The branch's output is the ReLU of its output; with pre-activation it is
    that itself. Other branches of the block and later blocks are not computed.
    """
    before = [model.get_submodule(stage) for stage in STAGES[: STAGES.index(stage_of(block))]]
    layers = nn.Sequential(*before, *(model.block(block)[layer] for layer in BRANCHES[branch]))
    network = plain_copy(layers).to(memory_format=torch.channels_last)
    last = network[-1]
    assert isinstance(last, ConvUnit)
    if isinstance(last[-1], nn.ReLU):
        del last[-1]
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                module.add_module(name, RedirectedReLU())
    return network


def redirect(network: nn.Module, redirected: bool) -> None:
    """Switch the redirection of all ReLUs of a network on or off."""
    for module in network.modules():
        if isinstance(module, RedirectedReLU):
            module.redirected = redirected
