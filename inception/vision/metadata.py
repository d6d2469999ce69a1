"""A picture file without its metadata, before a decoder sees it.

Decoders copy and parse metadata (ICC profiles, EXIF, XMP, comments), and some refuse a sound picture because of it.
A few kilobytes of it can fill gigabytes: compressed text, or EXIF tags that all claim the same bytes. Nothing here
needs more of it than which side is up, so the rest is left out by walking the file's own list of parts, which neither
decompresses nor copies any of it. As in browsers, only EXIF (in TIFF the tag itself) tells the orientation, not XMP.

Sources: PNG specification (W3C, third edition), section 5; ITU-T T.81, annex B; RFC 9649 (WebP); GIF89a, sections 15
to 26; TIFF 6.0, section 2; ISO/IEC 23008-12 (AVIF's container); CIPA DC-008 (EXIF).
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

UPRIGHT = 1  # EXIF's number for a picture that need not be turned
ORIENTATION = 274  # the tag's number
# As Pillow has them: the third and fourth are wrong, and read as if they were right; the fifth is BigTIFF's.
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0")
# Pillow takes it for TIFF, and looks for the first directory where it cannot be.
BIG_ENDIAN_BIGTIFF = b"MM\0+"
SHORT = 3  # the type of its value

PNG_CHUNK = re.compile(rb"\w{4}")
PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
WEBP_DROPPED = (b"ICCP", b"EXIF", b"XMP ")
# Everything that libtiff and Pillow need to find, unpack and colour the pixels. Orientation is returned instead.
TIFF_KEPT = frozenset(
    {254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 339}
    | {347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532}
)
MAX_VALUES = 200_000  # of one TIFF tag: strips or tiles, for each of which Pillow takes up to 400 bytes
MAX_JPEG_TABLES = 2**20  # bytes before the first scan that are no metadata; a sound file has a few kilobytes
MAX_PARTS = 200_000  # chunks, segments or blocks; a sound file has a few thousand at most

# An extension, a picture or the end; what lies between blocks is skipped.
GIF_BLOCK = re.compile(rb"[!,;]")
# A JPEG's marker with a body: no padding, no restart marker, no stuffed byte.
JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd8]")
# Frame headers, Huffman tables, arithmetic conditioning, quantisation tables, restart intervals.
JPEG_KEPT = frozenset((*range(0xC0, 0xC8), *range(0xC9, 0xD0), 0xDB, 0xDD))
JPEG_END, JPEG_SCAN, JPEG_APP0, JPEG_APP1, JPEG_APP15 = 0xD9, 0xDA, 0xE0, 0xE1, 0xEF
# In AVIF's container an item that is EXIF or XMP (its type stands behind its number, of two bytes or four), and an ICC
# profile. They are renamed, not removed: other boxes count bytes from the file's beginning.
AVIF_METADATA = re.compile(
    # A box's size may take eight more bytes.
    rb"(infe(?:.{8})?(?:\x02.{7}|\x03.{9})|colr(?:.{8})?)(?:Exif|mime|prof|rICC)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Bare:
    """A picture file without its metadata, whose decoding gives the same pixels, and its EXIF orientation, 1 to 8."""

    data: bytes
    orientation: int = UPRIGHT


def strip_metadata(data: bytes) -> Bare:
    """Leave the metadata out. Of a file that is cut off, the part that was cut is kept, for the decoder to refuse.

    No decoder must find metadata in what is returned, whatever the file: where this walk and the decoder's may part,
    nothing more is kept.

    Raises:
        ValueError: if the file has more parts, tables or values than a sound one, and decoding it could take minutes.
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
        raise ValueError("a BigTIFF that Pillow does not read as such")
    if data[4:8] == b"ftyp":
        # AVIF turns by properties of its own, and readers must not turn by EXIF.
        return Bare(AVIF_METADATA.sub(rb"\1free", data))
    return Bare(data)


class _Parts:
    """What is kept of a file, in its order. Neighbours are copied at once, and a file that is kept whole is not."""

    def __init__(self, data: bytes) -> None:
        self._data, self._out = data, io.BytesIO()
        self._begin = self._end = 0  # the part that was kept last and is not copied yet

    def keep(self, begin: int, end: int) -> None:
        if begin != self._end:
            self._copy()
            self._begin = begin
        self._end = end

    def joined(self, at: int = 0, instead: bytes = b"", more: bytes = b"") -> bytes:
        """All that was kept, with `instead` written over what lies at `at`, and `more` behind it."""
        if (self._begin, self._end) == (0, len(self._data)) and not instead and not more:
            return self._data
        self._copy()
        self._out.write(more)
        self._out.seek(at)
        self._out.write(instead)
        return self._out.getvalue()

    def _copy(self) -> None:
        self._out.write(memoryview(self._data)[self._begin : self._end])


def _png(data: bytes) -> Bare:
    parts, orientation, at = _Parts(data), UPRIGHT, 8
    parts.keep(0, at)
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at) if at + 12 <= len(data) else (0, b"")
        end = at + 12 + length
        # Pillow goes no further than this either.
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
    return Bare(parts.joined(), orientation)


def _jpeg(data: bytes) -> Bare:
    parts, orientation, tables, at = _Parts(data), UPRIGHT, 0, 2
    parts.keep(0, at)
    for _ in range(MAX_PARTS):
        found = JPEG_MARKER.search(data, at)
        if not found:
            break
        mark, kind, body = found.start(), data[found.end() - 1], found.end() + 2
        if kind == JPEG_SCAN:
            parts.keep(mark, len(data))
            break
        end = found.end() + int.from_bytes(data[found.end() : body], "big")
        says_colours = JPEG_APP0 <= kind <= JPEG_APP15 and data.startswith((b"JFIF\0", b"Adobe"), body)
        if kind in JPEG_KEPT or says_colours:
            parts.keep(mark, min(end, len(data)))
            tables += end - mark
            if tables > MAX_JPEG_TABLES:
                raise ValueError("a JPEG with too many tables")
        elif kind == JPEG_APP1 and data.startswith(b"Exif\0\0", body) and orientation == UPRIGHT:
            orientation = _orientation(data, body, end)
        # The end, a segment that is cut off, or one that has no room for its own length.
        if kind == JPEG_END or not body <= end <= len(data):
            break
        at = end
    else:
        raise ValueError("a JPEG of too many segments")
    return Bare(parts.joined(), orientation)


def _webp(data: bytes) -> Bare:
    parts, orientation, dropped, at = _Parts(data), UPRIGHT, 0, 12
    size = int.from_bytes(data[4:8], "little")
    limit = min(8 + size, len(data))  # what lies behind it no decoder looks at
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
    return Bare(parts.joined(4, struct.pack("<I", size - dropped)) if dropped else data, orientation)


def _gif(data: bytes) -> Bare:
    """Of the blocks before the first picture only the last that says how it is shown, as decoders have it."""
    parts, control = _Parts(data), (0, 0)
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 128 else 0)
    parts.keep(0, at)
    for _ in range(MAX_PARTS):
        found = GIF_BLOCK.search(data, at)
        if not found:
            break
        block = found.start()
        if found[0] != b"!":
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
    return Bare(parts.joined())


def _tiff(data: bytes) -> Bare:
    """The first picture with only the tags that its pixels need; libtiff and Pillow read every tag's values."""
    how = _layout(data, 0)
    if how is None:
        return Bare(data)
    kept: dict[int, bytes] = {}
    orientation = UPRIGHT
    for tag, kind, count, value in how.entries(data, 0, len(data)):
        if tag == ORIENTATION:
            orientation = how.orientation(kind, count, value)
        elif tag in TIFF_KEPT:
            if count > MAX_VALUES:
                raise ValueError("a TIFF whose tag has too many values")
            kept.setdefault(tag, how.entry.pack(tag, kind, count, value))
    place = len(data) + len(data) % 2
    directory = how.count.pack(len(kept)) + b"".join(kept[tag] for tag in sorted(kept)) + how.offset.pack(0)
    parts = _Parts(data)
    parts.keep(0, len(data))
    return Bare(parts.joined(how.begin, how.offset.pack(place), bytes(place - len(data)) + directory), orientation)


@dataclass(frozen=True)
class _Layout:
    """How a TIFF, and so EXIF, writes its numbers; BigTIFF has longer ones."""

    order: str  # of bytes, as `struct` has it
    begin: int  # where the first directory's offset lies
    offset: struct.Struct
    count: struct.Struct  # of a directory's entries
    entry: struct.Struct  # tag, type, count, and the value or its offset

    def entries(self, data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, bytes]]:
        """The first directory's entries, as far as they lie between `begin` and `end`."""
        end = min(end, len(data))  # a segment may announce more than the file holds
        at = begin + self.offset.unpack_from(data, begin + self.begin)[0]
        if at + self.count.size > end:
            return
        (count,) = self.count.unpack_from(data, at)
        first = at + self.count.size
        last = min(end - self.entry.size, first + (count - 1) * self.entry.size)
        for place in range(first, last + 1, self.entry.size):
            yield self.entry.unpack_from(data, place)

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
    """What the EXIF between `begin` and `end` says; 1 where it says nothing, or nothing that can be."""
    if data.startswith(b"Exif\0\0", begin):
        begin += 6
    how = _layout(data, begin)
    if how is not None:
        for tag, kind, count, value in how.entries(data, begin, end):
            if tag == ORIENTATION:
                return how.orientation(kind, count, value)
    return UPRIGHT
