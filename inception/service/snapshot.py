"""A small copy of a whole photo, with a fingerprint of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from PIL import Image

from ..render.maps import encode

SIDE = 144  # pixels of the longer side, at most
FINGERPRINT_LETTERS = 16  # 64 bits


@dataclass(frozen=True)
class Snapshot:
    """A photo's size in pixels, a fingerprint of its content (hexadecimal), and a JPEG of at most `SIDE` pixels."""

    width: int
    height: int
    fingerprint: str
    jpeg: bytes = field(repr=False)


def snapshot_of(photo: Image.Image) -> Snapshot:
    """Return the snapshot of an opened RGB photo; files with the same pixels have the same fingerprint."""
    scale = min(1.0, SIDE / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    # `reducing_gap` averages most of a large photo away before the slower resampling.
    small = photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5)
    digest = hashlib.sha256(f"{photo.width} {photo.height} ".encode() + small.tobytes()).hexdigest()
    return Snapshot(photo.width, photo.height, digest[:FINGERPRINT_LETTERS], encode(small))
