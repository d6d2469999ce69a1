"""Decoding of image files to upright 8-bit RGB images of bounded size, in bounded memory."""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from ..errors import ArgumentError, PhotoError, quoted
from ..runtime.files import is_folder
from ..runtime.memory import trim_heap
from .metadata import UPRIGHT, strip_metadata

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
FORMATS_TEXT = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF"
MAX_BYTES = 40 * 2**20
MAX_PIXELS = 50_000_000
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
MAX_SIDE = 2048  # of the result; networks take a few hundred pixels

# Bound of the memory that a decoder may use. With the file and our own steps a photo stays below 300 MB.
DECODER_BYTES = 190_000_000
# Larger photos are decoded one at a time, however many are sent at once.
SERIAL_BYTES = 100_000_000
# Measured memory of decoders that keep whole images besides their output.
PIXEL_BYTES = {"WEBP": 15.5, "AVIF": 15.5}
# TIFF's decoder holds and transposes a strip or tile, which may be the whole image.
TIFF_COPIES = 3
TIFF_TILE = (322, 323)  # tags: width and height of a tile
TIFF_BITS, TIFF_MEANING, WHITE_IS_ZERO = 258, 262, 0  # tags: bits of a sample, what zero means; a value of the latter
# Transposition that makes an image upright, by its EXIF orientation.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PILLOW_MODULES = r"PIL\."
PILLOW_WARNINGS = ("ignore", None, Warning, re.compile(PILLOW_MODULES), 0)  # as in `warnings.filters`
TILE = 512  # side in pixels of the tiles in which decoded images are converted

Source = str | Path | bytes

_serial = Lock()


def open_photo(source: Source) -> Image.Image:
    """Open a photo from a path or from its bytes as an upright RGB image.

    Takes the first frame of an animation, applies the EXIF orientation, scales 16-bit and float samples to 8 bits,
    composites transparency on white, and shrinks the longer side to at most `MAX_SIDE` pixels.

    Raises:
        ArgumentError: if `source` is neither a path nor bytes.
        PhotoError: if the file is missing, empty, too large, damaged or not an image.
    """
    encoded = _bytes(source)
    try:
        stripped = strip_metadata(encoded)
    except ValueError as error:
        raise _unknown() from error
    data, orientation = stripped.data, stripped.orientation
    _ignore_pillow_warnings()
    if _bytes_to_decode(_opened(data), data) <= SERIAL_BYTES:
        return _decoded(_opened(data), orientation)
    with _serial:
        trim_heap()  # or the memory that earlier work left free would come on top of this photo's
        try:
            return _decoded(_opened(data), orientation)
        finally:
            trim_heap()


def _ignore_pillow_warnings() -> None:
    """Ignore Pillow's warnings, which are for programmers and contain the path of its installation.

    In the whole process and for good: `catch_warnings` would restore the filters of the whole process too, and so undo
    what other threads have set meanwhile.
    """
    if warnings.filters[:1] != [PILLOW_WARNINGS]:
        warnings.filterwarnings("ignore", module=PILLOW_MODULES)


def _bytes(source: Source) -> bytes:
    if isinstance(source, bytes):
        data = source
    elif not isinstance(source, str | os.PathLike):
        raise ArgumentError(
            f"source is of type {type(source).__name__}; it must be the path of a file, or the bytes of one: of a file "
            "object, pass what read() returns."
        )
    else:
        path = Path(source)
        try:
            data = _read(path)
        except (OSError, ValueError) as error:
            if is_folder(path):
                raise PhotoError(
                    "photo_folder",
                    "{name} is a folder; please name the photos in it.",
                    name=quoted(path.name),
                ) from error
            raise PhotoError(
                "photo_missing", "There is no readable file {name}; please check its name.", name=quoted(path.name)
            ) from error
    if len(data) > MAX_BYTES:
        raise _too_heavy(len(data))
    if not data:
        raise PhotoError("photo_empty", "This file is empty; please choose a photo.")
    return data


def _read(path: Path) -> bytes:
    """Read a regular file up to one byte more than a photo may have.

    Raises:
        OSError, ValueError: if there is no such regular file, or if it cannot be read.
        PhotoError: if it is larger than a photo may be.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{path} is not a regular file")
        if facts.st_size > MAX_BYTES:
            raise _too_heavy(facts.st_size)
        # The file may have grown since.
        return file.read(MAX_BYTES + 1)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe without waiting for its writer. Windows has neither such pipes nor the flag."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _too_heavy(size: int) -> PhotoError:
    return PhotoError(
        "photo_heavy",
        "This file is {megabytes:.1f} MB; a photo may have at most {limit} MB. Please choose a smaller one.",
        megabytes=ceil(size / 2**20 * 10) / 10,  # rounded up, so that it is never the limit itself
        limit=MAX_BYTES // 2**20,
    )


def _opened(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(MAX_PIXELS) from error
    # Pillow raises many types of errors for a damaged header.
    except Exception as error:
        raise _unknown() from error
    pixels = max(image.width * image.height, _tile_pixels(image))
    max_pixels = min(MAX_PIXELS, int(DECODER_BYTES * pixels / _bytes_to_decode(image, data)))
    if pixels > max_pixels:
        raise _too_large(max_pixels)
    return image


def _unknown() -> PhotoError:
    return PhotoError(
        "photo_unknown",
        "This file is not a picture that can be read; please choose one of these kinds: {formats}.",
        formats=FORMATS_TEXT,
    )


def _too_large(max_pixels: int) -> PhotoError:
    return PhotoError(
        "photo_large",
        "This picture has too many pixels; pictures of this kind may have at most {limit} megapixels. "
        "Please choose a smaller one.",
        limit=max_pixels // 1_000_000,
    )


def _bytes_to_decode(image: Image.Image, data: bytes) -> float:
    """Return an upper bound of the memory that decoding takes."""
    samples = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    if isinstance(image, JpegImageFile):
        # libjpeg's reduced decoding is limited by the shorter side.
        shrunk = next(scale for scale in (8, 4, 2, 1) if scale <= max(1, min(image.size) // MAX_SIDE))
        per_pixel = samples / shrunk**2 + (_coefficient_bytes(image) if _has_several_scans(image, data) else 0)
    else:
        per_pixel = PIXEL_BYTES.get(image.format or "", samples * (TIFF_COPIES if image.format == "TIFF" else 1))
    # Two more lines, because decoders hold the previous and the next one.
    return per_pixel * max(image.width * (image.height + 2), _tile_pixels(image))


def _tile_pixels(image: Image.Image) -> int:
    """Return the pixels of one tile of a TIFF, which may be larger than the image; 0 without tiles."""
    if not isinstance(image, TiffImageFile):
        return 0
    width, height = (image.tag_v2.get(tag, 0) for tag in TIFF_TILE)
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _has_several_scans(image: JpegImageFile, data: bytes) -> bool:
    """Return whether a JPEG has several scans, whose coefficients libjpeg holds until the last of them."""
    if "progressive" in image.info:
        return True
    # Pillow has read up to the end of the first scan's header, which contains the scan's number of components.
    header_size = 8 + 2 * image.layers
    begin = (image.fp.tell() if image.fp else 0) - header_size
    return begin < 0 or data[begin : begin + 2] != b"\xff\xda" or data[begin + 4] != image.layers


def _coefficient_bytes(image: JpegImageFile) -> float:
    """Return libjpeg's memory for the coefficients of all scans, in bytes per pixel."""
    factors = [(across, down) for _, across, down, _ in image.layer] or [(1, 1)] * 4  # sampling factors
    largest = max(1, *(across for across, _ in factors)) * max(1, *(down for _, down in factors))
    return 2 * sum(across * down for across, down in factors) / largest


def _decoded(image: Image.Image, orientation: int) -> Image.Image:
    try:
        image.seek(0)
        # Decodes a large JPEG at a half, a quarter or an eighth of its size.
        image.draft("RGB", (MAX_SIDE, MAX_SIDE))
        image.load()
    # Pillow's decoders raise many types of errors for damaged data.
    except Exception as error:
        image.close()
        raise PhotoError(
            "photo_damaged", "This picture is damaged or cut off; please save or send it again, or choose another."
        ) from error
    if image.format == "AVIF":
        # Pillow reports AVIF's rotation property as EXIF.
        orientation = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    transposition = TRANSPOSITIONS.get(orientation)
    rgb = _rgb(image)
    # Frees the decoded pixels now; reference cycles of Pillow's plugins would keep them until a garbage collection.
    image.close()
    return rgb if transposition is None else rgb.transpose(transposition)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB of at most `MAX_SIDE` pixels a side, tile by tile where a converted copy would be large."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bit_grey(image)
    elif image.mode not in ("L", "RGB", "CMYK") or image.has_transparency_data:
        image = _reduced_rgb(image)
    # Before the conversion, which then has fewer pixels.
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
    return image.convert("RGB")


def _reduced_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB on white, reduced by an integer factor to at most `MAX_SIDE`."""
    factor = _reduction_factor(image)
    out = Image.new("RGB", _reduced_size(image, factor))
    for left, top, tile in _tiles(image, factor):
        out.paste(_on_white(tile).reduce(factor), (left // factor, top // factor))
    return out


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    """Convert to 8-bit grey, reduced like `_reduced_rgb`; Pillow cannot shrink these modes."""
    factor = _reduction_factor(image)
    width, height = _reduced_size(image, factor)
    samples = np.empty((height, width), np.float32)
    transparent = image.info.get("transparency") if image.format == "PNG" else None
    for left, top, tile in _tiles(image, factor):
        tile_samples = np.asarray(tile)
        if isinstance(transparent, int):
            tile_samples = np.where(tile_samples == transparent, 65535, tile_samples)
        means = _block_means(tile_samples, factor)
        row, column = top // factor, left // factor
        samples[row : row + means.shape[0], column : column + means.shape[1]] = means
    low, high = float(samples.min()), float(samples.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, float(2 ** _bits(image) - 1)
    elif low >= 0 and high <= 1 and image.mode == "F":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    # Other ranges are unknown, so the darkest sample becomes black and the brightest white.
    samples -= low
    samples *= 255 / ((high - low) or 1.0)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(TIFF_MEANING) == WHITE_IS_ZERO:
        samples = 255 - samples  # Pillow does so for samples of 8 bits only
    return Image.fromarray(np.round(samples, out=samples).astype(np.uint8))


def _bits(image: Image.Image) -> int:
    """Return the bits of a sample that is stored in 16; a TIFF may use fewer."""
    bits = image.tag_v2.get(TIFF_BITS, 16) if isinstance(image, TiffImageFile) else 16
    first = bits[0] if isinstance(bits, tuple) and bits else bits
    return first if isinstance(first, int) and 8 < first <= 16 else 16


def _block_means(samples: np.ndarray, factor: int) -> np.ndarray:
    """Return means over blocks of factor x factor samples; edge blocks are smaller, non-finite values count as 0."""
    # Clipped so that differences do not overflow float32.
    with np.errstate(invalid="ignore"):  # signalling NaNs
        means = np.nan_to_num(samples.astype(np.float64), nan=0, posinf=0, neginf=0).clip(-1e30, 1e30)
    for axis in (0, 1) if factor > 1 else ():
        starts = np.arange(0, means.shape[axis], factor)
        counts = np.diff(starts, append=means.shape[axis])
        means = np.add.reduceat(means, starts, axis=axis) / (counts if axis else counts[:, None])
    return means


def _reduction_factor(image: Image.Image) -> int:
    """Return the side of the blocks whose mean becomes one pixel."""
    return -(-max(image.size) // MAX_SIDE)


def _reduced_size(image: Image.Image, factor: int) -> tuple[int, int]:
    return -(-image.width // factor), -(-image.height // factor)


def _tiles(image: Image.Image, factor: int) -> Iterator[tuple[int, int, Image.Image]]:
    """Yield the left, the top and the content of each tile; tiles consist of whole blocks."""
    step = factor * max(1, TILE // factor)
    for top in range(0, image.height, step):
        for left in range(0, image.width, step):
            box = (left, top, min(left + step, image.width), min(top + step, image.height))
            yield left, top, image.crop(box)
