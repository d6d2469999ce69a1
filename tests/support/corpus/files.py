"""Picture files assembled from bytes, as no ordinary program writes them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, PngImagePlugin

Colour = tuple[int, int, int]
RED, BLUE, LIME, GREY, WHITE, BLACK = (
    (255, 0, 0),
    (0, 0, 255),
    (0, 255, 0),
    (128, 128, 128),
    (255, 255, 255),
    (0, 0, 0),
)
QUARTERS = (RED, BLUE, LIME, GREY)  # top left, top right, bottom left, bottom right
SIZE = (80, 60)
SCRIPT = "<script>document.title='was run'</script>"


# ---------------------------------------------------------------- pixels and files


def scene(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture with one of `QUARTERS` in each quarter."""
    image = Image.new("RGB", size, GREY)
    draw, (width, height) = ImageDraw.Draw(image), size
    for colour, box in (
        (RED, (0, 0, width // 2 - 1, height // 2 - 1)),
        (BLUE, (width // 2, 0, width, height // 2 - 1)),
        (LIME, (0, height // 2, width // 2 - 1, height)),
    ):
        draw.rectangle(box, colour)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def greys(*levels: int) -> tuple[Colour, ...]:
    return tuple((level,) * 3 for level in levels)


def uniform(colour: Colour) -> tuple[Colour, ...]:
    return (colour,) * 4


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    return encoded(image or scene(), "JPEG", **{"quality": 95, "subsampling": 0, **options})


def png(image: Image.Image | None = None, **options: object) -> bytes:
    return encoded(image or scene(), "PNG", **options)


def samples(dtype: type, *levels: float) -> Image.Image:
    """Return a picture with a level in each quarter, in this data type."""
    half = np.repeat(np.array(levels, dtype).reshape(2, 2), SIZE[1] // 2, axis=0)
    return Image.fromarray(np.repeat(half, SIZE[0] // 2, axis=1))


def noise(side: int, channels: int = 3) -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (side, side, channels), np.uint8))


def oriented(value: object, kind: int = 3) -> bytes:
    """Return EXIF with only an orientation; the valid data type, `kind` 3, is a short."""
    data = struct.pack(">H", value).ljust(4, b"\0") if kind == 3 else struct.pack(">I", value)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHI", 1, 0x0112, kind, 1) + data + b"\0\0\0\0"


# ---------------------------------------------------------------- parts of files


def jpeg_parts(data: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of each marker segment of a JPEG, and of the data of the scan."""
    names = {0xE0: "APP0", 0xE1: "APP1", 0xDB: "DQT", 0xC0: "SOF0", 0xC2: "SOF2", 0xC4: "DHT", 0xDA: "SOS", 0xFE: "COM"}
    at = 2
    while at < len(data) - 2:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        yield names.get(marker, f"{marker:02X}"), at, at + 2 + length
        at += 2 + length
        if marker == 0xDA:
            begin = at
            while data[at] != 0xFF or data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
                at += 1
            yield "scan", begin, at


def png_parts(data: bytes) -> Iterator[tuple[str, int, int]]:
    at = 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8].decode(), at, end
        at = end


def riff_parts(data: bytes) -> Iterator[tuple[str, int, int]]:
    at = 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4].decode().strip(), at, at + 8 + length + length % 2
        at += 8 + length + length % 2


def cut_within(data: bytes, parts: Callable[[bytes], Iterator[tuple[str, int, int]]], name: str) -> bytes:
    """Return the data up to the middle of the last part with this name."""
    begin, end = [(begin, end) for part, begin, end in parts(data) if part == name][-1]
    return data[: (begin + end) // 2]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, body: bytes, *before: bytes, bits: int = 8, colour: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(before) + body + chunk(b"IEND", b"")


def pixels(*rows: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9))


@cache
def zeros(count: int) -> bytes:
    """Return this many zeros compressed by zlib, without holding them in memory."""
    compressor, block = zlib.compressobj(9), bytes(2**20)
    return b"".join(compressor.compress(block) for _ in range(count // len(block))) + compressor.flush()


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """Insert a chunk after the header of a PNG."""
    return data[:33] + chunk(kind, body) + data[33:]


def tiff(*entries: tuple[int, int, int, int], data: bytes = b"", next_ifd: int = 0) -> bytes:
    """Return a little-endian TIFF with one directory of (tag, type, count, value), and data at offset 1000."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return (b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", next_ifd)).ljust(1000, b"\0") + data


def grey_tiff(width: int, height: int, *more: tuple[int, int, int, int], compression: int = 1) -> tuple:
    return ((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1), *more)


# ---------------------------------------------------------------- single files


def entity_bomb() -> bytes:
    lines = [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)]
    return f'<!DOCTYPE svg [<!ENTITY e0 "ha">{"".join(lines)}]><svg>&e9;</svg>'.encode()


@cache
def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        # A fixed date, so that the file is the same in each run.
        entry = zipfile.ZipInfo("photo.jpg", (2014, 9, 17, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w", force_zip64=True) as file:
            for _ in range(1024):
                file.write(bytes(2**20))
    return out.getvalue()


def pdf() -> bytes:
    return b"%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


def huge_gif() -> bytes:
    """Return a GIF with a canvas of 4295 megapixels and a single pixel."""
    head = b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6)
    return head + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


def huge_webp() -> bytes:
    data = bytearray(encoded(scene("RGBA"), "WEBP", lossless=True, exif=oriented(1)))
    at = data.index(b"VP8X")
    data[at + 12 : at + 18] = (16_382).to_bytes(3, "little") * 2
    return bytes(data)


def resized_jpeg(width: int, height: int) -> bytes:
    """Return a small JPEG whose header states this size."""
    data = bytearray(jpeg())
    begin = next(begin for name, begin, _ in jpeg_parts(bytes(data)) if name == "SOF0")
    data[begin + 5 : begin + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def comment_segment() -> bytes:
    return b"\xff\xfe\0\x0aa remark"


def tile_bomb(height: int) -> bytes:
    tile = ((322, 4, 1, 60_000), (323, 4, 1, height), (324, 4, 1, 1000), (325, 4, 1, 4096))
    return tiff(*grey_tiff(10, 8, *tile, compression=8), data=zeros(2**20).ljust(4096, b"\0"))


def count_bomb() -> bytes:
    return tiff(*grey_tiff(10, 8), (273, 4, 2**32 - 1, 1000), (279, 4, 2**32 - 1, 1000), data=bytes(80))


def ifd_loop() -> bytes:
    strips = ((273, 4, 1, 1000), (278, 4, 1, 8), (279, 4, 1, 80))
    return tiff(*grey_tiff(10, 8, *strips), data=bytes([128]) * 80, next_ifd=8)


def transparent_red() -> bytes:
    image = scene().quantize(4)
    return png(image, transparency=image.getpixel((2, 2)))


def transparent() -> Image.Image:
    image = scene("RGBA")
    image.putalpha(0)
    return image


def rgb16() -> bytes:
    colours = [struct.pack(">HHH", *(257 * part for part in colour)) for colour in QUARTERS]
    return raw_png(2, 2, pixels(colours[0] + colours[1], colours[2] + colours[3]), bits=16, colour=2)


def exif_size() -> bytes:
    exif = Image.Exif()
    exif[0x0100] = exif[0x0101] = exif[0xA002] = exif[0xA003] = 60_000
    return jpeg(exif=exif)


def script_png() -> bytes:
    words = PngImagePlugin.PngInfo()
    words.add_text("Title", SCRIPT)
    return png(pnginfo=words)


def wrong_checksum() -> bytes:
    data = bytearray(png())
    data[29] ^= 1
    return bytes(data)
