"""Any picture file in, an upright 8-bit RGB picture out, or one sentence that says why not."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .errors import PhotoError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
FORMATS_TEXT = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF"
MAX_BYTES = 40 * 2**20
MAX_PIXELS = 50_000_000
# No network here looks at more than a few hundred pixels; keeping more only costs memory.
MAX_SIDE = 2048

Source = str | Path | bytes


def open_photo(source: Source) -> Image.Image:
    """Open a photo from a path or from its bytes.

    The first frame of an animation, turned upright by its EXIF note, 16-bit and float samples
    brought to 8 bits, transparency laid on white, and the longer side brought to at most
    `MAX_SIDE` pixels.

    Raises:
        PhotoError: if the file is missing, empty, too large, damaged or no picture.
    """
    image = _opened(_bytes(source))
    try:
        image.seek(0)
        # A JPEG can be decoded at a half, a quarter or an eighth of its size.
        image.draft("RGB", (MAX_SIDE, MAX_SIDE))
        image.load()
    # Pillow's decoders raise many kinds of errors on damaged data; all mean the same to a user.
    except Exception as error:
        raise PhotoError(
            "photo_damaged", "This picture is damaged or cut off; please save or send it again, or choose another."
        ) from error
    # Shrunk first where Pillow can, so that the steps between work on little.
    return _shrunk(_rgb(_upright(_shrunk(image))))


def is_unknown_to_browsers(source: Source) -> bool:
    """Whether a picture is of a kind that we can open and a browser cannot show (TIFF)."""
    try:
        head = source[:4] if isinstance(source, bytes) else _head(Path(source))
    except (OSError, ValueError):
        return False
    return head in (b"II*\0", b"MM\0*")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _bytes(source: Source) -> bytes:
    if isinstance(source, bytes):
        data, size = source, len(source)
    else:
        path = Path(source)
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= MAX_BYTES else b""
        except (OSError, ValueError) as error:
            raise PhotoError(
                "photo_missing", "There is no readable file {name}; please check its name.", name=repr(path.name)
            ) from error
    if size > MAX_BYTES:
        raise PhotoError(
            "photo_heavy",
            "This file has {megabytes:.0f} MB; a photo may have at most {limit} MB. Please choose a smaller one.",
            megabytes=size / 2**20,
            limit=MAX_BYTES // 2**20,
        )
    if not data:
        raise PhotoError("photo_empty", "This file is empty; please choose a photo.")
    return data


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Our own limit below is stricter than Pillow's warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    # As above: the header alone can be broken in many ways.
    except Exception as error:
        raise PhotoError(
            "photo_unknown",
            "This file is not a picture that can be read; please choose one of these kinds: {formats}.",
            formats=FORMATS_TEXT,
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_large()
    return image


def _too_large() -> PhotoError:
    return PhotoError(
        "photo_large",
        "This picture has too many pixels; at most {limit} megapixels are allowed. Please choose a smaller one.",
        limit=MAX_PIXELS // 1_000_000,
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # An EXIF note that cannot be read is no reason to refuse the picture itself.
    except Exception:
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    samples = np.nan_to_num(_block_means(np.asarray(image), max(image.size) // MAX_SIDE), posinf=0, neginf=0)
    low, high = float(samples.min()), float(samples.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 1 and image.mode == "F":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    # Else nothing says what is black and white: take the darkest and the brightest sample.
    span = (high - low) or 1.0
    return Image.fromarray(np.round((samples - low) * (255 / span)).astype(np.uint8))


def _block_means(samples: np.ndarray, side: int) -> np.ndarray:
    """Means over side x side samples: Pillow cannot shrink these modes, and floats of all would fill the memory."""
    if side < 2:
        return samples.astype(np.float32)
    height, width = samples.shape[0] // side, samples.shape[1] // side
    if not height or not width:
        return samples[::side, ::side].astype(np.float32)
    blocks = samples[: height * side, : width * side].reshape(height, side, width, side)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _shrunk(image: Image.Image) -> Image.Image:
    if max(image.size) > MAX_SIDE and image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
    return image
