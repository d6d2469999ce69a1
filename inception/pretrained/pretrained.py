"""A network with its weights, preprocessing, labels, calibration and provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ..checks import choice
from ..errors import ArgumentError
from ..network.copies import Snapshot, is_plain, plain_copy
from ..network.fused import fast_engine, fused_engine
from ..network.inception_v1 import InceptionV1
from ..vision.preprocessing import Preprocessing
from .description import Provenance
from .rejection import RejectionRule

PRECISIONS = ("exact", "fast")


@dataclass(frozen=True, eq=False)
class PretrainedModel:
    """A trained network in evaluation mode.

    Its engines and `plain` follow when `model` is trained, moved or converted, but not in-place changes of a tensor's
    `data`.

    Attributes:
        name: of the weights.
        model: the plain network.
        preprocessing: from photos to the network's input.
        labels: class names in the order of the logits.
        provenance: origin and accuracy of the weights.
        temperature: divides the logits before the softmax (calibration).
        means: for each block, the mean of each output channel over training photos (C,); may be empty.
        training: recipe, photos, time and evaluation, as far as they are known.
        rejection: rule for photos of none of the classes; None if it has not been measured.
        imagenet: whether the labels are ImageNet's, for which translations exist.
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

    @property
    def engine(self) -> InceptionV1:
        """The fused copy of `model` for inference, created at first use."""
        return self._built("_engine", lambda: fused_engine(self.model))

    @property
    def plain(self) -> InceptionV1:
        """`model` if it is float32, in evaluation mode and not made in inference mode, else such a copy.

        For gradients of the plain network and for reading its layers.
        """
        return self.model if is_plain(self.model) else self._built("_plain", lambda: plain_copy(self.model))

    @property
    def fast_engine(self) -> InceptionV1:
        """The bfloat16 engine where it is faster, with logits accurate to about 0.05; else `engine`."""
        return self._built("_fast_engine", lambda: fast_engine(self.model, self.engine))

    def _built(self, name: str, build: Callable[[], InceptionV1]) -> InceptionV1:
        """Return the engine stored as `name`, rebuilt if the model has changed since."""
        stored: tuple[Snapshot, InceptionV1] | None = self.__dict__.get(name)
        if stored is None or not stored[0].is_current():
            # One assignment, so that other threads find an engine with the snapshot that it was built from.
            stored = self.__dict__[name] = (Snapshot(self.model), build())
        return stored[1]

    def __getstate__(self) -> dict[str, Any]:
        # Without the engines, whose packed weights cannot be pickled; they are built again.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def unfused(self) -> PretrainedModel:
        """Return the network with `plain` as its engine: for one pass, fusing takes longer than it saves."""
        return _UnfusedModel(**self.__getstate__())

    def engine_for(self, precision: str) -> InceptionV1:
        """Return the engine for precision "exact" or "fast".

        Raises:
            ChoiceError: if `precision` is not one of `PRECISIONS`.
        """
        choice("precision", precision, PRECISIONS)
        return self.engine if precision == PRECISIONS[0] else self.fast_engine

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def input_size(self) -> int:
        """Side of the network's square input in pixels."""
        return self.preprocessing.size

    def probabilities(self, logits: Tensor) -> Tensor:
        """Compute calibrated probabilities (N, classes) from logits (N, classes).

        Raises:
            ArgumentError: if there is not one label for each logit.
        """
        if logits.shape[1] != len(self.labels):
            raise ArgumentError(
                f"The network gives {logits.shape[1]} logits, but has {len(self.labels)} labels; name its classes in "
                "dataclasses.replace(pretrained, labels=...)."
            )
        return torch.softmax(logits / self.temperature, dim=1)


class _UnfusedModel(PretrainedModel):
    @property
    def engine(self) -> InceptionV1:
        return self.plain
