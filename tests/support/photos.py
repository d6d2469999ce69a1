"""Photos to upload."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib import cbook
from PIL import Image

from support.paths import EXAMPLES

# A photo that comes with matplotlib, and is not one of the examples.
HOPPER = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


def distinct_photos(count: int) -> list[bytes]:
    """Return `count` different JPEG files."""
    bison = Image.open(EXAMPLES / "bison.jpg").convert("RGB").resize((400, 300))
    files = []
    for number in range(count):
        file = io.BytesIO()
        bison.crop((number, number, 390, 290)).save(file, "JPEG")
        files.append(file.getvalue())
    return files
