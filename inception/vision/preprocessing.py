"""From a photo to what the network takes, and exactly what it saw on the way."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import quoted
from ..runtime import strict_json

# Of what is divided by; with other numbers float32 runs over in the first layers. Means go from -MOST to MOST.
LEAST, MOST = 1e-6, 1e6
MAX_SIDE = 2048  # pixels; a network that looked at more would take gigabytes for each photo


@dataclass(frozen=True)
class Crop:
    """Which part of a photo is shown to the network: a square of it, or the whole in a square with margins.

    `across` and `down` tell where the square lies, from 0 (left, top) to 1 (right, bottom) of the way that it can go.
    """

    across: float = 0.5
    down: float = 0.5
    whole: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.across <= 1 and 0 <= self.down <= 1):
            raise ValueError(f"across is {self.across} and down is {self.down}; both must be from 0 to 1.")


CENTRE_CROP, WHOLE_PHOTO = Crop(), Crop(whole=True)


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its photos; it travels with the weights.

    The photo's short side is brought to `resize` pixels and the centre `crop` x `crop` cut out;
    where `size` differs, that square is then resized to `size` x `size` (the embedded model
    learned on photos of 64 pixels shown larger). Sample values in 0..255 become
    (value / divisor - mean) / std, in the order that `channels` says.
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
            side = getattr(self, name)
            if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= MAX_SIDE:
                raise ValueError(f"{name} is {quoted(side)}; it must be a whole number from 1 to {MAX_SIDE}.")
        if self.crop > self.resize:
            raise ValueError(
                f"crop is {self.crop} and resize {self.resize}; the crop must be at most as large as the resized photo."
            )
        if self.channels not in ("RGB", "BGR"):
            raise ValueError(f"channels is {quoted(self.channels)}; it must be 'RGB' or 'BGR'.")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError("mean and std need three numbers each.")
        for name, numbers, least in (
            ("divisor", (self.divisor,), LEAST),
            ("std", self.std, LEAST),
            ("mean", self.mean, -MOST),
        ):
            for number in numbers:
                # Not a number fails every comparison.
                if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= MOST:
                    raise ValueError(f"{name} is {quoted(number)}; it must be a number from {least:g} to {MOST:g}.")

    def box(self, width: int, height: int, frame: Crop = CENTRE_CROP) -> tuple[float, float, float, float]:
        """The square of a width x height photo that the network sees: left, top, right, bottom.

        For the whole photo it reaches beyond: what lies outside the photo is margin.
        """
        if frame.whole:
            side = float(max(width, height))
            left, top = (width - side) / 2, (height - side) / 2
        else:
            side = min(width, height) * self.crop / self.resize
            left, top = (width - side) * frame.across, (height - side) * frame.down
        return left, top, left + side, top + side

    def see(self, photo: Image.Image, frame: Crop = CENTRE_CROP) -> Image.Image:
        """The size x size picture that the network sees of an RGB photo.

        Cut and resized in one step, so that a photo of 1 x 10000 pixels costs no more than others.
        """
        if frame.whole:
            seen = self._with_margins(photo)
        else:
            box = self.box(photo.width, photo.height, frame)
            seen = photo.resize((self.crop, self.crop), Image.Resampling.BICUBIC, box=box)
        if self.size != self.crop:
            seen = seen.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return seen

    def _with_margins(self, photo: Image.Image) -> Image.Image:
        """The whole photo, undistorted, on a crop x crop square of `margin`."""
        scale = self.crop / max(photo.size)
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        square = Image.new("RGB", (self.crop, self.crop), self.margin)
        place = ((self.crop - size[0]) // 2, (self.crop - size[1]) // 2)
        square.paste(photo.resize(size, Image.Resampling.BICUBIC), place)
        return square

    @property
    def margin(self) -> tuple[int, int, int]:
        """The RGB colour that becomes zero in the network's input, to the next whole sample: it says least."""
        mean = self.mean if self.channels == "RGB" else self.mean[::-1]
        red, green, blue = (min(255, max(0, round(value * self.divisor))) for value in mean)
        return red, green, blue

    def tensor(self, seen: Image.Image) -> Tensor:
        """The network's input, (1, 3, size, size) float32, from what `see` returned."""
        samples = torch.from_numpy(np.array(seen.convert("RGB"), dtype=np.float32)).permute(2, 0, 1)
        return self.normalised(samples.unsqueeze(0))

    def normalised(self, samples: Tensor) -> Tensor:
        """The network's input from RGB samples (N, 3, height, width) in 0..255, float32."""
        if self.channels == "BGR":
            samples = samples.flip(1)
        mean, std = (samples.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (samples / self.divisor - mean) / std

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`.

        Raises:
            TypeError: if a field is missing or unknown.
            ValueError: if a value is not allowed.
        """
        told = dict(values)
        for name in ("mean", "std"):
            if name in told:
                told[name] = tuple(told[name])
        return strict_json.built(cls, told)


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CAFFE = Preprocessing(256, 224, 224, "BGR", 1.0, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0))
# ImageNet's normalisation followed by torchvision's `transform_input` comes to this.
TORCHVISION = Preprocessing(256, 224, 224, "RGB", 255.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = Preprocessing(256, 224, 224, "RGB", 255.0, IMAGENET_MEAN, IMAGENET_STD)
TINY_IMAGENET = Preprocessing(64, 64, 128, "RGB", 255.0, IMAGENET_MEAN, IMAGENET_STD)
