"""Values at the middle cell of a layer's maps."""

from __future__ import annotations

import numpy as np
from PIL import Image

from inception.pretrained.pretrained import PretrainedModel
from inception.units.middle_cell import LAYERS, middle_values
from support.no_float64 import NoFloat64


def test_device_without_float64_suffices(embedded: PretrainedModel, photo: Image.Image) -> None:
    image = embedded.preprocessing.apply(photo)
    with NoFloat64():
        values = middle_values(embedded, [image], LAYERS)
    expected = middle_values(embedded, [image], LAYERS)
    for layer in LAYERS:
        assert values[layer].dtype == np.float64
        np.testing.assert_array_equal(values[layer], expected[layer])
