"""Crops: a square moved over the photo, or the whole photo with margins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from inception.errors import ArgumentError
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.photo import open_photo
from inception.vision.preprocessing import (
    CAFFE,
    CENTRE_CROP,
    TORCHVISION,
    WHOLE_PHOTO,
    Crop,
    Preprocessing,
)
from support.paths import EXAMPLES
from support.preprocessing import TINY_IMAGENET

BISON = EXAMPLES / "bison.jpg"


def stripes(width: int, height: int) -> Image.Image:
    """Return a photo whose grey level rises along its long side."""
    ramp = np.linspace(0, 255, max(width, height)).astype(np.uint8)
    plane = np.tile(ramp, (height, 1)) if width > height else np.tile(ramp[:, None], (1, width))
    return Image.fromarray(np.stack([plane] * 3, axis=-1))


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        (CENTRE_CROP, (50, 0, 150, 100)),
        (Crop(0, 0.5), (0, 0, 100, 100)),
        (Crop(1, 0), (100, 0, 200, 100)),
        (Crop(0.25, 1), (25, 0, 125, 100)),
        (WHOLE_PHOTO, (0, -50, 200, 150)),
    ],
)
def test_the_crop_box_follows_the_crop(crop: Crop, box: tuple[float, ...]) -> None:
    assert TINY_IMAGENET.crop_box(200, 100, crop) == box
    assert TINY_IMAGENET.crop_box(100, 200, Crop(crop.down, crop.across, crop.whole)) == tuple(
        box[index] for index in (1, 0, 3, 2)
    )


def test_a_square_smaller_than_the_photo_moves_in_both_directions() -> None:
    assert CAFFE.crop_box(256, 256, Crop(0, 1)) == (0, 32, 224, 256)


@pytest.mark.parametrize(
    "arguments", [{"across": -0.1}, {"down": 1.1}, {"across": float("nan")}, {"across": "0.5"}, {"down": None}]
)
def test_a_crop_beyond_the_photo_is_rejected(arguments: dict[str, Any]) -> None:
    name, value = next(iter(arguments.items()))
    with pytest.raises(ArgumentError, match=f"{name} is {value!r}; it must be a number from 0 to 1"):
        Crop(**arguments)


def test_a_crop_takes_numpys_numbers() -> None:
    assert Crop(np.float32(0.5), np.int64(0)) == Crop(0.5, 0)


@pytest.mark.parametrize("preprocessing", [CAFFE, TORCHVISION, TINY_IMAGENET])
@pytest.mark.parametrize("size", [(200, 100), (100, 200)])
def test_the_whole_photo_is_undistorted_and_its_margins_are_neutral(
    preprocessing: Preprocessing, size: tuple[int, int]
) -> None:
    image = preprocessing.apply(stripes(*size), WHOLE_PHOTO)
    assert image.size == (preprocessing.size, preprocessing.size)
    x = preprocessing.to_tensor(image)[0]
    middle = preprocessing.size // 2
    margin = x[:, 2, middle] if size[0] > size[1] else x[:, middle, 2]
    rounding_error = 0.5 / (preprocessing.divisor * min(preprocessing.std))  # from rounding to whole samples
    assert margin.abs().max() <= rounding_error * 1.01
    line = np.asarray(image)[middle, :, 0] if size[0] > size[1] else np.asarray(image)[:, middle, 0]
    assert line[1] < 10, "both ends of the photo are visible"
    assert line[-2] > 245


def test_the_whole_of_a_photo_three_pixels_wide_becomes_a_line() -> None:
    pixels = np.asarray(CAFFE.apply(stripes(3, 3000), WHOLE_PHOTO))
    assert pixels.shape == (224, 224, 3)
    assert (pixels == CAFFE.margin_colour).all(axis=2).sum() == 224 * 223


def test_predict_uses_the_given_crop(embedded: PretrainedModel) -> None:
    photo = open_photo(BISON)
    left = predict(embedded, photo, crop=Crop(0, 0.5))
    side = min(photo.size)
    expected = predict(embedded, photo.crop((0, 0, side, photo.height)))
    # Bicubic resizing of a crop reads a pixel or two beyond its edge, where a photo that was cut has none.
    assert np.allclose(left.logits, expected.logits, atol=0.02)
    assert not np.allclose(left.logits, predict(embedded, photo).logits, atol=0.1)
