"""Who does the arithmetic for the page: this process, or replicas elsewhere (`inception.serving`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from PIL import Image

from ..pretrained.pretrained import PRECISIONS
from ..vision.preprocessing import CENTRE_CROP, Crop
from .snapshot import Snapshot


@dataclass(frozen=True)
class Query:
    """What a visitor is looking at: all that is needed to have the observation again.

    `precision` and `frame` are as `observe` takes them; `photo` is what the page shows of all of it.
    """

    model: str
    seen: Image.Image = field(repr=False)
    digest: str
    precision: str = PRECISIONS[0]
    frame: Crop = CENTRE_CROP
    photo: Snapshot | None = field(default=None, repr=False)

    @property
    def exact(self) -> Query:
        """The same, seen with all digits, as explanations need it to add up."""
        return replace(self, precision=PRECISIONS[0])
