"""Preprocessing, compared with hand calculations and torchvision's transforms."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from inception.vision.preprocessing import CAFFE, IMAGENET, TORCHVISION, Preprocessing
from support.preprocessing import TINY_IMAGENET


def test_caffe_input_is_bgr_minus_the_mean() -> None:
    x = CAFFE.to_tensor(Image.new("RGB", (224, 224), (10, 20, 30)))
    assert x.shape == (1, 3, 224, 224)
    assert x[0, :, 0, 0].tolist() == [30 - 104, 20 - 117, 10 - 123]


def test_torchvision_input_is_imagenet_normalisation_and_transform_input() -> None:
    # torchvision.models.GoogLeNet._transform_input, on top of its own preset.
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8))
    normal = IMAGENET.to_tensor(photo)
    scale, shift = torch.tensor([0.229, 0.224, 0.225]) / 0.5, (torch.tensor([0.485, 0.456, 0.406]) - 0.5) / 0.5
    expected = normal * scale.view(1, 3, 1, 1) + shift.view(1, 3, 1, 1)
    assert torch.allclose(TORCHVISION.to_tensor(photo), expected, atol=1e-5)


@pytest.mark.parametrize("preprocessing", [CAFFE, TORCHVISION, TINY_IMAGENET])
def test_normalising_bytes_equals_normalising_floats(preprocessing: Preprocessing) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    expected = preprocessing.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    assert np.array_equal(preprocessing.normalise_bytes(pixels), expected.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("size", [(640, 427), (300, 500), (256, 256), (1000, 257)])
def test_the_crop_matches_torchvisions_resize_and_centre_crop(size: tuple[int, int]) -> None:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    photo = Image.fromarray(
        np.stack([127 + 120 * np.sin(x / 17), 127 + 120 * np.cos(y / 13), (x + y) % 256], -1).astype(np.uint8)
    )
    theirs = v2.Compose([v2.Resize(256, v2.InterpolationMode.BICUBIC), v2.CenterCrop(224)])(photo)
    difference = np.abs(np.asarray(CAFFE.apply(photo), float)[..., :2] - np.asarray(theirs, float)[..., :2])
    # Resize rounds the long side to whole pixels and CenterCrop the offset: half a pixel is all they may differ.
    assert difference.mean() < 4
    assert CAFFE.crop_box(*size)[2] - CAFFE.crop_box(*size)[0] == pytest.approx(min(size) * 224 / 256)


def test_photos_are_scaled_to_the_crop_and_then_enlarged_to_the_input_size() -> None:
    photo = Image.effect_noise((400, 300), 60).convert("RGB")
    image = replace(IMAGENET, resize=64, crop=64, size=128).apply(photo)
    assert image.size == (128, 128)
    small = photo.resize((64, 64), Image.Resampling.BICUBIC, box=(50, 0, 350, 300))
    assert image.tobytes() == small.resize((128, 128), Image.Resampling.BILINEAR).tobytes()


def test_a_photo_one_pixel_wide_is_accepted() -> None:
    assert CAFFE.apply(Image.new("RGB", (1, 10_000), "red")).getpixel((100, 100)) == (255, 0, 0)


@pytest.mark.parametrize("preprocessing", [CAFFE, TORCHVISION, TINY_IMAGENET])
def test_preprocessing_survives_a_json_round_trip(preprocessing: Preprocessing) -> None:
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(
    "changes",
    [
        {"crop": 300},
        {"size": 0},
        {"channels": "GBR"},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (0.5,)},
        {"mean": 5},
        {"std": None},
        {"divisor": 0.0},
        {"mean": ("a", "b", "c")},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"resize": 64.5, "crop": 64.5},
    ],
)
def test_invalid_values_are_rejected(changes: dict) -> None:
    with pytest.raises(ValueError, match=r"must be|need"):
        Preprocessing.from_dict({**CAFFE.to_dict(), **changes})


def test_lists_and_arrays_of_numbers_are_those_of_a_tuple() -> None:
    for kind in (list, np.array):
        listed = replace(CAFFE, mean=kind(CAFFE.mean), std=kind(CAFFE.std))
        assert (listed, hash(listed)) == (CAFFE, hash(CAFFE))
        assert listed.normalise_bytes(np.zeros((1, 4, 4, 3), np.uint8)).shape == (1, 4, 4, 3)


def test_numbers_of_numpy_are_stored_as_those_of_python() -> None:
    sides = {name: np.int64(getattr(CAFFE, name)) for name in ("resize", "crop", "size")}
    mean, std = np.array(CAFFE.mean, np.float32), np.array(CAFFE.std, np.int16)
    numpys = replace(CAFFE, **sides, divisor=np.float32(1), mean=mean, std=std)
    assert (numpys, hash(numpys)) == (CAFFE, hash(CAFFE))
    assert Preprocessing.from_dict(json.loads(json.dumps(numpys.to_dict()))) == CAFFE
    for wrong in ({"crop": np.bool_(True)}, {"size": np.float32(224)}, {"mean": np.array(["a", "b", "c"])}):
        with pytest.raises(ValueError, match="must be"):
            replace(CAFFE, **wrong)
