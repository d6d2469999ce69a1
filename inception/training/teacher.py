"""Knowledge distillation: a trained network's logits as targets (Hinton et al. 2015).

The teacher gets the same augmented crop as the student: "a good teacher is patient and consistent"
(Beyer et al. 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .matching import match_classes
from .photos import NAMES_SHOWN, DataError, LabelledPhotos, first_names

if TYPE_CHECKING:
    from ..pretrained.pretrained import PretrainedModel

# Softens both distributions, so that the teacher's probabilities of wrong classes contribute.
TEMPERATURE = 2.0


class Teacher:
    """A trained network that computes logits of the photos' classes at `size` x `size` pixels.

    Raises:
        DataError: if it lacks one of the classes.
    """

    def __init__(self, pretrained: PretrainedModel, photos: LabelledPhotos, size: int) -> None:
        self.engine, self.preprocessing, self.size = pretrained.engine, pretrained.preprocessing, size
        self.rows = _rows(pretrained, photos)

    @torch.inference_mode()
    def logits(self, samples: Tensor) -> Tensor:
        """Compute logits (N, classes) of RGB samples (N, 3, H, W) in 0..255, float32."""
        if samples.shape[-1] != self.size:
            samples = F.interpolate(samples, size=self.size, mode="bicubic", antialias=True).clamp_(0, 255)
        inputs = self.preprocessing.normalise(samples).contiguous(memory_format=torch.channels_last)
        return self.engine.logits(inputs)[:, self.rows].float()


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute T^2 KL(teacher || student) of the softened distributions (N,) from logits (N, classes) of both.

    The factor T^2 keeps the gradient as large as the cross-entropy's (Hinton et al. 2015, section 2.1).
    """
    student_log, teacher_log = (F.log_softmax(logits / TEMPERATURE, dim=1) for logits in (student, teacher))
    return TEMPERATURE**2 * F.kl_div(student_log, teacher_log, reduction="none", log_target=True).sum(dim=1)


def _rows(teacher: PretrainedModel, photos: LabelledPhotos) -> list[int]:
    """Return the teacher's class index of each class of the photos."""
    rows = match_classes(teacher, photos)
    missing = [name for name, row in zip(photos.classes, rows, strict=True) if row is None]
    if missing:
        raise DataError(
            "teacher_classes",
            "The teacher {teacher} does not know {count} of the classes ({some}); please choose another --teacher, or "
            "train on other classes with --classes.",
            teacher=teacher.name,
            count=len(missing),
            some=first_names(missing) + (", …" if len(missing) > NAMES_SHOWN else ""),
        )
    return [row for row in rows if row is not None]
