"""A whole photo, small: by it the page knows a photo again, and shows which part of it the network sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import isfinite

from PIL import Image

from ..render import maps as render
from ..vision.preprocessing import CENTRE_CROP, WHOLE_PHOTO, Crop

SIDE = 144  # pixels of the longer side: as large as it is drawn
FINGERPRINT_LETTERS = 16
WHOLE_WORD = "whole"


@dataclass(frozen=True)
class Snapshot:
    """A photo's size, what it is known by, and a JPEG of it with `SIDE` pixels."""

    width: int
    height: int
    fingerprint: str
    jpeg: bytes = field(repr=False)


def snapshot_of(photo: Image.Image) -> Snapshot:
    """Of an opened photo. The fingerprint is that of its content, whatever file it came in."""
    scale = min(1.0, SIDE / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    # With a gap, most of a large photo is averaged away before it is resized with care.
    small = photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5)
    told = hashlib.sha256(f"{photo.width} {photo.height} ".encode() + small.tobytes()).hexdigest()
    return Snapshot(photo.width, photo.height, told[:FINGERPRINT_LETTERS], render.encode(small))


def frame_of(part: str, snapshot: Snapshot) -> Crop:
    """The frame that the page's words ask for: "0.25 0.5 FINGERPRINT" or "whole FINGERPRINT".

    The centre where they say nothing that can be done, or were said of another photo.
    """
    *told, fingerprint = part.split() or [""]
    if fingerprint != snapshot.fingerprint:
        return CENTRE_CROP
    return frame_said(" ".join(told)) or CENTRE_CROP


def frame_said(words: str) -> Crop | None:
    """The frame of such words without their fingerprint; None where they make no sense."""
    if words == WHOLE_WORD:
        return WHOLE_PHOTO
    try:
        across, down = (float(word) for word in words.split())
    except ValueError:
        return None
    if not (isfinite(across) and isfinite(down)):
        return None
    return Crop(min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0))


def part_of(frame: Crop, snapshot: Snapshot) -> str:
    """The inverse of `frame_of`; nothing for the centre."""
    if frame == CENTRE_CROP:
        return ""
    return f"{WHOLE_WORD if frame.whole else f'{frame.across:g} {frame.down:g}'} {snapshot.fingerprint}"
