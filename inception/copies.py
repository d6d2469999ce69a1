"""Copies of networks."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def copied(module: Module) -> Module:
    """As `copy.deepcopy`, whose tensors are copied one by one beforehand.

    For each tensor `deepcopy` hands on all that it has copied so far. ZeroGPU looks through everything that any
    function of torch is given, so that making an engine there took minutes.
    """
    known: dict[int, object] = {}
    for parameter in module.parameters():
        own = parameter.detach().clone()
        known[id(parameter)] = nn.Parameter(own, requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        known[id(buffer)] = buffer.detach().clone()
    return copy.deepcopy(module, known)
