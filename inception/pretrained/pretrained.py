"""`load(name)`: a trained network together with all that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import ChoiceError
from ..network.fused import fast_engine, fused_engine
from ..network.inception_v1 import InceptionV1
from ..vision.preprocessing import Preprocessing
from .description import Description as Description
from .description import Provenance as Provenance
from .rejection import RejectionRule

PRECISIONS = ("exact", "fast")


@dataclass(frozen=True)
class PretrainedModel:
    """A network in evaluation mode with its preprocessing, its labels and its provenance.

    `labels` gives the class names in the order of the logits. `means` gives for each block, for
    instance "4c", the mean of each channel of its output over training photos (C,), or is empty
    where the weights bring none. `training` tells how the weights came about, as far as they say.
    `doubt` says when a photo is probably of none of the classes, or is None where nobody measured that.
    `imagenet` tells that the labels are ImageNet's, so that they can be said in another language.
    """

    name: str
    model: InceptionV1 = field(repr=False)
    preprocessing: Preprocessing
    labels: tuple[str, ...] = field(repr=False)
    provenance: Provenance
    temperature: float = 1.0
    means: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    training: Mapping[str, Any] = field(default_factory=dict, repr=False)
    rejection: RejectionRule | None = None
    imagenet: bool = False

    @cached_property
    def engine(self) -> InceptionV1:
        """The network as it runs fastest, made at its first use; `model` is the oracle that it agrees with."""
        return fused_engine(self.model)

    @cached_property
    def fast_engine(self) -> InceptionV1:
        """For many photos: right to about 0.05 in a logit where this machine is faster so, else `engine` itself."""
        return fast_engine(self.model, self.engine)

    def engine_for(self, precision: str) -> InceptionV1:
        """The engine that computes "exact" or "fast".

        Raises:
            ChoiceError: if `precision` is none of `PRECISIONS`.
        """
        if precision not in PRECISIONS:
            raise ChoiceError("precision", precision, PRECISIONS)
        return self.engine if precision == PRECISIONS[0] else self.fast_engine

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def input_size(self) -> int:
        """Side of the square photo that the network sees, in pixels."""
        return self.preprocessing.size

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, (N, classes) to (N, classes)."""
        return torch.softmax(logits / self.temperature, dim=1)
