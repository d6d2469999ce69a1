"""Preprocessing: crop, resize and normalise a photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ArgumentError, quoted
from ..runtime import strict_json

# Bounds of `divisor` and `std`; `mean` may be from -MAX_VALUE to MAX_VALUE. Beyond them float32 overflows.
MIN_VALUE, MAX_VALUE = 1e-6, 1e6
MAX_SIDE = 2048  # pixels; larger inputs would need gigabytes for each photo


@dataclass(frozen=True)
class Crop:
    """The part of a photo that the network takes: a square of it, or the `whole` photo padded to a square.

    `across` and `down` place the square, from 0 (left, top) to 1 (right, bottom) of the available space.

    Raises:
        ArgumentError: if `across` or `down` is no number from 0 to 1.
    """

    across: float = 0.5
    down: float = 0.5
    whole: bool = False

    def __post_init__(self) -> None:
        for name in ("across", "down"):
            place = getattr(self, name)
            is_number = isinstance(place, int | float | np.integer | np.floating) and not isinstance(place, bool)
            if not is_number or not 0 <= place <= 1:  # NaN fails every comparison
                raise ArgumentError(f"{name} is {quoted(place)}; it must be a number from 0 to 1.")


CENTRE_CROP, WHOLE_PHOTO = Crop(), Crop(whole=True)


@dataclass(frozen=True)
class Preprocessing:
    """A model's preprocessing, stored with its weights.

    The photo's short side is scaled to `resize` pixels and its centre `crop` x `crop` cut out. If `size` differs,
    that square is resized to `size` x `size`, for instance for a network that was trained on enlarged small photos.
    Sample values in 0..255 become (value / divisor - mean) / std, with channels in the order `channels`.

    Raises:
        ArgumentError: if a value is not allowed.
    """

    resize: int
    crop: int
    size: int
    channels: str  # "RGB" or "BGR"
    divisor: float
    mean: tuple[float, float, float]  # in the order of `channels`
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        for name in ("resize", "crop", "size"):
            side = _as_python(getattr(self, name))
            object.__setattr__(self, name, side)
            if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= MAX_SIDE:
                raise ArgumentError(f"{name} is {quoted(side)}; it must be a whole number from 1 to {MAX_SIDE}.")
        if self.crop > self.resize:
            raise ArgumentError(
                f"crop is {self.crop} and resize {self.resize}; the crop must be at most as large as the resized photo."
            )
        if self.channels not in ("RGB", "BGR"):
            raise ArgumentError(f"channels is {quoted(self.channels)}; it must be 'RGB' or 'BGR'.")
        object.__setattr__(self, "divisor", _as_python(self.divisor))
        # Lists and arrays become tuples, so that the dataclass is hashable.
        for name in ("mean", "std"):
            numbers = getattr(self, name)
            try:
                object.__setattr__(self, name, tuple(map(_as_python, numbers)))
            except TypeError as error:
                raise ArgumentError(f"{name} is {quoted(numbers)}; it must be three numbers.") from error
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ArgumentError("mean and std need three numbers each.")
        for name, numbers, minimum in (
            ("divisor", (self.divisor,), MIN_VALUE),
            ("std", self.std, MIN_VALUE),
            ("mean", self.mean, -MAX_VALUE),
        ):
            for number in numbers:
                # NaN fails every comparison.
                if (
                    isinstance(number, bool)
                    or not isinstance(number, int | float)
                    or not minimum <= number <= MAX_VALUE
                ):
                    raise ArgumentError(
                        f"{name} is {quoted(number)}; it must be a number from {minimum:g} to {MAX_VALUE:g}."
                    )

    def crop_box(self, width: int, height: int, crop: Crop = CENTRE_CROP) -> tuple[float, float, float, float]:
        """Return the crop's (left, top, right, bottom) in the pixels of a width x height photo.

        For the whole photo the box extends beyond it, into the padding.
        """
        if crop.whole:
            side = float(max(width, height))
            left, top = (width - side) / 2, (height - side) / 2
        else:
            side = min(width, height) * self.crop / self.resize
            left, top = (width - side) * crop.across, (height - side) * crop.down
        return left, top, left + side, top + side

    def apply(self, photo: Image.Image, crop: Crop = CENTRE_CROP) -> Image.Image:
        """Crop and resize an RGB photo to size x size."""
        if crop.whole:
            image = self._padded(photo)
        else:
            # Cropped and resized in one step, so that a photo of 1 x 10000 pixels costs no more than others.
            box = self.crop_box(photo.width, photo.height, crop)
            image = photo.resize((self.crop, self.crop), Image.Resampling.BICUBIC, box=box)
        if self.size != self.crop:
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return image

    def _padded(self, photo: Image.Image) -> Image.Image:
        """Return the whole photo, undistorted, centred on a crop x crop square of `margin_colour`."""
        scale = self.crop / max(photo.size)
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        square = Image.new("RGB", (self.crop, self.crop), self.margin_colour)
        corner = ((self.crop - size[0]) // 2, (self.crop - size[1]) // 2)
        square.paste(photo.resize(size, Image.Resampling.BICUBIC), corner)
        return square

    @property
    def margin_colour(self) -> tuple[int, int, int]:
        """The RGB colour that is closest to zero after normalisation."""
        mean = self.mean if self.channels == "RGB" else self.mean[::-1]
        red, green, blue = (min(255, max(0, round(value * self.divisor))) for value in mean)
        return red, green, blue

    def to_tensor(self, image: Image.Image) -> Tensor:
        """Convert an image from `apply` to the network's input, (1, 3, size, size) float32."""
        samples = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32)).permute(2, 0, 1)
        return self.normalise(samples.unsqueeze(0))

    def normalise(self, samples: Tensor) -> Tensor:
        """Normalise RGB samples (N, 3, H, W) in 0..255, float32."""
        if self.channels == "BGR":
            samples = samples.flip(1)
        mean, std = (samples.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (samples / self.divisor - mean) / std

    def normalise_bytes(self, pixels: np.ndarray) -> np.ndarray:
        """Normalise RGB pixels (N, H, W, 3), uint8, to the same numbers as `normalise`, float32.

        They are looked up: for one photo, arithmetic takes less time than the threads that share it take to wake up.
        """
        order = (2, 1, 0) if self.channels == "BGR" else (0, 1, 2)
        samples = np.empty(pixels.shape, np.float32)
        for number, (values, channel) in enumerate(zip(_normalised_values(self), order, strict=True)):
            samples[..., number] = values[pixels[..., channel]]
        return samples

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """Inverse of `to_dict`.

        Raises:
            TypeError: if `values` is not a dict, or a field is missing or unknown.
            ArgumentError: if a value is not allowed.
        """
        return strict_json.built(cls, values)


def _as_python(value: Any) -> Any:
    """Return a NumPy number as Python's, which JSON can hold, and anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


@cache
def _normalised_values(preprocessing: Preprocessing) -> np.ndarray:
    """Return the normalised value (3, 256) of each byte, by the network's channel."""
    samples = torch.arange(256.0).expand(1, 3, 1, 256)
    return preprocessing.normalise(samples)[0, :, 0].numpy()


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CAFFE = Preprocessing(256, 224, 224, "BGR", 1.0, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0))
# ImageNet's normalisation followed by torchvision's `transform_input`.
TORCHVISION = Preprocessing(256, 224, 224, "RGB", 255.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = Preprocessing(256, 224, 224, "RGB", 255.0, IMAGENET_MEAN, IMAGENET_STD)
