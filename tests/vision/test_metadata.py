"""Removal of metadata before decoding: pixels and orientation are kept, and hardly anything else."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

from inception.errors import UserError
from inception.vision.metadata import MAX_PARTS, TIFF_KEPT, strip_metadata
from inception.vision.photo import open_photo
from support.corpus.files import chunk, encoded, jpeg, png, scene, transparent_red, with_chunk
from support.corpus.metadata import MEGABYTE, commented_gif, exif, grey_with, noise, segment, with_segments

EXIF = exif(4000)
METADATA: dict[str, object] = {"icc_profile": noise(300_000), "exif": EXIF, "xmp": b"<x:xmpmeta/>" * 1000}
SEVERAL_FRAMES = {"save_all": True}
VARIANTS: dict[str, tuple[str, str, dict[str, object]]] = {
    "png": ("PNG", "RGB", {"dpi": (72, 72), **METADATA}),
    "png-grey": ("PNG", "L", METADATA),
    "png-animated": ("PNG", "RGB", {**SEVERAL_FRAMES, **METADATA}),
    "png-animated-apart": ("PNG", "RGB", {**SEVERAL_FRAMES, "default_image": True, **METADATA}),
    "jpeg": ("JPEG", "RGB", {"comment": b"a remark", "dpi": (72, 72), **METADATA}),
    "jpeg-progressive": ("JPEG", "RGB", {"progressive": True, **METADATA}),
    "jpeg-cmyk": ("JPEG", "CMYK", METADATA),
    "jpeg-rgb": ("JPEG", "RGB", {"keep_rgb": True, **METADATA}),
    "jpeg-several": ("MPO", "RGB", {**SEVERAL_FRAMES, "exif": EXIF}),
    "webp": ("WEBP", "RGB", METADATA),
    "webp-lossless": ("WEBP", "RGB", {"lossless": True, **METADATA}),
    "webp-animated": ("WEBP", "RGB", {**SEVERAL_FRAMES, **METADATA}),
    "gif": ("GIF", "P", {"comment": b"a remark" * 1000}),
    "gif-animated": ("GIF", "P", {**SEVERAL_FRAMES, "comment": b"a remark", "loop": 0, "duration": 100, "disposal": 2}),
    "tiff": ("TIFF", "RGB", {"description": "a remark", "software": "a program", **METADATA}),
    "tiff-deflate": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate", **METADATA}),
    "tiff-lzw": ("TIFF", "RGB", {"compression": "tiff_lzw", **METADATA}),
    "tiff-packbits": ("TIFF", "L", {"compression": "packbits", **METADATA}),
    "tiff-jpeg": ("TIFF", "RGB", {"compression": "jpeg", **METADATA}),
    "tiff-fax": ("TIFF", "1", {"compression": "group4", **METADATA}),
    "tiff-palette": ("TIFF", "P", METADATA),
    "tiff-cmyk": ("TIFF", "CMYK", METADATA),
    "tiff-big": ("TIFF", "RGB", {"big_tiff": True, **METADATA}),
    "tiff-pages": ("TIFF", "RGB", {**SEVERAL_FRAMES, "icc_profile": METADATA["icc_profile"]}),
    "avif": ("AVIF", "RGB", METADATA),
    "bmp": ("BMP", "RGB", {}),
}


def make_file(variant: str, *, bare: bool = False) -> bytes:
    """Return the file, with its metadata or without."""
    kind, mode, options = VARIANTS[variant]
    if bare:
        options = {name: value for name, value in options.items() if name not in (*METADATA, "comment")}
    # Pillow stores encoder options in the image objects, so each file needs its own.
    frames = {"append_images": [Image.new(mode, (80, 60)) for _ in range(2)]} if "save_all" in options else {}
    return encoded(scene(mode), kind, **options, **frames)


def pillow_pixels(data: bytes) -> np.ndarray:
    """Return the pixels of the unmodified file as Pillow decodes it, upright."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_removing_metadata_keeps_pixels_and_orientation(variant: str) -> None:
    data = make_file(variant)
    assert np.array_equal(np.asarray(open_photo(data)), pillow_pixels(data))


# In a file of several JPEGs, only the first is processed.
@pytest.mark.parametrize(
    "variant", [variant for variant in VARIANTS if not variant.startswith(("tiff", "avif", "bmp", "jpeg-several"))]
)
def test_hardly_any_metadata_reaches_the_decoder(variant: str) -> None:
    # A WebP with metadata has a second header, of 18 bytes.
    assert len(strip_metadata(make_file(variant)).data) <= len(make_file(variant, bare=True)) + 18


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant.startswith(("tiff", "avif"))])
def test_metadata_that_must_stay_in_place_is_hidden_from_the_decoder(variant: str) -> None:
    image = Image.open(io.BytesIO(strip_metadata(make_file(variant)).data))
    assert not {"icc_profile", "xmp"} & set(image.info)
    # Pillow makes an AVIF's EXIF orientation from the file's own rotation property.
    assert set(image.getexif()) - {0x0112} <= TIFF_KEPT


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_from_every_place_for_exif(order: str, prefix: bytes) -> None:
    header = b"II*\0" if order == "<" else b"MM\0*"
    exif_data = header + struct.pack(order + "LHHHLHHL", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = png()
    for file in (
        with_chunk(data, b"eXIf", prefix + exif_data),
        data[:-12] + chunk(b"eXIf", prefix + exif_data) + data[-12:],  # after the pixels
        with_segments(segment(0xE1, b"Exif\0\0" + exif_data)),
    ):
        assert open_photo(file).size == (60, 80)


@pytest.mark.parametrize(
    "exif_data",
    [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"MM\0+\0\x08\0\0" + b"\xff" * 40],
)
def test_truncated_exif_does_not_turn_the_photo(exif_data: bytes) -> None:
    assert open_photo(with_chunk(png(), b"eXIf", exif_data)).size == (80, 60)
    assert open_photo(with_segments(segment(0xE1, b"Exif\0\0" + exif_data))).size == (80, 60)


def test_a_jpeg_that_ends_within_its_exif_is_rejected() -> None:
    entries = b"MM\0*\0\0\0\x08" + b"\0\xaf" + bytes(12)
    segment_without_end = b"\xff\xe1\x3d\x22" + b"Exif\0\0" + entries
    for length in range(len(segment_without_end)):
        with pytest.raises(UserError):
            open_photo(b"\xff\xd8" + segment_without_end[: length + 1])


EXIF_SEGMENT = segment(0xE1, b"Exif\0\0" + exif(200))


def odd_webp() -> bytes:
    """Return a WebP whose last chunk has an odd length, without the padding byte."""
    data = encoded(scene(), "WEBP", exif=exif(201))
    assert data.endswith(b"\0")
    return data[:-1]


def tiff_with_header(mark: bytes) -> bytes:
    """Return a TIFF with a colour profile whose file begins with `mark`, valid or not."""
    order = ">" if mark.startswith(b"M") else "<"
    tags = ((256, 4, 1, 10), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 1000))
    tags += ((278, 4, 1, 8), (279, 4, 1, 80), (34675, 7, 500, 1100))
    header = mark + struct.pack(order + "L", 8) + struct.pack(order + "H", len(tags))
    for tag, kind, count, value in tags:
        is_long = kind == 4 or count > 1
        header += struct.pack(order + ("HHLL" if is_long else "HHLHxx"), tag, kind, count, value)
    return header.ljust(1000, b"\0") + bytes(80 + 20 + 500)


SMUGGLED = {
    "jpeg-after-its-end": with_segments(b"\xff\xd9", EXIF_SEGMENT),
    "jpeg-within-an-unknown-segment": with_segments(segment(0xF0, EXIF_SEGMENT)),
    "jpeg-within-an-extension": with_segments(segment(0xC8, EXIF_SEGMENT)),
    "jpeg-after-a-segment-of-no-length": with_segments(b"\xff\xfe\0\0", EXIF_SEGMENT),
    "jpeg-within-a-segment-that-is-cut-off": jpeg()[:2] + segment(0xF0, EXIF_SEGMENT * 10)[:-50],
    "png-after-an-odd-chunk": with_chunk(with_chunk(png(), b"eXIf", exif(200)), b"a_1c", b""),
    "png-after-what-is-no-chunk": with_chunk(with_chunk(png(), b"eXIf", exif(200)), b"\0\xff\0\xff", b""),
    "webp-without-its-last-byte": odd_webp(),
    "webp-that-says-it-is-short": b"RIFF\x40\0\0\0" + encoded(scene(), "WEBP", exif=exif(200))[8:],
    **{f"tiff-{mark!r}": tiff_with_header(mark) for mark in (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"MM\0+")},
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_smuggled_metadata_does_not_reach_the_decoder(name: str) -> None:
    """Files on whose structure our parser and the decoder could disagree."""
    metadata_keys = {"exif", "mp", "icc_profile"}
    assert metadata_keys & pillow_info_keys(SMUGGLED[name]) or name not in OPENED_BY_PILLOW, (
        "the original file has metadata"
    )
    try:
        stripped = strip_metadata(SMUGGLED[name]).data
    except ValueError:
        return
    assert not metadata_keys & pillow_info_keys(stripped)


def pillow_info_keys(data: bytes) -> set[str]:
    """Return the keys of `Image.info` once the file is opened, even if its pixels cannot be decoded."""
    try:
        image = Image.open(io.BytesIO(data))
    except (OSError, SyntaxError, ValueError):
        return set()
    return set(image.info)


# Pillow cannot open the others.
OPENED_BY_PILLOW = [
    *("jpeg-after-its-end", "jpeg-within-an-unknown-segment", "jpeg-within-an-extension"),
    *("jpeg-after-a-segment-of-no-length", "png-after-an-odd-chunk"),
    *(f"tiff-{mark!r}" for mark in (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0")),
]


@pytest.mark.parametrize("size", [b"", bytes(7) + b"\x40"])
@pytest.mark.parametrize("item", [b"\x02\0\0\0\0\x01\0\0", b"\x03\0\0\0\0\0\0\x01\0\0"])
def test_avif_items_are_renamed_in_every_form_of_their_box(item: bytes, size: bytes) -> None:
    head = b"\0\0\0\x1cftypavif\0\0\0\0"
    data = head + b"\0\0\0\x01infe" + size + item + b"Exif\0" + b"\0\0\0\x01colr" + size + b"prof" + bytes(9)
    stripped = strip_metadata(data).data
    assert len(stripped) == len(data)
    assert b"Exif" not in stripped
    assert b"prof" not in stripped


def test_transparency_and_palette_are_kept() -> None:
    data = with_chunk(transparent_red(), b"tEXt", b"Title\0a remark")
    assert open_photo(data).getpixel((2, 2)) == (255, 255, 255)
    assert open_photo(data).getpixel((2, 58))[1] > 250


def test_a_long_gif_comment_is_removed() -> None:
    """Pillow would take quadratic time, because it copies the whole comment for each 255 bytes."""
    assert len(strip_metadata(commented_gif(20 * MEGABYTE)).data) == len(commented_gif(0)) - len(b"!\xfe\0")


@pytest.mark.parametrize(
    "data",
    [
        png()[:33] + with_chunk(png(), b"tEXt", b"")[33:45] * (MAX_PARTS + 1) + png()[33:],
        with_segments(segment(0xFE, b"") * (MAX_PARTS + 1)),
        b"RIFF\xff\xff\xff\x00WEBP" + b"XMP \0\0\0\0" * (MAX_PARTS + 1),
        encoded(scene().quantize(4), "GIF")[:25] + b"!\xfe\0" * (MAX_PARTS + 1),
        grey_with((320, 3, 10**9, 1080), data=b""),
    ],
    ids=["png", "jpeg", "webp", "gif", "tiff"],
)
def test_files_with_too_many_parts_are_rejected(data: bytes) -> None:
    with pytest.raises(ValueError, match="too many"):
        strip_metadata(data)


def test_a_file_without_metadata_is_not_copied() -> None:
    data = png()
    assert strip_metadata(data).data is data
    plain = with_segments()
    assert strip_metadata(plain).data is plain


@pytest.mark.parametrize("padding", [b"\xff", b"\xff" * 1000, b"\0", b"junk", b"\xff\0", b"\xff\xd0"])
def test_a_jpeg_with_padding_is_shown(padding: bytes) -> None:
    data = jpeg()
    first = 4 + int.from_bytes(data[4:6], "big")
    padded = data[:first] + padding + segment(0xE1, b"Exif\0\0" + EXIF) + data[first:]
    assert open_photo(padded).size == (60, 80)


def test_pillows_global_limits_are_unchanged() -> None:
    """An application that mounts the page relies on these limits for its own files."""
    large = with_chunk(png(), b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2 * MEGABYTE)))
    assert open_photo(large).size == (80, 60)
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(large))
    assert PngImagePlugin.MAX_TEXT_CHUNK == ImageFile.SAFEBLOCK
