"""Photos with some of their pixels replaced, and the logits of a batch of them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..network.overflow import check_overflow
from ..pretrained.pretrained import PretrainedModel

GREY = 128.0  # of 0..255, in all three colours
BATCH = 8  # photos in one forward pass, which bounds the memory


def network_input(pretrained: PretrainedModel, image: Image.Image) -> Tensor:
    """Return an image from `Preprocessing.apply` as the network's input (1, 3, H, W), on its device."""
    return pretrained.preprocessing.to_tensor(image).to(pretrained.device)


def grey_input(pretrained: PretrainedModel) -> Tensor:
    """Return one grey pixel of the network's input (1, 3, 1, 1), on its device."""
    return pretrained.preprocessing.normalise(torch.full((1, 3, 1, 1), GREY)).to(pretrained.device)


@torch.inference_mode()
def logits_with(pretrained: PretrainedModel, photo: Tensor, other: Tensor, masks: np.ndarray) -> np.ndarray:
    """Return the logits (N, classes) of a photo where each of the masks replaces some of its pixels.

    Args:
        photo: (1, 3, H, W).
        other: what replaces its pixels, of that shape or (1, 3, 1, 1).
        masks: (N, H, W), true where a pixel is replaced.
    """
    parts = []
    for first in range(0, len(masks), BATCH):
        chosen = torch.from_numpy(masks[first : first + BATCH]).to(photo.device).unsqueeze(1)
        changed = torch.where(chosen, other, photo).contiguous(memory_format=torch.channels_last)
        parts.append(pretrained.engine.logits(changed))
    check_overflow(pretrained.name, parts)
    return torch.cat(parts).float().cpu().numpy()
