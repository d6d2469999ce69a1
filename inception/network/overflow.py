"""Overflow, finite weights whose activations are not finite: its detection, and its isolation within a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import WeightsError

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def run_batch(
    run: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
) -> Sequence[Result | ActivationOverflowError]:
    """Return the results of a batch; after an overflow, the result or the error of each item, which then runs alone.

    Raises:
        Whatever else `run` raises for the batch.
    """
    try:
        return run(items)
    except ActivationOverflowError as error:
        if len(items) == 1:
            return [error]
    return [result for item in items for result in run_batch(run, [item])]


@torch.inference_mode()
def check_every_layer(name: str, model: nn.Module, x: Tensor) -> None:
    """Check that the output of every layer of the plain network `name` is finite for a batch x (N, 3, H, W).

    Within blocks `check_overflow` of their outputs is not enough: a ReLU makes minus infinity zero, and that of a fused
    engine NaN too.

    Raises:
        ActivationOverflowError: if one is NaN or infinite.
    """
    outputs: list[Tensor] = []
    layers = [module for module in model.modules() if not any(module.children())]
    hooks = [layer.register_forward_hook(lambda _layer, _input, output: outputs.append(output)) for layer in layers]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    check_overflow(name, outputs)
