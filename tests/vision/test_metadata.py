"""What a decoder is handed: the same pixels as the whole file, which side is up, and hardly any metadata."""

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
MUCH: dict[str, object] = {"icc_profile": noise(300_000), "exif": EXIF, "xmp": b"<x:xmpmeta/>" * 1000}
LATER = {"save_all": True}
WAYS: dict[str, tuple[str, str, dict[str, object]]] = {
    "png": ("PNG", "RGB", {"dpi": (72, 72), **MUCH}),
    "png-grey": ("PNG", "L", MUCH),
    "png-animated": ("PNG", "RGB", {**LATER, **MUCH}),
    "png-animated-apart": ("PNG", "RGB", {**LATER, "default_image": True, **MUCH}),
    "jpeg": ("JPEG", "RGB", {"comment": b"a remark", "dpi": (72, 72), **MUCH}),
    "jpeg-progressive": ("JPEG", "RGB", {"progressive": True, **MUCH}),
    "jpeg-cmyk": ("JPEG", "CMYK", MUCH),
    "jpeg-rgb": ("JPEG", "RGB", {"keep_rgb": True, **MUCH}),
    "jpeg-several": ("MPO", "RGB", {**LATER, "exif": EXIF}),
    "webp": ("WEBP", "RGB", MUCH),
    "webp-lossless": ("WEBP", "RGB", {"lossless": True, **MUCH}),
    "webp-animated": ("WEBP", "RGB", {**LATER, **MUCH}),
    "gif": ("GIF", "P", {"comment": b"a remark" * 1000}),
    "gif-animated": ("GIF", "P", {**LATER, "comment": b"a remark", "loop": 0, "duration": 100, "disposal": 2}),
    "tiff": ("TIFF", "RGB", {"description": "a remark", "software": "a program", **MUCH}),
    "tiff-deflate": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate", **MUCH}),
    "tiff-lzw": ("TIFF", "RGB", {"compression": "tiff_lzw", **MUCH}),
    "tiff-packbits": ("TIFF", "L", {"compression": "packbits", **MUCH}),
    "tiff-jpeg": ("TIFF", "RGB", {"compression": "jpeg", **MUCH}),
    "tiff-fax": ("TIFF", "1", {"compression": "group4", **MUCH}),
    "tiff-palette": ("TIFF", "P", MUCH),
    "tiff-cmyk": ("TIFF", "CMYK", MUCH),
    "tiff-big": ("TIFF", "RGB", {"big_tiff": True, **MUCH}),
    "tiff-pages": ("TIFF", "RGB", {**LATER, "icc_profile": MUCH["icc_profile"]}),
    "avif": ("AVIF", "RGB", MUCH),
    "bmp": ("BMP", "RGB", {}),
}


def made(way: str, *, bare: bool = False) -> bytes:
    """The file, with its metadata or without."""
    kind, mode, options = WAYS[way]
    if bare:
        options = {name: value for name, value in options.items() if name not in (*MUCH, "comment")}
    # Pillow keeps what it was told in the images themselves, so each file has its own.
    later = {"append_images": [Image.new(mode, (80, 60)) for _ in range(2)]} if "save_all" in options else {}
    return encoded(scene(mode), kind, **options, **later)


def pillow_shows(data: bytes) -> np.ndarray:
    """The whole file as Pillow shows it, upright."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("way", WAYS)
def test_without_metadata_the_same_pixels_are_shown_the_same_way_up(way: str) -> None:
    data = made(way)
    assert np.array_equal(np.asarray(open_photo(data)), pillow_shows(data))


# In a file of several JPEGs, only the first is looked at.
@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith(("tiff", "avif", "bmp", "jpeg-several"))])
def test_a_decoder_is_handed_hardly_any_metadata(way: str) -> None:
    # A WebP with metadata has a second header, of 18 bytes.
    assert len(strip_metadata(made(way)).data) <= len(made(way, bare=True)) + 18


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith(("tiff", "avif"))])
def test_where_metadata_must_stay_in_its_place_no_decoder_finds_it(way: str) -> None:
    image = Image.open(io.BytesIO(strip_metadata(made(way)).data))
    assert not {"icc_profile", "xmp"} & set(image.info)
    # What Pillow calls an AVIF's EXIF is made of the file's own way to say which side is up.
    assert set(image.getexif()) - {0x0112} <= TIFF_KEPT


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_wherever_exif_may_stand(order: str, prefix: bytes) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    note = mark + struct.pack(order + "LHHHLHHL", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = png()
    for file in (
        with_chunk(data, b"eXIf", prefix + note),
        data[:-12] + chunk(b"eXIf", prefix + note) + data[-12:],  # behind the pixels
        with_segments(segment(0xE1, b"Exif\0\0" + note)),
    ):
        assert open_photo(file).size == (60, 80)


@pytest.mark.parametrize(
    "note",
    [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"MM\0+\0\x08\0\0" + b"\xff" * 40],
)
def test_exif_that_is_cut_off_turns_nothing(note: bytes) -> None:
    assert open_photo(with_chunk(png(), b"eXIf", note)).size == (80, 60)
    assert open_photo(with_segments(segment(0xE1, b"Exif\0\0" + note))).size == (80, 60)


def test_a_jpeg_that_ends_within_its_exif_is_refused_in_a_sentence() -> None:
    entries = b"MM\0*\0\0\0\x08" + b"\0\xaf" + bytes(12)
    segment_without_end = b"\xff\xe1\x3d\x22" + b"Exif\0\0" + entries
    for length in range(len(segment_without_end)):
        with pytest.raises(UserError):
            open_photo(b"\xff\xd8" + segment_without_end[: length + 1])


NOTE = segment(0xE1, b"Exif\0\0" + exif(200))


def odd_webp() -> bytes:
    """Its last chunk has an odd length, and not the byte that should follow it."""
    data = encoded(scene(), "WEBP", exif=exif(201))
    assert data.endswith(b"\0")
    return data[:-1]


def turned_header(mark: bytes) -> bytes:
    """A TIFF with a profile that begins as no TIFF should."""
    order = ">" if mark.startswith(b"M") else "<"
    tags = ((256, 4, 1, 10), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 1000))
    tags += ((278, 4, 1, 8), (279, 4, 1, 80), (34675, 7, 500, 1100))
    head = mark + struct.pack(order + "L", 8) + struct.pack(order + "H", len(tags))
    for tag, kind, count, value in tags:
        wide = kind == 4 or count > 1
        head += struct.pack(order + ("HHLL" if wide else "HHLHxx"), tag, kind, count, value)
    return head.ljust(1000, b"\0") + bytes(80 + 20 + 500)


SMUGGLED = {
    "jpeg-after-its-end": with_segments(b"\xff\xd9", NOTE),
    "jpeg-within-an-unknown-segment": with_segments(segment(0xF0, NOTE)),
    "jpeg-within-an-extension": with_segments(segment(0xC8, NOTE)),
    "jpeg-after-a-segment-of-no-length": with_segments(b"\xff\xfe\0\0", NOTE),
    "jpeg-within-a-segment-that-is-cut-off": jpeg()[:2] + segment(0xF0, NOTE * 10)[:-50],
    "png-after-an-odd-chunk": with_chunk(with_chunk(png(), b"eXIf", exif(200)), b"a_1c", b""),
    "png-after-what-is-no-chunk": with_chunk(with_chunk(png(), b"eXIf", exif(200)), b"\0\xff\0\xff", b""),
    "webp-without-its-last-byte": odd_webp(),
    "webp-that-says-it-is-short": b"RIFF\x40\0\0\0" + encoded(scene(), "WEBP", exif=exif(200))[8:],
    **{f"tiff-{mark!r}": turned_header(mark) for mark in (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"MM\0+")},
}


@pytest.mark.parametrize("way", SMUGGLED)
def test_no_file_brings_metadata_to_a_decoder(way: str) -> None:
    """Where the walk over the parts and the decoder's own could part."""
    found = {"exif", "mp", "icc_profile"}
    assert found & seen_by_pillow(SMUGGLED[way]) or way not in OPENED_WITH_IT, "it is there"
    try:
        handed = strip_metadata(SMUGGLED[way]).data
    except ValueError:
        return
    assert not found & seen_by_pillow(handed)


def seen_by_pillow(data: bytes) -> set[str]:
    """What it has read of the file by the time that it is opened, also where the pixels cannot be decoded."""
    try:
        image = Image.open(io.BytesIO(data))
    except (OSError, SyntaxError, ValueError):
        return set()
    return set(image.info)


# The others Pillow does not open at all.
OPENED_WITH_IT = [
    *("jpeg-after-its-end", "jpeg-within-an-unknown-segment", "jpeg-within-an-extension"),
    *("jpeg-after-a-segment-of-no-length", "png-after-an-odd-chunk"),
    *(f"tiff-{mark!r}" for mark in (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0")),
]


@pytest.mark.parametrize("larger", [b"", bytes(7) + b"\x40"])
@pytest.mark.parametrize("number", [b"\x02\0\0\0\0\x01\0\0", b"\x03\0\0\0\0\0\0\x01\0\0"])
def test_items_of_avif_are_renamed_however_their_box_is_written(number: bytes, larger: bytes) -> None:
    head = b"\0\0\0\x1cftypavif\0\0\0\0"
    data = head + b"\0\0\0\x01infe" + larger + number + b"Exif\0" + b"\0\0\0\x01colr" + larger + b"prof" + bytes(9)
    handed = strip_metadata(data).data
    assert len(handed) == len(data)
    assert b"Exif" not in handed
    assert b"prof" not in handed


def test_transparency_and_palette_are_kept() -> None:
    data = with_chunk(transparent_red(), b"tEXt", b"Title\0a remark")
    assert open_photo(data).getpixel((2, 2)) == (255, 255, 255)
    assert open_photo(data).getpixel((2, 58))[1] > 250


def test_a_long_comment_costs_a_gif_no_more_than_its_bytes() -> None:
    """Pillow would put it together by copying all of it again for each 255 bytes."""
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
def test_a_file_of_too_many_parts_is_not_walked_to_its_end(data: bytes) -> None:
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


def test_the_limits_of_pillow_stay_as_a_host_application_has_them() -> None:
    """They are the whole process's: an application that mounts the page relies on them for its own files."""
    large = with_chunk(png(), b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2 * MEGABYTE)))
    assert open_photo(large).size == (80, 60)
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(large))
    assert PngImagePlugin.MAX_TEXT_CHUNK == ImageFile.SAFEBLOCK
