"""An uploaded photo as a picture that every browser can show: browsers show no TIFF, for instance."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

from PIL import Image

from ...service.service import InferenceService
from ...vision.photo import open_photo

SIDE, QUALITY = 1024, 88  # pixels of the longer side, and JPEG quality


def picture(service: InferenceService, path: str) -> dict[str, Any]:
    """Return `{"url": "data:image/jpeg;base64,..."}` of a photo, reduced to at most `SIDE` pixels a side.

    Raises:
        PhotoError: as `open_photo`.
    """
    with service.io_slots:
        photo = open_photo(path)
        photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=QUALITY)
    return {"url": f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode('ascii')}"}
