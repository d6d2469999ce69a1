"""Photos to send."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib import cbook
from PIL import Image

from support.paths import EXAMPLES

# Not an example of ours: a photo that comes with matplotlib.
HOPPER = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


def photos(count: int) -> list[bytes]:
    """So many different ones."""
    whole = Image.open(EXAMPLES / "bison.jpg").convert("RGB").resize((400, 300))
    out = []
    for number in range(count):
        file = io.BytesIO()
        whole.crop((number, number, 390, 290)).save(file, "JPEG")
        out.append(file.getvalue())
    return out
