"""Knowledge distillation: a trained network's logits as targets (Hinton et al. 2015).

The teacher sees the same augmented crop as the student: "a good teacher is patient and consistent"
(Beyer et al. 2022). Only its answers are used, never its weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .datasets import DataError, LabelledPhotos
from .matching import matched_classes

if TYPE_CHECKING:
    from ..pretrained.pretrained import PretrainedModel

# Softens both distributions: what the teacher thinks of the wrong classes counts too.
TEMPERATURE = 2.0


class Teacher:
    """Logits of the photos' classes, computed at `size` x `size` pixels.

    Raises:
        DataError: if the teacher lacks one of the classes.
    """

    def __init__(self, pretrained: PretrainedModel, photos: LabelledPhotos, size: int) -> None:
        self.engine, self.preprocessing, self.size = pretrained.engine, pretrained.preprocessing, size
        self.rows = _rows(pretrained, photos)

    @torch.inference_mode()
    def logits(self, samples: Tensor) -> Tensor:
        """RGB samples (N, 3, H, W) in 0..255, float32, to logits (N, classes)."""
        if samples.shape[-1] != self.size:
            samples = F.interpolate(samples, size=self.size, mode="bicubic", antialias=True).clamp_(0, 255)
        inputs = self.preprocessing.normalised(samples).contiguous(memory_format=torch.channels_last)
        return self.engine.logits(inputs)[:, self.rows].float()


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """T^2 KL(teacher || student) of the softened distributions: two times logits (N, classes) to (N,).

    The factor T^2 keeps the gradient as large as that of the cross-entropy (Hinton et al. 2015, section 2.1).
    """
    ours, theirs = (F.log_softmax(logits / TEMPERATURE, dim=1) for logits in (student, teacher))
    return TEMPERATURE**2 * F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1)


def _rows(teacher: PretrainedModel, photos: LabelledPhotos) -> list[int]:
    """The teacher's class number of each class of the photos."""
    rows = matched_classes(teacher, photos)
    missing = [name for name, row in zip(photos.classes, rows, strict=True) if row is None]
    if missing:
        raise DataError(
            "teacher_classes",
            "The teacher {teacher} does not know {count} of the classes ({some}); please choose another --teacher, or "
            "train on other classes with --classes.",
            teacher=teacher.name,
            count=len(missing),
            some=", ".join(missing[:5]),
        )
    return [row for row in rows if row is not None]
