"""The page's words for a crop, as its script and its links write them: "0.25 0.5", or "whole"."""

from __future__ import annotations

from math import isfinite

from ..service.snapshot import Snapshot
from ..vision.preprocessing import CENTRE_CROP, WHOLE_PHOTO, Crop

WHOLE_WORD = "whole"


def parse_crop(words: str) -> Crop | None:
    """Return the crop of "ACROSS DOWN" (shares, clipped to 0 to 1) or "whole"; None for other words."""
    if words == WHOLE_WORD:
        return WHOLE_PHOTO
    try:
        across, down = (float(word) for word in words.split())
    except ValueError:
        return None
    if not (isfinite(across) and isfinite(down)):
        return None
    return Crop(min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0))


def crop_of_photo(words: str, photo: Snapshot) -> Crop:
    """Return the crop of words that end in the fingerprint of `photo`.

    The centre, if they make no sense or end in the fingerprint of another photo: the page may send a choice that was
    made on the photo before.
    """
    *crop, fingerprint = words.split() or [""]
    if fingerprint != photo.fingerprint:
        return CENTRE_CROP
    return parse_crop(" ".join(crop)) or CENTRE_CROP
