"""One look at one photo: the answer, and what every branch of every block computed on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image

from .errors import ChoiceError
from .model import BLOCKS, BRANCHES, STAGES
from .weights import Pretrained

INTERMEDIATES = ("3x3_reduce", "5x5_reduce", "pool")


@dataclass(frozen=True)
class Guess:
    """One class of the answer."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True)
class Observation:
    """What one forward pass showed. All arrays are float32 and read-only.

    `seen` is the square picture that the network saw, `logits` and `probabilities` are
    (classes,), `stages` holds the output (C, H, W) of each of the network's stages.
    """

    seen: Image.Image = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    logits: np.ndarray = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    stages: Mapping[str, np.ndarray] = field(repr=False)
    slices: Mapping[str, Mapping[str, slice]] = field(repr=False)
    seconds: float  # from the picture to the last number

    def top(self, k: int = 5) -> tuple[Guess, ...]:
        """The `k` most probable classes, best first; fewer where there are fewer classes."""
        order = np.argsort(-self.probabilities, kind="stable")[: max(k, 0)]
        return tuple(Guess(int(i), self.labels[i], float(self.probabilities[i]), float(self.logits[i])) for i in order)

    def block(self, name: str) -> np.ndarray:
        """The concatenated output (C, H, W) of an Inception block, for instance "4c"."""
        if name not in BLOCKS:
            raise ChoiceError("block", name, tuple(BLOCKS))
        return self.stages[f"inception_{name}"]

    def branch(self, block: str, branch: str) -> np.ndarray:
        """The channels (C, H, W) of one branch: a slice of the block's output."""
        if branch not in BRANCHES:
            raise ChoiceError("branch", branch, tuple(BRANCHES))
        return self.block(block)[self.slices[block][branch]]

    def branches(self, block: str) -> dict[str, np.ndarray]:
        """All four branches of a block."""
        return {branch: self.branch(block, branch) for branch in BRANCHES}

    @property
    def nbytes(self) -> int:
        """Memory that keeping this observation costs."""
        arrays = (self.logits, self.probabilities, *self.stages.values())
        return sum(array.nbytes for array in arrays) + 3 * self.seen.width * self.seen.height


def observe(pretrained: Pretrained, photo: Image.Image) -> Observation:
    """Look at an RGB photo of any size."""
    return observe_seen(pretrained, pretrained.preprocessing.see(photo))


def observe_seen(pretrained: Pretrained, seen: Image.Image) -> Observation:
    """Look at a picture that has been cut and resized already, as `Preprocessing.see` returns it."""
    return observe_together(pretrained, [seen])[0]


@torch.inference_mode()
def observe_together(pretrained: Pretrained, seen: Sequence[Image.Image]) -> list[Observation]:
    """Look at several such pictures in one forward pass, which takes less time than one after another.

    Each observation's `seconds` is the time of the whole pass: what its visitor waited for.
    """
    if not seen:
        return []
    engine = pretrained.engine  # made before the clock starts
    begin = perf_counter()
    x = torch.cat([pretrained.preprocessing.tensor(one) for one in seen])
    trace = engine.trace(x.to(pretrained.device, memory_format=torch.channels_last))
    if trace.logits is None:
        raise ValueError("This model was built with include_top=False, so it gives no answer; build it with a top.")
    probabilities = pretrained.probabilities(trace.logits)
    slices = MappingProxyType({block: pretrained.model.block(block).slices for block in BLOCKS})
    seconds = perf_counter() - begin
    return [
        Observation(
            seen=one,
            labels=pretrained.labels,
            logits=_array(trace.logits[number]),
            probabilities=_array(probabilities[number]),
            stages=MappingProxyType({name: _array(out[number]) for name, out in trace.stages.items()}),
            slices=slices,
            seconds=seconds,
        )
        for number, one in enumerate(seen)
    ]


@torch.inference_mode()
def intermediates(pretrained: Pretrained, observation: Observation, block: str) -> dict[str, np.ndarray]:
    """What lies inside a block before its last convolutions: `3x3_reduce`, `5x5_reduce` and the
    pooled input, each (C, H, W). Only this block is run again, on the input that it had."""
    module = pretrained.engine.block(block)
    before = STAGES[STAGES.index(f"inception_{block}") - 1]
    given = torch.from_numpy(observation.stages[before].copy(order="K")).unsqueeze(0).to(pretrained.device)
    inside = module.trace(given)
    return {layer: _array(inside[layer][0]) for layer in INTERMEDIATES}


def _array(tensor: torch.Tensor) -> np.ndarray:
    # A copy, so that one visitor's observation does not keep the whole batch in memory.
    array = tensor.float().cpu().clone().numpy()
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class BranchStatistics:
    """The numbers that stand beside a branch's picture."""

    channels: int
    height: int
    width: int
    lowest: float
    highest: float
    mean: float
    silent: int  # channels whose cells are all zero for this photo
    zero_share: float  # share of all cells that are zero


def statistics(maps: np.ndarray) -> BranchStatistics:
    """Of the channels (C, H, W) of one branch."""
    channels, height, width = maps.shape
    zero = maps == 0
    return BranchStatistics(
        channels=channels,
        height=height,
        width=width,
        lowest=float(maps.min()),
        highest=float(maps.max()),
        mean=float(maps.mean()),
        silent=int(zero.all(axis=(1, 2)).sum()),
        zero_share=float(zero.mean()),
    )
