"""Deep copies of modules."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def copy_module(module: Module, device: str | None = None) -> Module:
    """Return a deep copy of `module`, on `device` if one is given.

    A copy on "meta" has shapes but no values, and allocates nothing on the module's device, which may be full.

    Tensors are copied before `deepcopy` runs: `deepcopy` passes its whole memo to each tensor's `__deepcopy__`, and
    ZeroGPU inspects every argument of every torch function, so copying a network took minutes there.
    """
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        copied = parameter.detach().to(device or parameter.device, copy=True)
        memo[id(parameter)] = nn.Parameter(copied, requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach().to(device or buffer.device, copy=True)
    return copy.deepcopy(module, memo)
