"""Removal of metadata from image files before they are decoded.

Decoders copy and parse metadata (ICC profiles, EXIF, XMP, comments), and some reject valid images because of it. A few
kilobytes can expand to gigabytes: compressed text, or EXIF tags that all refer to the same bytes. Only the orientation
is needed, so everything else is removed by walking the file's segments without decompressing or copying them. As in
browsers, the orientation is taken from EXIF (in TIFF from the tag itself), not from XMP.

Sources: PNG specification (W3C, third edition), section 5; ITU-T T.81, annex B; RFC 9649 (WebP); GIF89a, sections 15
to 26; TIFF 6.0, section 2; ISO/IEC 23008-12 (AVIF's container); CIPA DC-008 (EXIF).
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

UPRIGHT = 1  # EXIF orientation of an upright image
ORIENTATION = 274  # number of the EXIF tag
SHORT = 3  # type of its value
# Pillow's list: the third and fourth are invalid but accepted; the fifth is BigTIFF's.
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0")
# Pillow reads it as TIFF, with the first directory's offset in the wrong place.
BIG_ENDIAN_BIGTIFF = b"MM\0+"

PNG_CHUNK = re.compile(rb"\w{4}")
PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
WEBP_DROPPED = (b"ICCP", b"EXIF", b"XMP ")
# All tags that libtiff and Pillow need to decode the pixels. The orientation is returned instead.
TIFF_KEPT = frozenset(
    {254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 339}
    | {347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532}
)
MAX_VALUES = 200_000  # of one TIFF tag: strips or tiles, for each of which Pillow takes up to 400 bytes
MAX_JPEG_TABLES = 2**20  # bytes of tables before the first scan; normal files have a few kilobytes
MAX_PARTS = 200_000  # chunks, segments or blocks; normal files have a few thousand at most

# An extension, an image or the trailer; anything between blocks is skipped.
GIF_BLOCK = re.compile(rb"[!,;]")
# A JPEG marker that starts a segment: not padding, a restart marker or a stuffed byte.
JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd8]")
# Frame headers, Huffman tables, arithmetic conditioning, quantisation tables, restart intervals.
JPEG_KEPT = frozenset((*range(0xC0, 0xC8), *range(0xC9, 0xD0), 0xDB, 0xDD))
JPEG_END, JPEG_SCAN, JPEG_APP0, JPEG_APP1, JPEG_APP15 = 0xD9, 0xDA, 0xE0, 0xE1, 0xEF
# In AVIF's container an EXIF or XMP item (its type follows its number of two or four bytes), and an ICC profile. They
# are renamed, not removed, because other boxes contain offsets from the start of the file.
AVIF_METADATA = re.compile(
    # A box may have a size of eight more bytes.
    rb"(infe(?:.{8})?(?:\x02.{7}|\x03.{9})|colr(?:.{8})?)(?:Exif|mime|prof|rICC)",
    re.DOTALL,
)


@dataclass(frozen=True)
class StrippedFile:
    """An image file without metadata, which decodes to the same pixels, and its EXIF orientation, 1 to 8."""

    data: bytes
    orientation: int = UPRIGHT


def strip_metadata(data: bytes) -> StrippedFile:
    """Remove the metadata of an image file.

    The incomplete last part of a truncated file is kept, so that the decoder rejects it. No decoder may find metadata
    in the result, so nothing is kept after a point from which decoders may parse the file differently.

    Raises:
        ValueError: if the file has so many parts, tables or values that decoding it could take minutes.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _gif(data)
    if data.startswith(TIFF_MARKS):
        return _tiff(data)
    if data.startswith(BIG_ENDIAN_BIGTIFF):
        raise ValueError("a big-endian BigTIFF, which Pillow misreads as TIFF")
    if data[4:8] == b"ftyp":
        # AVIF has its own rotation property, and readers must ignore EXIF's orientation.
        return StrippedFile(AVIF_METADATA.sub(rb"\1free", data))
    return StrippedFile(data)


class _Parts:
    """The parts of a file to keep. Adjacent parts are copied together; a file that is kept whole is not copied."""

    def __init__(self, data: bytes) -> None:
        self._data, self._out = data, io.BytesIO()
        self._begin = self._end = 0  # the last part, not copied yet

    def keep(self, begin: int, end: int) -> None:
        if begin != self._end:
            self._copy()
            self._begin = begin
        self._end = end

    def joined(self, offset: int = 0, patch: bytes = b"", suffix: bytes = b"") -> bytes:
        """Return all parts with `suffix` appended and the bytes at `offset` overwritten by `patch`."""
        if (self._begin, self._end) == (0, len(self._data)) and not patch and not suffix:
            return self._data
        self._copy()
        self._out.write(suffix)
        self._out.seek(offset)
        self._out.write(patch)
        return self._out.getvalue()

    def _copy(self) -> None:
        self._out.write(memoryview(self._data)[self._begin : self._end])


def _png(data: bytes) -> StrippedFile:
    parts, orientation, at = _Parts(data), UPRIGHT, 8
    parts.keep(0, at)
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at) if at + 12 <= len(data) else (0, b"")
        end = at + 12 + length
        # Pillow stops here too.
        if end > len(data) or not PNG_CHUNK.fullmatch(kind):
            parts.keep(at, len(data))
            break
        if kind in PNG_KEPT:
            parts.keep(at, end)
        elif kind == b"eXIf":
            orientation = _orientation(data, at + 8, end - 4)
        at = end
        if kind == b"IEND":
            break
    else:
        raise ValueError("a PNG of too many chunks")
    return StrippedFile(parts.joined(), orientation)


def _jpeg(data: bytes) -> StrippedFile:
    parts, orientation, tables, at = _Parts(data), UPRIGHT, 0, 2
    parts.keep(0, at)
    for _ in range(MAX_PARTS):
        match = JPEG_MARKER.search(data, at)
        if not match:
            break
        mark, kind, body = match.start(), data[match.end() - 1], match.end() + 2
        if kind == JPEG_SCAN:
            parts.keep(mark, len(data))
            break
        end = match.end() + int.from_bytes(data[match.end() : body], "big")
        has_colour_space = JPEG_APP0 <= kind <= JPEG_APP15 and data.startswith((b"JFIF\0", b"Adobe"), body)
        if kind in JPEG_KEPT or has_colour_space:
            parts.keep(mark, min(end, len(data)))
            tables += end - mark
            if tables > MAX_JPEG_TABLES:
                raise ValueError("a JPEG with too many tables")
        elif kind == JPEG_APP1 and data.startswith(b"Exif\0\0", body) and orientation == UPRIGHT:
            orientation = _orientation(data, body, end)
        # The end, a truncated segment, or a length that is too small.
        if kind == JPEG_END or not body <= end <= len(data):
            break
        at = end
    else:
        raise ValueError("a JPEG of too many segments")
    return StrippedFile(parts.joined(), orientation)


def _webp(data: bytes) -> StrippedFile:
    parts, orientation, dropped, at = _Parts(data), UPRIGHT, 0, 12
    size = int.from_bytes(data[4:8], "little")
    limit = min(8 + size, len(data))  # decoders ignore the rest
    parts.keep(0, at)
    for _ in range(MAX_PARTS):
        kind, length = struct.unpack_from("<4sI", data, at) if at + 8 <= limit else (b"", 0)
        end = at + 8 + length + length % 2
        if not kind or end > limit:
            parts.keep(at, limit)
            break
        if kind not in WEBP_DROPPED:
            parts.keep(at, end)
        else:
            dropped += end - at
            if kind == b"EXIF":
                orientation = _orientation(data, at + 8, end)
        at = end
    else:
        raise ValueError("a WebP of too many chunks")
    return StrippedFile(parts.joined(4, struct.pack("<I", size - dropped)) if dropped else data, orientation)


def _gif(data: bytes) -> StrippedFile:
    """Remove the extensions before the first image except its graphic control, the last one, as decoders do."""
    parts, control = _Parts(data), (0, 0)
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 128 else 0)
    parts.keep(0, at)
    for _ in range(MAX_PARTS):
        match = GIF_BLOCK.search(data, at)
        if not match:
            break
        block = match.start()
        if match[0] != b"!":
            parts.keep(*control)
            parts.keep(block, len(data))
            break
        at = block + 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        if data.startswith(b"\xf9", block + 1) and at <= len(data):
            control = (block, at)
    else:
        raise ValueError("a GIF of too many blocks")
    return StrippedFile(parts.joined())


def _tiff(data: bytes) -> StrippedFile:
    """Write a directory of the first image's necessary tags; libtiff and Pillow read the values of every tag."""
    layout = _layout(data, 0)
    if layout is None:
        return StrippedFile(data)
    kept: dict[int, bytes] = {}
    orientation = UPRIGHT
    for tag, kind, count, value in layout.entries(data, 0, len(data)):
        if tag == ORIENTATION:
            orientation = layout.orientation(kind, count, value)
        elif tag in TIFF_KEPT:
            if count > MAX_VALUES:
                raise ValueError("a TIFF whose tag has too many values")
            kept.setdefault(tag, layout.entry.pack(tag, kind, count, value))
    offset = len(data) + len(data) % 2
    directory = layout.count.pack(len(kept)) + b"".join(kept[tag] for tag in sorted(kept)) + layout.offset.pack(0)
    parts = _Parts(data)
    parts.keep(0, len(data))
    new = parts.joined(layout.begin, layout.offset.pack(offset), bytes(offset - len(data)) + directory)
    return StrippedFile(new, orientation)


@dataclass(frozen=True)
class _Layout:
    """Byte order and number formats of a TIFF or BigTIFF, also within EXIF."""

    order: str  # byte order for `struct`
    begin: int  # position of the first directory's offset
    offset: struct.Struct
    count: struct.Struct  # number of entries in a directory
    entry: struct.Struct  # tag, type, count, and the value or its offset

    def entries(self, data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield tag, type, count and value of the first directory's entries between `begin` and `end`."""
        end = min(end, len(data))  # a segment's length may exceed the file
        at = begin + self.offset.unpack_from(data, begin + self.begin)[0]
        if at + self.count.size > end:
            return
        (count,) = self.count.unpack_from(data, at)
        first = at + self.count.size
        last = min(end - self.entry.size, first + (count - 1) * self.entry.size)
        for position in range(first, last + 1, self.entry.size):
            yield self.entry.unpack_from(data, position)

    def orientation(self, kind: int, count: int, value: bytes) -> int:
        (number,) = struct.unpack_from(self.order + "H", value)
        return number if (kind, count) == (SHORT, 1) and 1 <= number <= 8 else UPRIGHT


def _layout(data: bytes, begin: int) -> _Layout | None:
    order = {b"II": "<", b"MM": ">"}.get(data[begin : begin + 2])
    if order is None or len(data) < begin + 16:
        return None
    (version,) = struct.unpack_from(order + "H", data, begin + 2)
    if version == 43:
        return _Layout(order, 8, *(struct.Struct(order + form) for form in ("Q", "Q", "HHQ8s")))
    return _Layout(order, 4, *(struct.Struct(order + form) for form in ("L", "H", "HHL4s")))


def _orientation(data: bytes, begin: int, end: int) -> int:
    """Read the orientation from the EXIF data between `begin` and `end`; 1 if it is missing or invalid."""
    if data.startswith(b"Exif\0\0", begin):
        begin += 6
    layout = _layout(data, begin)
    if layout is not None:
        for tag, kind, count, value in layout.entries(data, begin, end):
            if tag == ORIENTATION:
                return layout.orientation(kind, count, value)
    return UPRIGHT
