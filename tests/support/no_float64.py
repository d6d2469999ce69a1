"""A stand-in for devices without float64, such as Apple's GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class HostTensor(Tensor):
    """A tensor that `cpu()` returned, or that was computed from one."""


class NoFloat64(TorchFunctionMode):
    """Mode in which float64 tensors raise an error as on MPS, unless computed from tensors that `cpu()` returned."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function is Tensor.cpu:
            return result.as_subclass(HostTensor)
        if function is Tensor.to and isinstance(args[-1], torch.device):
            return result.as_subclass(Tensor)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.dtype == torch.float64 and not isinstance(leaf, HostTensor):
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result
