"""One look at one photo: the answer, and what every branch of every block computed on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .checks import choice
from .network.blocks import BLOCKS, BRANCHES
from .network.inception_v1 import STAGES
from .network.overflow import check_computed
from .pretrained.pretrained import PretrainedModel
from .pretrained.rejection import RejectionRule
from .vision.preprocessing import CENTRE_CROP, Crop

REDUCED_BRANCHES = ("3x3", "5x5")
INTERMEDIATES = (*(f"{branch}_reduce" for branch in REDUCED_BRANCHES), "pool")


@dataclass(frozen=True)
class ClassScore:
    """One class of the answer."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True)
class Prediction:
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
    rejection: RejectionRule | None = field(default=None, repr=False)  # the network's rule, where it has one

    def top(self, k: int = 5) -> tuple[ClassScore, ...]:
        """The `k` most probable classes, best first; fewer where there are fewer classes."""
        return _top(self.labels, self.logits, self.probabilities, k)

    @property
    def doubted(self) -> bool:
        """Whether the photo is probably of none of the classes; never where the network has no measured rule."""
        return self.rejection is not None and self.rejection.of(self.probabilities)

    def block(self, name: str) -> np.ndarray:
        """The concatenated output (C, H, W) of an Inception block, for instance "4c"."""
        return self.stages[f"inception_{choice('block', name, tuple(BLOCKS))}"]

    def branch(self, block: str, branch: str) -> np.ndarray:
        """The channels (C, H, W) of one branch: a slice of the block's output."""
        choice("branch", branch, tuple(BRANCHES))
        return self.block(block)[self.slices[block][branch]]

    def branches(self, block: str) -> dict[str, np.ndarray]:
        """All four branches of a block."""
        return {branch: self.branch(block, branch) for branch in BRANCHES}

    @property
    def nbytes(self) -> int:
        """Memory that keeping this observation costs."""
        arrays = (self.logits, self.probabilities, *self.stages.values())
        return sum(array.nbytes for array in arrays) + 3 * self.seen.width * self.seen.height

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "stages": {name: _in_memory_order(array) for name, array in self.stages.items()},
            "slices": {block: dict(slices) for block, slices in self.slices.items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        stages = {name: array.transpose(axes) for name, (array, axes) in state["stages"].items()}
        for array in (state["logits"], state["probabilities"], *stages.values()):
            array.flags.writeable = False
        slices = MappingProxyType(state["slices"])
        self.__dict__.update({**state, "stages": MappingProxyType(stages), "slices": slices})


def _in_memory_order(array: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """An array with its axes as they lie in memory, and the axes that turn it back.

    So it is sent without being copied, and comes out lying as it lay: who goes on computing with it
    rounds in the same places.
    """
    axes = np.argsort([-stride for stride in array.strides], kind="stable")
    return array.transpose(axes), tuple(np.argsort(axes).tolist())


def predict(
    pretrained: PretrainedModel, photo: Image.Image, precision: str = "exact", frame: Crop = CENTRE_CROP
) -> Prediction:
    """Look at an RGB photo of any size: at its centre square, or at what else `frame` says.

    `precision` is "exact" (float32), or "fast" for what is right to about 0.05 in a logit and takes two
    thirds of the time where the processor knows bfloat16. Explanations are checked against exact ones.

    Raises:
        ChoiceError: if there is no such precision.
    """
    return predict_crop(pretrained, pretrained.preprocessing.see(photo, frame), precision)


def predict_crop(pretrained: PretrainedModel, seen: Image.Image, precision: str = "exact") -> Prediction:
    """Look at a picture that has been cut and resized already, as `Preprocessing.see` returns it."""
    return predict_batch(pretrained, [seen], precision)[0]


@torch.inference_mode()
def predict_batch(
    pretrained: PretrainedModel, seen: Sequence[Image.Image], precision: str = "exact"
) -> list[Prediction]:
    """Look at several such pictures in one forward pass, which takes less time than one after another.

    Each observation's `seconds` is the time of the whole pass: what its visitor waited for.
    """
    if not seen:
        return []
    engine = pretrained.engine_for(precision)  # made before the clock starts
    begin = perf_counter()
    trace = engine.trace(batch_of(pretrained, seen))
    if trace.logits is None:
        raise ValueError("This model was built with include_top=False, so it gives no answer; build it with a top.")
    check_computed(pretrained.name, (*trace.stages.values(), trace.logits))
    probabilities = pretrained.probabilities(trace.logits)
    slices = MappingProxyType({block: pretrained.model.block(block).slices for block in BLOCKS})
    seconds = perf_counter() - begin
    own = len(seen) > 1
    return [
        Prediction(
            seen=one,
            labels=pretrained.labels,
            logits=_array(trace.logits[number], own=own),
            probabilities=_array(probabilities[number], own=own),
            stages=MappingProxyType({name: _array(out[number], own=own) for name, out in trace.stages.items()}),
            slices=slices,
            seconds=seconds,
            rejection=pretrained.rejection,
        )
        for number, one in enumerate(seen)
    ]


@torch.inference_mode()
def batch_of(pretrained: PretrainedModel, seen: Sequence[Image.Image]) -> Tensor:
    """What the network takes of several such pictures, (N, 3, size, size) float32, on its device."""
    # A picture's bytes lie in the order that the convolutions like best: channels last.
    samples = torch.from_numpy(np.stack([np.asarray(one.convert("RGB")) for one in seen])).permute(0, 3, 1, 2)
    if pretrained.device.type == "cuda":
        # Bytes are a quarter of the floats that they become there, and from pinned memory nobody waits for them.
        samples = samples.pin_memory()
    return pretrained.preprocessing.normalised(samples.to(pretrained.device, non_blocking=True).float())


@torch.inference_mode()
def top_classes_batch(pretrained: PretrainedModel, x: Tensor, k: int = 5) -> list[tuple[ClassScore, ...]]:
    """The `k` most probable classes of each photo of a batch from `batch_of`; what the blocks computed is not kept."""
    logits = pretrained.engine.logits(x)
    check_computed(pretrained.name, [logits])
    told = _array(logits), _array(pretrained.probabilities(logits))
    return [_top(pretrained.labels, *one, k) for one in zip(*told, strict=True)]


def _top(labels: Sequence[str], logits: np.ndarray, probabilities: np.ndarray, k: int) -> tuple[ClassScore, ...]:
    order = np.argsort(-probabilities, kind="stable")[: max(k, 0)]
    return tuple(ClassScore(int(i), labels[i], float(probabilities[i]), float(logits[i])) for i in order)


@torch.inference_mode()
def intermediates(pretrained: PretrainedModel, prediction: Prediction, block: str) -> dict[str, np.ndarray]:
    """What lies inside a block before its last convolutions: `3x3_reduce`, `5x5_reduce` and the
    pooled input, each (C, H, W). Only this block is run again, on the input that it had."""
    module = pretrained.engine.block(block)
    before = STAGES[STAGES.index(f"inception_{block}") - 1]
    given = torch.from_numpy(prediction.stages[before].copy(order="K")).unsqueeze(0).to(pretrained.device)
    inside = module.trace(given)
    return {layer: _array(inside[layer][0]) for layer in INTERMEDIATES}


def bottleneck_maps(pretrained: PretrainedModel, prediction: Prediction, block: str) -> dict[str, np.ndarray]:
    """What a block is given, as `before`, and that reduced for the branches `3x3` and `5x5`, each (C, H, W)."""
    inside = intermediates(pretrained, prediction, block)
    before = prediction.stages[STAGES[STAGES.index(f"inception_{block}") - 1]]
    return {"before": before, **{branch: inside[f"{branch}_reduce"] for branch in REDUCED_BRANCHES}}


def _array(tensor: Tensor, *, own: bool = True) -> np.ndarray:
    """A read-only array, with memory of its `own` where the tensor is only one photo's part of a batch."""
    array = tensor.to("cpu", torch.float32, copy=own).numpy()
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
    cells = maps.reshape(channels, -1)
    return BranchStatistics(
        channels=channels,
        height=height,
        width=width,
        lowest=float(maps.min()),
        highest=float(maps.max()),
        mean=float(maps.mean()),
        silent=channels - int(np.count_nonzero(cells.any(axis=1))),
        zero_share=1 - float(np.count_nonzero(cells)) / maps.size,
    )
