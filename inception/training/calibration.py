"""Post-training steps: temperature calibration, branch means and half-precision weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..network.blocks import BLOCKS
from ..network.inception_v1 import stage_of
from ..pretrained.pretrained import PretrainedModel
from ..runtime.progress import Progress
from .photos import LabelledPhotos

MIN_CALIBRATION_PHOTOS = 100  # with fewer, a temperature would fit noise
MAX_MEAN_PHOTOS = 5000


def best_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the temperature from 0.25 to 3.99 that minimises the cross-entropy (Guo et al. 2017), to two decimals.

    `logits` is (N, classes), `targets` (N,). Returns 1 for fewer than `MIN_CALIBRATION_PHOTOS`.
    """
    if len(targets) < MIN_CALIBRATION_PHOTOS:
        return 1.0
    temperatures = torch.arange(0.25, 4.0, 0.01)
    losses = [nn.functional.cross_entropy(logits / temperature, targets) for temperature in temperatures]
    return round(float(temperatures[int(torch.stack(losses).argmin())]), 2)


@torch.inference_mode()
def branch_means(
    pretrained: PretrainedModel,
    photos: LabelledPhotos,
    *,
    maximum: int = MAX_MEAN_PHOTOS,
    batch: int = 64,
    progress: Progress = iter,
) -> dict[str, Tensor]:
    """Compute for each block the mean of each output channel (C,) over cells and photos.

    Uses at most `maximum` photos, spread evenly over all.
    """
    chosen = np.unique(np.linspace(0, len(photos) - 1, min(maximum, len(photos))).round().astype(int)).tolist()
    sums = {block: torch.zeros(sum(pretrained.model.block(block).branch_channels.values())) for block in BLOCKS}
    for start in progress(range(0, len(chosen), batch)):
        images = [pretrained.preprocessing.apply(photos.photo(index)) for index in chosen[start : start + batch]]
        inputs = torch.cat([pretrained.preprocessing.to_tensor(image) for image in images]).to(pretrained.device)
        stages = pretrained.model.trace(inputs).stages
        for block in BLOCKS:
            sums[block] += stages[stage_of(block)].float().mean(dim=(2, 3)).sum(dim=0).cpu()
    return {block: total / len(chosen) for block, total in sums.items()}


def half_precision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with weights in half precision, without auxiliary classifiers.

    Biases and BatchNorm's parameters and statistics, which are few and may be large, keep their precision.
    """
    return {
        name: tensor.half() if tensor.dim() > 1 else tensor
        for name, tensor in state.items()
        if not name.startswith("aux.")
    }
