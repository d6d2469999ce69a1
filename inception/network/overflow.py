"""Detection of overflow: finite weights whose activations are not finite."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..errors import WeightsError


class ActivationOverflowError(WeightsError):
    """Activations that are not finite, for one photo of a batch at least."""


def check_overflow(name: str, activations: Iterable[Tensor]) -> None:
    """Check that all activations of the network `name` are finite.

    Raises:
        ActivationOverflowError: if one is NaN or infinite.
    """
    # A sum is finite only if all its terms are, and takes a tenth of the time of checking each term.
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in activations])
    if not torch.isfinite(sums).all():
        raise ActivationOverflowError(
            "weights_overflow",
            "The activations of {name} overflow (NaN or infinite); please choose another network.",
            name=name,
        )
