"""Networks whose numbers run over: each is finite, and what is computed with them is not."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..errors import WeightsError


def check_computed(name: str, computed: Iterable[Tensor]) -> None:
    """Refuse what a network called `name` computed if a number in it is NaN or infinite.

    Raises:
        WeightsError: if so.
    """
    # A sum is finite only if all its terms are, and takes a tenth of the time of looking at each by itself.
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in computed])
    if not torch.isfinite(sums).all():
        raise WeightsError(
            "weights_overflow",
            "What {name} computes is too large for its numbers (NaN or infinite); please choose another network.",
            name=name,
        )
