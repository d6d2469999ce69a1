"""Properties of opening photos: what Pillow writes opens as RGB, upright and in its size, or is rejected."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from inception.errors import PhotoError, UserError
from inception.vision.photo import FORMATS, MAX_SIDE, open_photo

SETTINGS = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True)
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16B", "F")
UNSUPPORTED = ("PPM", "TGA", "ICO", "SGI", "PCX", "JPEG2000", "IM", "DDS")
# Formats and modes without loss, apart from rounding in the conversion to RGB.
EXACT = {("PNG", mode) for mode in ("1", "L", "RGB")} | {("BMP", mode) for mode in ("1", "L", "RGB")}
EXACT |= {("TIFF", mode) for mode in ("1", "L", "RGB")} | {("GIF", "L"), ("GIF", "1")}
# The upright picture, from the stored array, for each EXIF orientation.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}

sides = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 511, 512, 513]))
seeds = st.integers(0, 2**16)


def picture(mode: str, width: int, height: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels)
    if mode in ("I;16", "I;16B"):
        return Image.frombytes(mode, (width, height), pixels[..., :2].tobytes())
    if mode == "PA":
        return image.convert("P").convert("PA")
    if mode == "LAB":
        return Image.frombytes("LAB", (width, height), pixels.tobytes())
    if mode in ("I", "F"):
        return image.convert("L").convert(mode)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the encoded file; discard the example if Pillow cannot write this mode in this format."""
    out = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # writing 32-bit PNGs is deprecated, reading them is not
            image.save(out, kind, **options)
    except (OSError, ValueError, KeyError, SystemError, struct.error):
        assume(False)
    return out.getvalue()


def open_or_error(data: bytes) -> tuple[Image.Image | None, UserError | None]:
    """Return the photo or the `UserError`; other errors propagate."""
    try:
        return open_photo(data), None
    except UserError as error:
        return None, error


def assert_shown_or_rejected(data: bytes) -> None:
    """Check that the photo is RGB and within the size limit, or that the error is one line without a path."""
    photo, error = open_or_error(data)
    if photo is not None:
        assert photo.mode == "RGB"
        assert 0 < min(photo.size) <= max(photo.size) <= MAX_SIDE
    else:
        assert isinstance(error, PhotoError)
        assert not {"/", "\n"} & set(str(error))


def pillow_reads(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True


@settings(SETTINGS, max_examples=200)
@given(st.sampled_from(FORMATS), st.sampled_from(MODES), sides, sides, seeds)
def test_pictures_that_pillow_writes_and_reads_open(kind: str, mode: str, width: int, height: int, seed: int) -> None:
    image = picture(mode, width, height, seed)
    data = encoded(image, kind)
    photo, error = open_or_error(data)
    # Pillow writes a TIFF in YCbCr that it cannot read.
    assert (error is None) == pillow_reads(data), error
    if photo is None:
        return
    assert photo.mode == "RGB"
    assert photo.size == (width, height)
    if (kind, mode) in EXACT:
        assert np.array_equal(np.asarray(photo), np.asarray(image.convert("RGB")))


@SETTINGS
@given(st.sampled_from(("PNG", "JPEG", "WEBP", "TIFF", "AVIF")), st.integers(1, 8), sides, sides, seeds)
def test_every_orientation_is_turned_upright(kind: str, orientation: int, width: int, height: int, seed: int) -> None:
    # Large patches survive lossy compression.
    patches = np.random.default_rng(seed).integers(0, 2, (2, 3, 3), np.uint8) * 255
    stored = np.kron(patches, np.ones((8 * (1 + height % 5), 8 * (1 + width % 5), 1), np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    photo = np.asarray(open_photo(encoded(Image.fromarray(stored), kind, exif=exif, **options)))
    expected = UPRIGHT[orientation](stored)
    assert photo.shape == expected.shape
    assert np.abs(photo.astype(int) - expected).mean() < 8


@SETTINGS
@given(st.sampled_from(("PNG", "WEBP", "TIFF")), sides, sides, seeds)
def test_transparency_is_composited_on_white(kind: str, width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    photo = np.asarray(open_photo(encoded(Image.fromarray(pixels), kind, **options))).astype(float)
    alpha = pixels[..., 3:].astype(float) / 255
    assert np.abs(photo - (pixels[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1.5


@settings(SETTINGS, max_examples=25)
@given(
    st.sampled_from(("L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "1")),
    st.integers(MAX_SIDE - 1, 3 * MAX_SIDE + 3),
    st.integers(1, 70),
    st.booleans(),
)
def test_large_pictures_keep_their_aspect_ratio_and_their_halves(
    mode: str, long: int, short: int, upright: bool
) -> None:
    width, height = (short, long) if upright else (long, short)
    halves = np.zeros((height, width), np.uint8)
    (halves[height // 2 :] if upright else halves[:, width // 2 :]).fill(255)
    samples = {"I;16": halves.astype(np.uint16) * 257, "F": halves.astype(np.float32) / 255}.get(mode)
    image = Image.fromarray(halves).convert(mode) if samples is None else Image.fromarray(samples)
    photo = open_photo(encoded(image, "TIFF" if mode in ("F", "CMYK") else "PNG"))
    assert max(photo.size) <= MAX_SIDE
    assert max(photo.size) > MAX_SIDE // 2
    assert abs(min(photo.size) - short * max(photo.size) / long) <= 1
    row = np.asarray(photo)[:, 0, 0] if upright else np.asarray(photo)[0, :, 0]
    quarter = len(row) // 4
    assert row[: quarter or 1].max() <= 1
    assert row[-quarter or -1 :].min() >= 254


@SETTINGS
@given(st.sampled_from(UNSUPPORTED), st.sampled_from(("L", "RGB", "RGBA")), sides, sides, seeds)
def test_unsupported_formats_are_rejected(kind: str, mode: str, width: int, height: int, seed: int) -> None:
    data = encoded(picture(mode, width, height, seed), kind)
    photo, error = open_or_error(data)
    assert photo is None
    assert error is not None
    assert error.kind == "photo_unknown"


@settings(SETTINGS, max_examples=150)
@given(st.sampled_from(FORMATS), seeds, st.floats(0, 1), st.binary(max_size=8), st.booleans())
def test_a_damaged_file_is_shown_or_rejected(kind: str, seed: int, share: float, noise: bytes, is_cut: bool) -> None:
    data = encoded(picture("RGB", 40, 30, seed), kind)
    offset = int(share * len(data))
    broken = data[:offset] + noise + (b"" if is_cut else data[offset + len(noise) :])
    assert_shown_or_rejected(broken)


@SETTINGS
@given(st.binary(max_size=300))
def test_any_bytes_are_shown_or_rejected(data: bytes) -> None:
    assert_shown_or_rejected(data)
