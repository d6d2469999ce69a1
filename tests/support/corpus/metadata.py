"""Valid pictures with large metadata, and metadata that would take a decoder gigabytes or minutes.

Browsers show all pictures that must be shown.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from support.corpus.case import Case
from support.corpus.files import (
    BLUE,
    GREY,
    LIME,
    RED,
    SIZE,
    chunk,
    encoded,
    grey_tiff,
    jpeg,
    png,
    scene,
    tiff,
    uniform,
    with_chunk,
    zeros,
)

MEGABYTE = 2**20
TURNED = (LIME, RED, GREY, BLUE)  # the quarters of `scene`, rotated as orientation 6 requires


def noise(count: int) -> bytes:
    """Return incompressible bytes."""
    return np.random.default_rng(7).bytes(count)


def exif(size: int, *, tags: int = 0, kind: int = 7, orientation: int = 6) -> bytes:
    """Return EXIF of `size` bytes: an orientation, unless 0, and tags that all refer to the same bytes.

    `kind` is the type of those tags; 7 is "undefined", and readers skip tags of unknown types.
    """
    entries = [(0x0112, 3, 1, orientation)] if orientation else []
    entries += [(0x9000 + number, kind, size - 8, 8) for number in range(tags)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0\x08\0\0\0" + directory).ljust(size, b"\0")


def segment(kind: int, body: bytes) -> bytes:
    return bytes((0xFF, kind)) + struct.pack(">H", 2 + len(body)) + body


def with_segments(*segments: bytes) -> bytes:
    """Return a JPEG with these segments before all others."""
    data = jpeg()
    return data[:2] + b"".join(segments) + data[2:]


def many_texts() -> bytes:
    """Return a PNG with a hundred texts of a megabyte, each of which takes four in Python due to its emoji."""
    compressed = zlib.compress("🔎".encode().ljust(MEGABYTE, b"a"), 9)
    texts = (chunk(b"iTXt", b"text %d\0\1\0\0\0" % number + compressed) for number in range(100))
    return png()[:33] + b"".join(texts) + png()[33:]


def text_with_wrong_checksum() -> bytes:
    data = bytearray(with_chunk(png(), b"tEXt", b"Title\0a remark"))
    data[33 + 12 + len(b"Title\0a remark") - 1] ^= 1
    return bytes(data)


def canvas_to_dispose() -> bytes:
    """Return an animated PNG whose only frame asks for the canvas to be cleared after it."""
    side = 6800
    count = chunk(b"acTL", struct.pack(">II", 1, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 1, 1, 0))
    data = png(Image.new("RGBA", (side, side), RED))
    return data[:33] + count + frame + data[33:]


def icc_of_many_segments() -> bytes:
    count = 255
    head = b"ICC_PROFILE\0"
    return with_segments(*(segment(0xE2, head + bytes((i + 1, count)) + bytes(65_000)) for i in range(count)))


def exif_of_many_segments() -> bytes:
    whole = exif(MEGABYTE, tags=1000)
    parts = (whole[at : at + 65_000] for at in range(0, len(whole), 65_000))
    return with_segments(*(segment(0xE1, b"Exif\0\0" + part) for part in parts))


def commented_gif(size: int) -> bytes:
    data = encoded(scene().quantize(4), "GIF")
    at = 13 + (3 << (data[10] & 7) + 1)
    return data[:at] + b"!\xfe" + (b"\xff" + bytes(255)) * (size // 256) + b"\0" + data[at:]


def large_webp() -> bytes:
    image = Image.new("RGB", (3490, 3490), RED)
    return encoded(image, "WEBP", method=0, icc_profile=noise(36 * MEGABYTE), exif=exif(MEGABYTE, orientation=0))


def avif_with_exif() -> bytes:
    """Return an AVIF with an EXIF bomb, inserted after writing, as Pillow itself reads the tags when it writes them."""
    harmless, bomb = (exif(MEGABYTE, tags=1000, kind=kind, orientation=0) for kind in (99, 7))
    return encoded(scene(), "AVIF", quality=95, subsampling="4:4:4", exif=harmless).replace(harmless, bomb)


def strips(count: int) -> bytes:
    """Return a TIFF with a strip for each of its pixels."""
    tags = ((273, 4, count, 1000), (278, 4, 1, 1), (279, 4, count, 1000))
    return tiff(*grey_tiff(1, count, *tags), data=bytes(4 * count))


def grey_with(*tags: tuple[int, int, int, int], data: bytes) -> bytes:
    """Return a TIFF of 80 grey pixels, and tags whose values lie in `data`, which begins at offset 1080."""
    pixels = ((273, 4, 1, 1000), (278, 4, 1, 8), (279, 4, 1, 80))
    return tiff(*grey_tiff(10, 8, *pixels, *tags), data=bytes([128]) * 80 + data)


def metadata() -> Iterator[Case]:
    """Yield the cases with large or malicious metadata."""
    turned, unknown = {"size": SIZE[::-1], "quarters": TURNED}, "photo_unknown"
    grey = {"size": (10, 8), "quarters": uniform(GREY)}
    profile = b"profile\0\0" + zlib.compress(noise(2 * MEGABYTE))
    yield Case("profile.png", "an ICC profile of 2 MB", lambda: with_chunk(png(), b"iCCP", profile))
    text = b"Comment\0\0" + zeros(3 * MEGABYTE)
    yield Case("text.png", "a compressed text of 3 MB", lambda: with_chunk(png(), b"zTXt", text))
    xmp = b"XML:com.adobe.xmp\0\1\0\0\0" + zeros(3 * MEGABYTE)
    yield Case("xmp.png", "compressed XMP of 3 MB", lambda: with_chunk(png(), b"iTXt", xmp))
    yield Case("texts.png", "a hundred texts that unpack to 400 MB", many_texts)
    yield Case("text-crc.png", "a text with a wrong checksum", text_with_wrong_checksum)
    yield Case("exif.png", "EXIF of 2 MB", lambda: with_chunk(png(), b"eXIf", exif(2 * MEGABYTE)), **turned)
    yield Case(
        "bomb-exif.png",
        "a thousand EXIF tags that all claim one megabyte",
        lambda: with_chunk(png(), b"eXIf", exif(MEGABYTE, tags=1000)),
        **turned,
    )
    yield Case(
        "46-megapixel-animated.png",
        "an animation whose canvas would be kept twice",
        canvas_to_dispose,
        size=(1700, 1700),
        quarters=uniform(RED),
    )
    yield Case("profile.jpg", "an ICC profile in 255 segments", icc_of_many_segments)
    yield Case("bomb-exif.jpg", "EXIF in 17 segments that unpacks to a gigabyte", exif_of_many_segments, **turned)
    index = segment(0xE2, b"MPF\0" + exif(65_000, tags=5000, orientation=0))
    yield Case("bomb-index.jpg", "an index of pictures that unpacks to 300 MB", lambda: with_segments(index))
    tables = segment(0xDB, (b"\0" + bytes(range(1, 65))) * 1000)
    yield Case("tables.jpg", "65000 quantisation tables", lambda: with_segments(*[tables] * 65), unknown)
    yield Case(
        "12-megapixel-profile.webp",
        "as many pixels as a WebP may have, and an ICC profile of 36 MB",
        large_webp,
        size=(2048, 2048),
        quarters=uniform((254, 0, 0)),
    )
    yield Case(
        "bomb-exif.webp",
        "a thousand EXIF tags that all claim one megabyte",
        lambda: encoded(scene(), "WEBP", quality=95, exif=exif(MEGABYTE, tags=1000)),
        **turned,
    )
    yield Case("comment.gif", "a comment of 4 MB", lambda: commented_gif(4 * MEGABYTE))
    yield Case("bomb-exif.avif", "a thousand EXIF tags that all claim one megabyte", avif_with_exif)
    claims = [(40_000 + number, 7, MEGABYTE, 1080) for number in range(70)]
    yield Case(
        "bomb-tags.tiff",
        "70 tags that all claim 8 MB",
        lambda: grey_with(*((tag, kind, 8 * count, at) for tag, kind, count, at in claims), data=bytes(8 * MEGABYTE)),
        **grey,
    )
    yield Case(
        "bomb-orientation.tiff",
        "six million orientations",
        lambda: grey_with((274, 3, 6 * MEGABYTE, 1080), data=noise(12 * MEGABYTE)),
        **grey,
    )
    yield Case("bomb-strips.tiff", "1.2 million strips of a pixel", lambda: strips(1_200_000), unknown)
    yield Case(
        "profile.tiff",
        "an ICC profile of 2 MB",
        lambda: encoded(scene(), "TIFF", icc_profile=noise(2 * MEGABYTE)),
    )
