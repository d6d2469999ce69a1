"""Any picture that Pillow can write comes through as RGB, of the right size, the right way round, or is refused."""

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

QUIET = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True)
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16B", "F")
OTHERS = ("PPM", "TGA", "ICO", "SGI", "PCX", "JPEG2000", "IM", "DDS")
# Of these a pixel comes back as it was written, but for what turning it into RGB may round.
EXACT = {("PNG", mode) for mode in ("1", "L", "RGB")} | {("BMP", mode) for mode in ("1", "L", "RGB")}
EXACT |= {("TIFF", mode) for mode in ("1", "L", "RGB")} | {("GIF", "L"), ("GIF", "1")}
# What each EXIF orientation says of where the stored picture's first row and column are, as a map of arrays.
TURNED = {
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


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file, or nothing where Pillow cannot write this mode so."""
    out = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 32-bit PNGs will not be written for ever; they will be read
            image.save(out, kind, **options)
    except (OSError, ValueError, KeyError, SystemError, struct.error):
        assume(False)
    return out.getvalue()


def shown_or_refused(data: bytes) -> tuple[Image.Image | None, UserError | None]:
    """Any other error comes out."""
    try:
        return open_photo(data), None
    except UserError as error:
        return None, error


def assert_fit_to_be_seen(data: bytes) -> None:
    """An RGB picture of a size that we work with, or a sentence without a path."""
    photo, refused = shown_or_refused(data)
    if photo is not None:
        assert photo.mode == "RGB"
        assert 0 < min(photo.size) <= max(photo.size) <= MAX_SIDE
    else:
        assert isinstance(refused, PhotoError)
        assert not {"/", "\n"} & set(str(refused))


def pillow_reads(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True


@settings(QUIET, max_examples=200)
@given(st.sampled_from(FORMATS), st.sampled_from(MODES), sides, sides, seeds)
def test_whatever_pillow_writes_comes_through(kind: str, mode: str, width: int, height: int, seed: int) -> None:
    image = picture(mode, width, height, seed)
    data = written(image, kind)
    photo, refused = shown_or_refused(data)
    # Pillow writes a TIFF in YCbCr that it cannot read.
    assert (refused is None) == pillow_reads(data), refused
    if photo is None:
        return
    assert photo.mode == "RGB"
    assert photo.size == (width, height)
    if (kind, mode) in EXACT:
        assert np.array_equal(np.asarray(photo), np.asarray(image.convert("RGB")))


@QUIET
@given(st.sampled_from(("PNG", "JPEG", "WEBP", "TIFF", "AVIF")), st.integers(1, 8), sides, sides, seeds)
def test_every_orientation_is_turned_upright(kind: str, orientation: int, width: int, height: int, seed: int) -> None:
    # Large patches, which lossy kinds keep.
    small = np.random.default_rng(seed).integers(0, 2, (2, 3, 3), np.uint8) * 255
    stored = np.kron(small, np.ones((8 * (1 + height % 5), 8 * (1 + width % 5), 1), np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    photo = np.asarray(open_photo(written(Image.fromarray(stored), kind, exif=exif, **options)))
    wanted = TURNED[orientation](stored)
    assert photo.shape == wanted.shape
    assert np.abs(photo.astype(int) - wanted).mean() < 8


@QUIET
@given(st.sampled_from(("PNG", "WEBP", "TIFF")), sides, sides, seeds)
def test_transparency_lies_on_white(kind: str, width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    photo = np.asarray(open_photo(written(Image.fromarray(pixels), kind, **options))).astype(float)
    alpha = pixels[..., 3:].astype(float) / 255
    assert np.abs(photo - (pixels[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1.5


@settings(QUIET, max_examples=25)
@given(
    st.sampled_from(("L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "1")),
    st.integers(MAX_SIDE - 1, 3 * MAX_SIDE + 3),
    st.integers(1, 70),
    st.booleans(),
)
def test_large_pictures_keep_their_shape_and_their_halves(mode: str, long: int, short: int, upright: bool) -> None:
    width, height = (short, long) if upright else (long, short)
    dark = np.zeros((height, width), np.uint8)
    (dark[height // 2 :] if upright else dark[:, width // 2 :]).fill(255)
    samples = {"I;16": dark.astype(np.uint16) * 257, "F": dark.astype(np.float32) / 255}.get(mode)
    image = Image.fromarray(dark).convert(mode) if samples is None else Image.fromarray(samples)
    photo = open_photo(written(image, "TIFF" if mode in ("F", "CMYK") else "PNG"))
    assert max(photo.size) <= MAX_SIDE
    assert max(photo.size) > MAX_SIDE // 2
    assert abs(min(photo.size) - short * max(photo.size) / long) <= 1
    row = np.asarray(photo)[:, 0, 0] if upright else np.asarray(photo)[0, :, 0]
    quarter = len(row) // 4
    assert row[: quarter or 1].max() <= 1
    assert row[-quarter or -1 :].min() >= 254


@QUIET
@given(st.sampled_from(OTHERS), st.sampled_from(("L", "RGB", "RGBA")), sides, sides, seeds)
def test_other_kinds_are_refused(kind: str, mode: str, width: int, height: int, seed: int) -> None:
    data = written(picture(mode, width, height, seed), kind)
    photo, refused = shown_or_refused(data)
    assert photo is None
    assert refused is not None
    assert refused.kind == "photo_unknown"


@settings(QUIET, max_examples=150)
@given(st.sampled_from(FORMATS), seeds, st.floats(0, 1), st.binary(max_size=8), st.booleans())
def test_a_damaged_file_is_shown_or_refused(kind: str, seed: int, where: float, noise: bytes, is_cut: bool) -> None:
    data = written(picture("RGB", 40, 30, seed), kind)
    at = int(where * len(data))
    broken = data[:at] + noise + (b"" if is_cut else data[at + len(noise) :])
    assert_fit_to_be_seen(broken)


@QUIET
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_shown(data: bytes) -> None:
    assert_fit_to_be_seen(data)
