"""Copies of networks."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def copy_module(module: Module, device: str | None = None) -> Module:
    """As `copy.deepcopy`, on another device if one is named, whose tensors are copied one by one beforehand.

    A copy on "meta" has shapes and no numbers, and takes no memory of the module's device, which may be full.

    For each tensor `deepcopy` hands on all that it has copied so far. ZeroGPU looks through everything that any
    function of torch is given, so that making an engine there took minutes.
    """
    known: dict[int, object] = {}
    for parameter in module.parameters():
        own = parameter.detach().to(device or parameter.device, copy=True)
        known[id(parameter)] = nn.Parameter(own, requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        known[id(buffer)] = buffer.detach().to(device or buffer.device, copy=True)
    return copy.deepcopy(module, known)
