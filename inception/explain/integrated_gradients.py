"""Integrated gradients: each pixel's contribution to the change of the logit from a grey image to the photo.

Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..checks import whole
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from .attribution import extremes
from .masking import class_index
from .pixels import BATCH, grey_input, network_input

MAX_STEPS = 512


@dataclass(frozen=True, eq=False)
class IntegratedGradients:
    """What each pixel contributes to the difference between a class's logit for the photo and for plain grey.

    `map` (H, W) is summed over the colours, float64 and read-only. `baseline` is the logit for plain grey. The map adds
    up to `total`, which approaches `logit - baseline` with more steps: the paper's completeness.
    """

    index: int
    label: str
    logit: float
    baseline: float
    steps: int
    map: np.ndarray = field(repr=False)

    @property
    def total(self) -> float:
        """Sum of the map, to be compared with `logit - baseline`."""
        return float(self.map.sum())

    @property
    def error(self) -> float:
        """Absolute difference between the sum and `logit - baseline`, in units of the logit."""
        return abs(self.total - (self.logit - self.baseline))

    def to_dict(self) -> dict[str, Any]:
        """`class, label, logit, baseline, steps, total, error, height, width, lowest, highest, row, column`.

        `total` is the sum of all pixels, `error` its distance from `logit` minus `baseline`; `row` and `column` are the
        pixel of the `highest` value, in the network's input of `height` x `width` pixels.
        """
        height, width = self.map.shape
        return {
            "class": self.index,
            "label": self.label,
            "logit": self.logit,
            "baseline": self.baseline,
            "steps": self.steps,
            "total": self.total,
            "error": self.error,
            "height": height,
            "width": width,
            **extremes(self.map),
        }

    def signed_maps(self) -> dict[str, np.ndarray]:
        """Return the map to overlay on the photo, by the suffix of its file name."""
        return {"integrated-gradients": self.map}


def integrated_gradients(
    pretrained: PretrainedModel, prediction: Prediction, target: str | int | None = None, steps: int = 64
) -> IntegratedGradients:
    """Integrate the gradient of a class's logit along the straight way from plain grey to the photo.

    The paper starts from black, for which black pixels get nothing; here these are the grey ones. The integral is
    approximated by Gauss-Legendre quadrature.

    Args:
        target: class name or number; the most probable class by default.
        steps: forward and backward passes, at most `MAX_STEPS`.

    Raises:
        ExplanationError: if there is no such class.
        UserError: if `steps` is not allowed.
    """
    index = class_index(pretrained, prediction, target)
    steps = whole("steps", steps, 1, MAX_STEPS)
    places, weights = np.polynomial.legendre.leggauss(steps)
    # From -1..1 to 0..1.
    places, weights = (places + 1) / 2, weights / 2
    # The engine's rounding may close a ReLU that is open in the plain model, which changes gradients visibly.
    model = pretrained.plain
    # Enable gradients even inside a caller's no_grad or inference_mode.
    with torch.inference_mode(False), torch.enable_grad():
        grey, photo = grey_input(pretrained), network_input(pretrained, prediction.image)
        difference = photo - grey
        mean = torch.zeros_like(photo, dtype=torch.float64, device="cpu")
        for first in range(0, steps, BATCH):
            share = torch.tensor(places[first : first + BATCH], dtype=photo.dtype, device=photo.device)
            inputs = (grey + share.view(-1, 1, 1, 1) * difference).requires_grad_()
            # autograd.grad, unlike backward, leaves no gradients on the model's parameters.
            (gradients,) = torch.autograd.grad(model.logits(inputs)[:, index].sum(), inputs)
            weight = torch.from_numpy(weights[first : first + BATCH]).view(-1, 1, 1, 1)
            mean += (weight * gradients.cpu().double()).sum(dim=0, keepdim=True)
        with torch.no_grad():
            baseline = model.logits(grey.expand_as(photo))[0, index]
    values = (mean * difference.cpu().double())[0].sum(dim=0).numpy()
    values.flags.writeable = False
    return IntegratedGradients(
        index=index,
        label=pretrained.labels[index],
        logit=float(prediction.logits[index]),
        baseline=float(baseline),
        steps=steps,
        map=values,
    )
