"""Finished feature visualizations in the user's cache folder, one PNG each, for the next start of a server."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..pretrained.pretrained import PretrainedModel
from ..runtime import strict_json
from ..runtime.files import is_file, replace_file
from ..runtime.remembered import cache_dir
from ..units.atlas import weights_digest
from ..units.feature_visualization import VisualizationSettings, VisualizationStep
from ..units.unit import Unit

FORMAT = 1  # raised when `visualize` makes other images of the same settings
MAX_FILES = 1000  # of all networks, 50 kB each; the oldest are deleted
MAX_BYTES = 2**20  # of a file; a larger one is none of ours
ACTIVATION = "activation"  # text of a file: the activation of each image, as JSON


class ImageFiles:
    """The files of one network's visualizations; a file that cannot be read or written counts as missing."""

    def __init__(self, pretrained: PretrainedModel) -> None:
        self._digest = weights_digest(pretrained)

    def _file(self, unit: Unit, settings: VisualizationSettings) -> Path:
        made = sha256(f"{FORMAT} {settings}".encode()).hexdigest()
        name = f"{unit.block}-{unit.branch}-{unit.channel}-{made[:12]}.png"
        return cache_dir() / "visualizations" / self._digest[:16] / name

    def read(self, unit: Unit, settings: VisualizationSettings) -> VisualizationStep | None:
        """Return the last step of a visualization, or None if it is not there."""
        with suppress(OSError, ValueError, TypeError, RecursionError, SyntaxError):
            file = self._file(unit, settings)
            if not is_file(file) or file.stat().st_size > MAX_BYTES:
                return None
            with Image.open(io.BytesIO(file.read_bytes()), formats=["PNG"]) as picture:
                activation = tuple(map(float, strict_json.loads(picture.info.get(ACTIVATION, ""))))
                pixels = np.asarray(picture.convert("RGB"))
            if len(activation) == settings.count and len(pixels) % settings.count == 0:
                images = pixels.reshape(settings.count, -1, *pixels.shape[1:])
                return VisualizationStep(settings.steps, settings.steps, activation, images)
        return None

    def write(self, unit: Unit, settings: VisualizationSettings, last: VisualizationStep) -> None:
        """Keep the last step of a visualization; its images stand one below another in the file."""
        with suppress(OSError):
            text = PngInfo()
            text.add_text(ACTIVATION, strict_json.dumps(list(last.activation)))
            packed = io.BytesIO()
            Image.fromarray(np.concatenate(last.image)).save(packed, "PNG", pnginfo=text)
            file = self._file(unit, settings)
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, packed.getvalue(), durable=False)
            _delete_oldest(file.parent.parent.glob("*/*.png"))


def _delete_oldest(files: Iterable[Path]) -> None:
    by_age = sorted(files, key=lambda file: file.stat().st_mtime)
    for file in by_age[:-MAX_FILES]:
        file.unlink(missing_ok=True)
