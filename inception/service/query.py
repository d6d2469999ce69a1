"""What is wanted of one photo: the network, the crop that it sees, and the precision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from PIL import Image

from ..pretrained.pretrained import PRECISIONS
from ..vision.preprocessing import CENTRE_CROP, Crop


class PhotoSize(NamedTuple):
    """Width and height of a whole photo in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Query:
    """All that is needed to compute a prediction again, in this process or another.

    Block, class and ablation are arguments of single explanations, which declare and type them
    (`inception.explain`); `InferenceService.explained` takes them after the query.

    Attributes:
        model: public name of the network, one of `InferenceService.models`.
        image: the network's input as a picture, size x size RGB, as `Preprocessing` makes it.
        digest: SHA-256 of the pixels of `image`, in hexadecimal; photos with equal crops share their results.
        precision: "exact" or "fast", as `predict` takes it.
        crop: the part of the photo that `image` shows.
        photo: size of the whole photo, or None where the caller needs none.
    """

    model: str
    image: Image.Image = field(repr=False)
    digest: str
    precision: str = PRECISIONS[0]
    crop: Crop = CENTRE_CROP
    photo: PhotoSize | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the picture in bytes."""
        return 3 * self.image.width * self.image.height

    @property
    def exact(self) -> Query:
        """The same query in float32, without which explanations would not add up."""
        return replace(self, precision=PRECISIONS[0])
