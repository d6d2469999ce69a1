"""Which part of a photo the network sees: the square moved, or all of it with margins."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

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
    """Each column, or where it is higher than wide each row, has its own number as its colour."""
    ramp = np.linspace(0, 255, max(width, height)).astype(np.uint8)
    plane = np.tile(ramp, (height, 1)) if width > height else np.tile(ramp[:, None], (1, width))
    return Image.fromarray(np.stack([plane] * 3, axis=-1))


@pytest.mark.parametrize(
    ("frame", "box"),
    [
        (CENTRE_CROP, (50, 0, 150, 100)),
        (Crop(0, 0.5), (0, 0, 100, 100)),
        (Crop(1, 0), (100, 0, 200, 100)),
        (Crop(0.25, 1), (25, 0, 125, 100)),
        (WHOLE_PHOTO, (0, -50, 200, 150)),
    ],
)
def test_the_square_lies_where_the_frame_says(frame: Crop, box: tuple[float, ...]) -> None:
    assert TINY_IMAGENET.crop_box(200, 100, frame) == box
    assert TINY_IMAGENET.crop_box(100, 200, Crop(frame.down, frame.across, frame.whole)) == tuple(
        box[number] for number in (1, 0, 3, 2)
    )


def test_a_square_that_is_smaller_than_the_photo_moves_both_ways() -> None:
    assert CAFFE.crop_box(256, 256, Crop(0, 1)) == (0, 32, 224, 256)


@pytest.mark.parametrize("wrong", [{"across": -0.1}, {"down": 1.1}, {"across": float("nan")}])
def test_a_frame_beyond_the_photo_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Crop(**wrong)


@pytest.mark.parametrize("how", [CAFFE, TORCHVISION, TINY_IMAGENET])
@pytest.mark.parametrize("size", [(200, 100), (100, 200)])
def test_the_whole_photo_is_there_undistorted_and_its_margins_say_nothing(
    how: Preprocessing, size: tuple[int, int]
) -> None:
    seen = how.apply(stripes(*size), WHOLE_PHOTO)
    assert seen.size == (how.size, how.size)
    x = how.to_tensor(seen)[0]
    middle = how.size // 2
    margin = x[:, 2, middle] if size[0] > size[1] else x[:, middle, 2]
    step = 0.5 / (how.divisor * min(how.std))  # what rounding to whole samples may leave
    assert margin.abs().max() <= step * 1.01
    line = np.asarray(seen)[middle, :, 0] if size[0] > size[1] else np.asarray(seen)[:, middle, 0]
    assert line[1] < 10, "both ends of the photo are seen"
    assert line[-2] > 245


def test_the_whole_of_a_photo_three_pixels_wide_is_a_line() -> None:
    seen = np.asarray(CAFFE.apply(stripes(3, 3000), WHOLE_PHOTO))
    assert seen.shape == (224, 224, 3)
    assert (seen == CAFFE.margin_colour).all(axis=2).sum() == 224 * 223


def test_python_sees_the_part_that_it_asks_for(embedded: PretrainedModel) -> None:
    photo = open_photo(BISON)
    left = predict(embedded, photo, crop=Crop(0, 0.5))
    side = min(photo.size)
    by_hand = predict(embedded, photo.crop((0, 0, side, photo.height)))
    # Bicubic resizing of a part looks a pixel or two beyond its edge, where a file that was cut has none.
    assert np.allclose(left.logits, by_hand.logits, atol=0.02)
    assert not np.allclose(left.logits, predict(embedded, photo).logits, atol=0.1)
