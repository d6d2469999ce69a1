"""Layers that are piecewise linear, taken apart on the linear piece that a photo lies on.

With the ReLUs and max pools switched as they are for the photo, a number is a constant plus the sum over the inputs of
gradient times input.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.copies import copy_module


@dataclass(frozen=True, eq=False)
class LinearSplit:
    """A number as the sum of a constant and the contributions of the inputs, in float64.

    Attributes:
        value: of the number, computed forwards.
        constant: its value if all inputs were zero, with all ReLUs and max pools switched as for the photo: what the
            biases contribute. Computed forwards too, without the gradient.
        contributions: gradient times input, (C, H, W), read-only.
    """

    value: float
    constant: float
    contributions: np.ndarray = field(repr=False)


def split_on_piece(layers: Iterable[nn.Module], inputs: np.ndarray, place: tuple[int, ...]) -> LinearSplit:
    """Split the number at `place` of what `layers`, run one after another, make of `inputs` (C, H, W)."""
    # Enable gradients even inside a caller's no_grad or inference_mode.
    with torch.inference_mode(False), torch.enable_grad():
        # On the CPU, because not every device has float64; in float64, so that the sum shows errors of method only.
        plain = copy_module(nn.Sequential(*layers), "cpu").double().eval()
        x = torch.from_numpy(inputs.astype(np.float64)).unsqueeze(0)
        value = plain(x.requires_grad_())[place]
        (gradient,) = torch.autograd.grad(value, x)
        x = x.detach()
        with torch.no_grad():
            constant = _switched_as_for(plain, x, torch.zeros_like(x))[place]
    contributions = (gradient * x)[0].numpy()
    contributions.flags.writeable = False
    return LinearSplit(float(value.detach()), float(constant), contributions)


def leaves(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the layers without children, in the order in which they run."""
    return [layer for module in modules for layer in module.modules() if not any(layer.children())]


def _switched_as_for(layers: nn.Sequential, photo: Tensor, x: Tensor) -> Tensor:
    """Apply layers to `x` with every ReLU on or off, and every max pool taking the cell, as for the input `photo`.

    This is the linear piece on which `photo` lies, also far away from it.
    """
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            x = x * (photo > 0)
        elif isinstance(layer, nn.MaxPool2d):
            _, cells = F.max_pool2d(
                photo, layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode, return_indices=True
            )
            x = x.flatten(2).gather(2, cells.flatten(2)).view_as(cells)
        else:
            x = layer(x)
        photo = layer(photo)
    return x
