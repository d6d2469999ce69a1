"""Any picture file in, an upright 8-bit RGB picture out, or one sentence that says why not."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from ..errors import PhotoError, quoted
from ..runtime.memory import trim_heap
from .metadata import TIFF_MARKS, UPRIGHT, strip_metadata

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
FORMATS_TEXT = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF"
MAX_BYTES = 40 * 2**20
MAX_PIXELS = 50_000_000
# No network here looks at more than a few hundred pixels; keeping more only costs memory.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
MAX_SIDE = 2048

# What a decoder may fill, so that a photo never takes 300 MB: the file itself and our own steps come to it.
DECODER_BYTES = 190_000_000
# Above this, photos are decoded one after another, however many are sent at once.
ALONE_BYTES = 100_000_000
# Measured, for each pixel: beside what they hand over, these decoders keep whole pictures for themselves.
PIXEL_BYTES = {"WEBP": 15.5, "AVIF": 15.5}
# TIFF's decoder takes a strip or a tile at a time, which may be the whole picture, and turns it.
TIFF_COPIES = 3
# How a picture comes upright, by its EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TILE = 512  # pixels; the side of the pieces in which we work on what a decoder hands over

Source = str | Path | bytes

_alone = Lock()


def open_photo(source: Source) -> Image.Image:
    """Open a photo from a path or from its bytes.

    The first frame of an animation, turned upright by its EXIF note, 16-bit and float samples
    brought to 8 bits, transparency laid on white, and the longer side brought to at most
    `MAX_SIDE` pixels.

    Raises:
        PhotoError: if the file is missing, empty, too large, damaged or no picture.
    """
    try:
        bare = strip_metadata(_bytes(source))
    except ValueError as error:
        raise _unknown() from error
    data, orientation = bare.data, bare.orientation
    with warnings.catch_warnings():
        # Pillow's remarks on odd files are for programmers, and tell where it is installed.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        if _bytes_to_decode(_opened(data), data) <= ALONE_BYTES:
            return _decoded(_opened(data), orientation)
        with _alone:
            try:
                return _decoded(_opened(data), orientation)
            finally:
                # What decoding left, which no name holds any more.
                trim_heap()


def is_unknown_to_browsers(source: Source) -> bool:
    """Whether a picture is of a kind that we can open and a browser cannot show (TIFF)."""
    try:
        head = source[:4] if isinstance(source, bytes) else _head(Path(source))
    except (OSError, ValueError):
        return False
    return head in TIFF_MARKS


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
                "photo_missing", "There is no readable file {name}; please check its name.", name=quoted(path.name)
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
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(MAX_PIXELS) from error
    # As below: the header alone can be broken in many ways.
    except Exception as error:
        raise _unknown() from error
    pixels = image.width * image.height
    most = min(MAX_PIXELS, int(DECODER_BYTES * pixels / _bytes_to_decode(image, data)))
    if pixels > most:
        raise _too_large(most)
    return image


def _unknown() -> PhotoError:
    return PhotoError(
        "photo_unknown",
        "This file is not a picture that can be read; please choose one of these kinds: {formats}.",
        formats=FORMATS_TEXT,
    )


def _too_large(most: int) -> PhotoError:
    return PhotoError(
        "photo_large",
        "This picture has too many pixels; at most {limit} megapixels of its kind are allowed. "
        "Please choose a smaller one.",
        limit=most // 1_000_000,
    )


def _bytes_to_decode(image: Image.Image, data: bytes) -> float:
    """What decoding fills, at most."""
    samples = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    if isinstance(image, JpegImageFile):
        # One side that is short already keeps it from being decoded at less than its size.
        shrunk = next(scale for scale in (8, 4, 2, 1) if scale <= max(1, min(image.size) // MAX_SIDE))
        each = samples / shrunk**2 + (_coefficients(image) if _has_scans(image, data) else 0)
    else:
        each = PIXEL_BYTES.get(image.format or "", samples * (TIFF_COPIES if image.format == "TIFF" else 1))
    # Two lines more: decoders hold the one before and the one that comes.
    return each * image.width * (image.height + 2)


def _has_scans(image: JpegImageFile, data: bytes) -> bool:
    """Whether a JPEG tells its pixels in several turns, so that nothing is known before the last of them."""
    if "progressive" in image.info:
        return True
    # Pillow has read on to behind the first scan's head, in which stands how many colours the scan has.
    head = 8 + 2 * image.layers
    begin = (image.fp.tell() if image.fp else 0) - head
    return begin < 0 or data[begin : begin + 2] != b"\xff\xda" or data[begin + 4] != image.layers


def _coefficients(image: JpegImageFile) -> float:
    """Bytes for each pixel that libjpeg keeps until then."""
    parts = [(across, down) for _, across, down, _ in image.layer] or [(1, 1)] * 4
    whole = max(1, *(across for across, _ in parts)) * max(1, *(down for _, down in parts))
    return 2 * sum(across * down for across, down in parts) / whole


def _decoded(image: Image.Image, orientation: int) -> Image.Image:
    try:
        image.seek(0)
        # A JPEG can be decoded at a half, a quarter or an eighth of its size.
        image.draft("RGB", (MAX_SIDE, MAX_SIDE))
        image.load()
    # Pillow's decoders raise many kinds of errors on damaged data; all mean the same to a user.
    except Exception as error:
        image.close()
        raise PhotoError(
            "photo_damaged", "This picture is damaged or cut off; please save or send it again, or choose another."
        ) from error
    if image.format == "AVIF":
        # Pillow tells AVIF's own property as if it were EXIF.
        orientation = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    turn = TURNS.get(orientation)
    small = _rgb(image)
    return small if turn is None else small.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    """At most `MAX_SIDE` pixels wide and high. What is large is worked on piece by piece: a copy would cost as much."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode not in ("L", "RGB", "CMYK") or image.has_transparency_data:
        image = _reduced(image)
    # Before the conversion, so that it has little to do.
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
    return image.convert("RGB")


def _reduced(image: Image.Image) -> Image.Image:
    """RGB, transparency laid on white, by whole numbers brought to at most `MAX_SIDE`."""
    side = _block_side(image)
    out = Image.new("RGB", _reduced_size(image, side))
    for left, top, piece in _pieces(image, side):
        out.paste(_on_white(piece).reduce(side), (left // side, top // side))
    return out


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of eight bits, brought to at most `MAX_SIDE` the same way; Pillow itself cannot shrink these modes."""
    side = _block_side(image)
    width, height = _reduced_size(image, side)
    samples = np.empty((height, width), np.float32)
    for left, top, piece in _pieces(image, side):
        means = _block_means(np.asarray(piece), side)
        row, column = top // side, left // side
        samples[row : row + means.shape[0], column : column + means.shape[1]] = means
    low, high = float(samples.min()), float(samples.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 1 and image.mode == "F":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    # Else nothing says what is black and white: take the darkest and the brightest sample.
    samples -= low
    samples *= 255 / ((high - low) or 1.0)
    return Image.fromarray(np.round(samples, out=samples).astype(np.uint8))


def _block_means(samples: np.ndarray, side: int) -> np.ndarray:
    """Means over side x side samples, at the edges over those that there are; what is no number counts as 0."""
    # Far from where differences of float32 overflow.
    means = np.nan_to_num(samples.astype(np.float64), nan=0, posinf=0, neginf=0).clip(-1e30, 1e30)
    for axis in (0, 1) if side > 1 else ():
        starts = np.arange(0, means.shape[axis], side)
        counts = np.diff(starts, append=means.shape[axis])
        means = np.add.reduceat(means, starts, axis=axis) / (counts if axis else counts[:, None])
    return means


def _block_side(image: Image.Image) -> int:
    """Of the squares whose mean becomes one pixel."""
    return -(-max(image.size) // MAX_SIDE)


def _reduced_size(image: Image.Image, side: int) -> tuple[int, int]:
    return -(-image.width // side), -(-image.height // side)


def _pieces(image: Image.Image, side: int) -> Iterator[tuple[int, int, Image.Image]]:
    """All of an image, in pieces of whole blocks: left, top and the piece."""
    step = side * max(1, TILE // side)
    for top in range(0, image.height, step):
        for left in range(0, image.width, step):
            box = (left, top, min(left + step, image.width), min(top + step, image.height))
            yield left, top, image.crop(box)
