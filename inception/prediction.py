"""Prediction for a photo: class scores, and the activations of every branch of every block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .checks import choice
from .errors import ArgumentError, quoted
from .network.blocks import BLOCKS, BRANCHES
from .network.inception_v1 import STAGES, stage_of
from .network.overflow import check_overflow
from .pretrained.pretrained import PretrainedModel
from .pretrained.rejection import RejectionRule
from .vision.preprocessing import CENTRE_CROP, Crop

REDUCED_BRANCHES = ("3x3", "5x5")
INTERMEDIATES = (*(f"{branch}_reduce" for branch in REDUCED_BRANCHES), "pool")


@dataclass(frozen=True)
class ClassScore:
    """Score of one class."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Result of one forward pass for one photo. All arrays are float32 and read-only.

    Attributes:
        image: the network's input as an RGB image, cropped and resized.
        labels: class names in the order of the logits.
        logits: (classes,).
        probabilities: calibrated, (classes,).
        stages: output (C, H, W) of each of the network's stages.
        slices: for each block, the channels of each branch.
        seconds: time from the image to the probabilities.
        rejection: the network's rejection rule, if it has one.
    """

    image: Image.Image
    labels: tuple[str, ...]
    logits: np.ndarray
    probabilities: np.ndarray
    stages: Mapping[str, np.ndarray]
    slices: Mapping[str, Mapping[str, slice]]
    seconds: float
    rejection: RejectionRule | None = None

    def __repr__(self) -> str:
        best = self.top(1)[0]
        return f"<Prediction: {best.label} (class {best.index}) {best.probability:.1%}, of {len(self.labels)} classes>"

    def top(self, k: int = 5) -> tuple[ClassScore, ...]:
        """Return the `k` most probable classes, most probable first; all classes if there are fewer."""
        return _top(self.labels, self.logits, self.probabilities, k)

    @property
    def rejected(self) -> bool:
        """Whether even the best class is too improbable ("not sure"); False if the network has no rejection rule."""
        return self.rejection is not None and self.rejection.rejects(self.probabilities)

    def block(self, name: str) -> np.ndarray:
        """Return the output (C, H, W) of an Inception block, for instance "4c".

        Raises:
            ChoiceError: if there is no such block.
        """
        return self.stages[stage_of(choice("block", name, tuple(BLOCKS)))]

    def branch(self, block: str, branch: str) -> np.ndarray:
        """Return the output (C, H, W) of one branch: a slice of its block's output.

        Raises:
            ChoiceError: if there is no such block or branch.
        """
        choice("branch", branch, tuple(BRANCHES))
        return self.block(block)[self.slices[block][branch]]

    def branches(self, block: str) -> dict[str, np.ndarray]:
        """Return the outputs (C, H, W) of all four branches of a block.

        Raises:
            ChoiceError: if there is no such block.
        """
        return {branch: self.branch(block, branch) for branch in BRANCHES}

    @property
    def nbytes(self) -> int:
        """Memory in bytes of the arrays and the image."""
        arrays = (self.logits, self.probabilities, *self.stages.values())
        return sum(array.nbytes for array in arrays) + 3 * self.image.width * self.image.height

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
    """Return an array with its axes in memory order, and the permutation that restores them.

    It is then pickled without a copy and keeps its memory layout, so that later computations round as before.
    """
    axes = np.argsort([-stride for stride in array.strides], kind="stable")
    return array.transpose(axes), tuple(np.argsort(axes).tolist())


def predict(
    pretrained: PretrainedModel, photo: Image.Image, precision: str = "exact", crop: Crop = CENTRE_CROP
) -> Prediction:
    """Classify an RGB photo of any size, by default its centre square.

    `precision` is "exact" (float32), or "fast" for logits accurate to about 0.05 in two thirds of the time on
    processors with bfloat16. Explanations expect exact predictions. On NVIDIA's GPUs PyTorch computes convolutions in
    TF32, unless `torch.backends.cudnn.allow_tf32` is set to False.

    Raises:
        ChoiceError: if there is no such precision.
        ArgumentError: if `photo` is no image, or no RGB image, or if the network has not one label for each logit.
        WeightsError: if activations overflow.
    """
    if not isinstance(photo, Image.Image):
        raise ArgumentError(
            f"photo is of type {type(photo).__name__}; it must be an image of Pillow. Open a file with "
            "open_photo(path), and make an image of an array with PIL.Image.fromarray(array)."
        )
    if photo.mode != "RGB":
        raise ArgumentError(
            f"photo has the mode {quoted(photo.mode)}; it must be 'RGB'. Open its file with open_photo(path), or call "
            "photo.convert('RGB')."
        )
    return predict_crop(pretrained, pretrained.preprocessing.apply(photo, crop), precision)


def predict_crop(pretrained: PretrainedModel, image: Image.Image, precision: str = "exact") -> Prediction:
    """Classify an image that `Preprocessing.apply` has cropped and resized."""
    return predict_batch(pretrained, [image], precision)[0]


@torch.inference_mode()
def predict_batch(
    pretrained: PretrainedModel, images: Sequence[Image.Image], precision: str = "exact"
) -> list[Prediction]:
    """Classify images from `Preprocessing.apply` in one forward pass; `seconds` of each is that of the whole pass."""
    if not images:
        return []
    engine = pretrained.engine_for(precision)  # created before the clock starts
    begin = perf_counter()
    trace = engine.trace(input_batch(pretrained, images))
    logits = trace.required_logits
    check_overflow(pretrained.name, (*trace.stages.values(), logits))
    probabilities = pretrained.probabilities(logits)
    slices = MappingProxyType({block: pretrained.model.block(block).slices for block in BLOCKS})
    seconds = perf_counter() - begin
    copy = len(images) > 1
    return [
        Prediction(
            image=image,
            labels=pretrained.labels,
            logits=to_array(logits[number], copy=copy),
            probabilities=to_array(probabilities[number], copy=copy),
            stages=MappingProxyType({name: to_array(out[number], copy=copy) for name, out in trace.stages.items()}),
            slices=slices,
            seconds=seconds,
            rejection=pretrained.rejection,
        )
        for number, image in enumerate(images)
    ]


@torch.inference_mode()
def input_batch(pretrained: PretrainedModel, images: Sequence[Image.Image]) -> Tensor:
    """Return images from `Preprocessing.apply` as the network's input (N, 3, size, size), float32, on its device."""
    # Pillow stores channels last, which is the layout that the convolutions prefer.
    pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
    if pretrained.device.type == "cpu":
        return torch.from_numpy(pretrained.preprocessing.normalise_bytes(pixels)).permute(0, 3, 1, 2)
    samples = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    if pretrained.device.type == "cuda":
        # Copied as bytes, a quarter of the size of floats, and asynchronously thanks to pinned memory.
        samples = samples.pin_memory()
    return pretrained.preprocessing.normalise(samples.to(pretrained.device, non_blocking=True).float())


@torch.inference_mode()
def top_classes_batch(pretrained: PretrainedModel, x: Tensor, k: int = 5) -> list[tuple[ClassScore, ...]]:
    """Return the `k` most probable classes of each photo of a batch from `input_batch`, without keeping activations."""
    logits = pretrained.engine.logits(x)
    check_overflow(pretrained.name, [logits])
    rows = zip(to_array(logits), to_array(pretrained.probabilities(logits)), strict=True)
    return [_top(pretrained.labels, row_logits, row_probabilities, k) for row_logits, row_probabilities in rows]


def _top(labels: Sequence[str], logits: np.ndarray, probabilities: np.ndarray, k: int) -> tuple[ClassScore, ...]:
    # By logits, because the largest probabilities of a small temperature may round to the same number.
    order = np.argsort(-logits, kind="stable")[: max(k, 0)]
    return tuple(ClassScore(int(i), labels[i], float(probabilities[i]), float(logits[i])) for i in order)


@torch.inference_mode()
def intermediates(pretrained: PretrainedModel, prediction: Prediction, block: str) -> dict[str, np.ndarray]:
    """Return the outputs (C, H, W) of a block's `3x3_reduce`, `5x5_reduce` and `pool` layers.

    Computes only these, from the block's input in `prediction`.

    Raises:
        ChoiceError: if there is no such block.
    """
    module = pretrained.engine.block(block)
    block_input = _block_input(prediction, block)
    x = torch.from_numpy(block_input.copy(order="K")).unsqueeze(0).to(pretrained.device)
    return {layer: to_array(module[layer](x)[0]) for layer in INTERMEDIATES}


def bottleneck_maps(pretrained: PretrainedModel, prediction: Prediction, block: str) -> dict[str, np.ndarray]:
    """Return a block's input as `before`, and its reductions for the branches `3x3` and `5x5`, each (C, H, W)."""
    outputs = intermediates(pretrained, prediction, block)
    reduced = {branch: outputs[f"{branch}_reduce"] for branch in REDUCED_BRANCHES}
    return {"before": _block_input(prediction, block), **reduced}


def _block_input(prediction: Prediction, block: str) -> np.ndarray:
    return prediction.stages[STAGES[STAGES.index(stage_of(block)) - 1]]


def to_array(tensor: Tensor, *, copy: bool = True) -> np.ndarray:
    """Return a read-only array; `copy` keeps one photo's result from holding the memory of its whole batch."""
    array = tensor.to("cpu", torch.float32, copy=copy).numpy()
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class BranchStatistics:
    """Summary statistics of a branch's output."""

    channels: int
    height: int
    width: int
    lowest: float
    highest: float
    mean: float
    silent: int  # channels that are zero everywhere
    zero_share: float  # fraction of cells that are zero


def statistics(maps: np.ndarray) -> BranchStatistics:
    """Compute the statistics of a branch's output (C, H, W)."""
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
