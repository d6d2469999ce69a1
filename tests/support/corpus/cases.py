"""Malformed and unusual files with their expected outcomes: `python -m support.corpus.cases FOLDER` writes them.

All are generated, and are the same in each run. `scene` has a different colour in each quarter, so that a rotated,
mirrored or cropped picture is recognised.
"""

from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from support.corpus.case import Case
from support.corpus.files import (
    BLACK,
    BLUE,
    GREY,
    LIME,
    QUARTERS,
    RED,
    SCRIPT,
    SIZE,
    WHITE,
    chunk,
    comment_segment,
    count_bomb,
    cut_within,
    encoded,
    entity_bomb,
    exif_size,
    greys,
    huge_gif,
    huge_webp,
    ifd_loop,
    jpeg,
    jpeg_parts,
    noise,
    oriented,
    pdf,
    png,
    png_parts,
    raw_png,
    resized_jpeg,
    rgb16,
    riff_parts,
    samples,
    scene,
    script_png,
    tile_bomb,
    transparent,
    transparent_red,
    uniform,
    with_chunk,
    wrong_checksum,
    zeros,
    zip_bomb,
)
from support.corpus.metadata import metadata

# ---------------------------------------------------------------- the files


def not_pictures() -> Iterator[Case]:
    unknown = "photo_unknown"
    yield Case("empty.jpg", "no bytes", lambda: b"", "photo_empty")
    yield Case("one-byte.png", "one byte", lambda: b"\x89", unknown)
    yield Case("text.jpg", "text", lambda: b"this is a text, not a photo\n" * 100, unknown)
    yield Case("utf16.png", "text in UTF-16", lambda: "not a photo".encode("utf-16"), unknown)
    yield Case("zeros.jpg", "a megabyte of zeros", lambda: bytes(2**20), unknown)
    yield Case("noise.jpg", "a megabyte of noise", lambda: noise(592).tobytes()[: 2**20], unknown)
    yield Case(
        "program.png", "the first bytes of an executable", lambda: b"\x7fELF\x02\x01\x01".ljust(4096, b"\0"), unknown
    )
    yield Case("page.html.jpg", "HTML with a script", lambda: f"<html>{SCRIPT}</html>".encode(), unknown)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">{SCRIPT}</svg>'.encode()
    yield Case("drawing.svg", "SVG with a script", lambda: svg, unknown)
    yield Case("drawing.svg.png", "SVG with a script, named PNG", lambda: svg, unknown)
    yield Case("drawing.svgz", "the same, compressed", lambda: gzip.compress(svg, mtime=0), unknown)
    yield Case("entities.svg", "SVG whose entities fill the memory", entity_bomb, unknown)
    yield Case("archive.jpg", "a ZIP that unpacks to a gigabyte", zip_bomb, unknown)
    yield Case("paper.jpg", "a PDF with a script", pdf, unknown)
    for kind, name in (("PPM", "old.ppm"), ("ICO", "icon.ico"), ("TGA", "old.tga"), ("JPEG2000", "film.jp2")):
        yield Case(
            name, f"an image in an unsupported format ({kind})", lambda kind=kind: encoded(scene(), kind), unknown
        )
    heic = struct.pack(">I4s4sI4s", 24, b"ftyp", b"heic", 0, b"mif1").ljust(24, b"\0") + bytes(500)
    yield Case("phone.heic", "a phone's HEIC", lambda: heic, unknown)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 80 60\n(x) run\n"
    yield Case("program.eps", "PostScript, which is a program", lambda: postscript, unknown)
    yield Case(
        "heavy.jpg", "41 MB after a JPEG's signature", lambda: b"\xff\xd8\xff" + bytes(41 * 2**20), "photo_heavy"
    )


def truncated() -> Iterator[Case]:
    unknown, damaged = "photo_unknown", "photo_damaged"
    exif = oriented(1)
    for kind, options in (("plain", {}), ("progressive", {"progressive": True})):
        whole = jpeg(scene(), exif=exif, comment=b"a remark", **options)
        for part in dict.fromkeys(name for name, _, _ in jpeg_parts(whole)):
            yield Case(
                f"cut-{kind}-{part}.jpg",
                f"a {kind} JPEG that ends within {part}",
                lambda whole=whole, part=part: cut_within(whole, jpeg_parts, part),
                damaged if part == "scan" else unknown if kind == "plain" or part not in ("DHT", "SOS") else damaged,
            )
    yield Case("cut-before-EOI.jpg", "a JPEG without its last two bytes", lambda: jpeg()[:-2], damaged)
    yield Case("mark.jpg", "a JPEG's first two bytes", lambda: jpeg()[:2], unknown)
    palette = png(scene().quantize(8), transparency=7, dpi=(72, 72), exif=exif[6:])
    for part in dict.fromkeys(name for name, _, _ in png_parts(palette)):
        # The pixels are complete before IEND.
        yield Case(
            f"cut-{part}.png",
            f"a palette PNG that ends within {part}",
            lambda part=part: cut_within(palette, png_parts, part),
            {"IDAT": damaged, "IEND": ""}.get(part, unknown),
        )
    yield Case("mark.png", "a PNG's first eight bytes", lambda: png()[:8], unknown)
    webp = encoded(scene("RGBA"), "WEBP", exif=exif, quality=95)
    for part in dict.fromkeys(name for name, _, _ in riff_parts(webp)):
        yield Case(
            f"cut-{part}.webp",
            f"a WebP that ends within {part}",
            lambda part=part: cut_within(webp, riff_parts, part),
            unknown,
        )
    gif = encoded(scene().quantize(4), "GIF", comment=b"a remark")
    for name, at, error_kind in (
        ("header", 8, unknown),
        ("colours", 16, unknown),
        ("image", -30, damaged),
        ("trailer", -1, ""),
    ):
        yield Case(f"cut-{name}.gif", f"a GIF that ends within its {name}", lambda at=at: gif[:at], error_kind)
    yield Case("cut.bmp", "half a BMP", lambda: (data := encoded(scene(), "BMP"))[: len(data) // 2], damaged)
    yield Case("cut.tiff", "half a TIFF", lambda: (data := encoded(scene(), "TIFF"))[: len(data) // 2], damaged)
    yield Case("cut.avif", "half an AVIF", lambda: (data := encoded(scene(), "AVIF"))[: len(data) // 2], unknown)


def bombs() -> Iterator[Case]:
    large, unknown = "photo_large", "photo_unknown"
    yield Case("144-megapixel.png", "12000 x 12000 in 17 kB", lambda: png(Image.new("1", (12_000, 12_000))), large)
    yield Case("huge.png", "claims to be 2147483647 pixels wide", lambda: raw_png(2**31 - 1, 2**31 - 1, b""), large)
    yield Case("thin.png", "claims to be 1 x 2147483647", lambda: raw_png(1, 2**31 - 1, b""), large)
    yield Case("huge.gif", "65535 x 65535 in 60 bytes", huge_gif, large)
    yield Case("huge.webp", "claims to be 16383 x 16383", huge_webp, unknown)
    yield Case("huge.jpg", "claims to be 65500 x 65500", lambda: resized_jpeg(65_500, 65_500), large)
    yield Case(
        "large.webp", "13 megapixels as WebP", lambda: encoded(Image.new("RGB", (3600, 3600)), "WEBP", method=0), large
    )
    white = uniform(WHITE)
    yield Case(
        "49-megapixel-palette.png",
        "7000 x 7000 with a palette, all transparent",
        lambda: png(Image.new("P", (7000, 7000)), transparency=0),
        quarters=white,
        size=(1750, 1750),
    )
    yield Case(
        "46-megapixel-alpha.png",
        "6800 x 6800 with alpha, all transparent",
        lambda: png(Image.new("RGBA", (6800, 6800))),
        quarters=white,
        size=(1700, 1700),
    )
    yield Case(
        "49-megapixel-grey16.png",
        "7000 x 7000 in 16 bits",
        lambda: png(Image.fromarray(np.full((7000, 7000), 40_000, np.uint16))),
        quarters=uniform((156, 156, 156)),
        size=(1750, 1750),
    )
    yield Case(
        "27-megapixel-progressive.jpg",
        "5200 x 5200 in several scans, for which the decoder keeps 162 MB of coefficients",
        lambda: jpeg(scene(size=(5200, 5200)), progressive=True),
        size=(2048, 2048),
    )
    yield Case(
        "12-megapixel-lossless.webp",
        "3500 x 3500, lossless",
        lambda: encoded(scene("RGBA", (3500, 3500)), "WEBP", lossless=True, method=0),
        size=(2048, 2048),
    )
    yield Case(
        "15-megapixel-float.tiff",
        "3900 x 3900 floats, compressed to almost nothing",
        lambda: encoded(Image.new("F", (3900, 3900), 0.5), "TIFF", compression="tiff_adobe_deflate"),
        quarters=uniform((128, 128, 128)),
        size=(1950, 1950),
    )
    for width, height, error_kind in ((12_500_000, 4, large), (1_000_000, 35, "")):
        yield Case(
            f"{width}-wide.png",
            f"{width} x {height} with alpha",
            lambda width=width, height=height: png(Image.new("RGBA", (width, height))),
            error_kind,
            size=(2045, 1),
            quarters=white,
        )
    for kind, before in ((b"zTXt", b"Comment\0\0"), (b"iCCP", b"profile\0\0"), (b"iTXt", b"Comment\0\1\0\0\0")):
        name = kind.decode()
        yield Case(
            f"bomb-{name}.png",
            f"400 MB of zeros in {name}",
            lambda kind=kind, before=before: with_chunk(png(), kind, before + zeros(400 * 2**20)),
        )
    yield Case(
        "bomb-IDAT.png",
        "400 MB of pixels where the header announces 80 pixels",
        lambda: raw_png(10, 8, chunk(b"IDAT", zeros(400 * 2**20))),
        size=(10, 8),
        quarters=uniform(BLACK),
    )
    yield Case("bomb-tile.tiff", "one tile of 60000 x 60000 for 80 pixels", lambda: tile_bomb(60_000), large)
    yield Case("bomb-wide-tile.tiff", "one tile of 60000 x 7000 for 80 pixels", lambda: tile_bomb(7000), large)
    yield Case("bomb-count.tiff", "a tag with four billion values", count_bomb, unknown)
    yield Case(
        "loop.tiff", "a directory whose next directory is itself", ifd_loop, size=(10, 8), quarters=uniform(GREY)
    )
    yield Case("segments.jpg", "a JPEG with 2000 comments", lambda: jpeg()[:2] + comment_segment() * 2000 + jpeg()[2:])


def unusual_pictures() -> Iterator[Case]:
    yield Case("plain.jpg", "a plain JPEG", jpeg)
    yield Case("progressive.jpg", "a progressive JPEG", lambda: jpeg(progressive=True))
    yield Case("cmyk.jpg", "a JPEG in CMYK", lambda: jpeg(scene("CMYK")))
    yield Case("grey.jpg", "a grey JPEG", lambda: jpeg(scene("L")), quarters=greys(76, 29, 150, 128))
    yield Case("dot.png", "1 x 1", lambda: png(Image.new("RGB", (1, 1), RED)), size=(1, 1), quarters=uniform(RED))
    column, row = (1, 2048), (2048, 1)
    yield Case(
        "column.png", "1 x 10000", lambda: png(Image.new("RGB", (1, 10_000), RED)), size=column, quarters=uniform(RED)
    )
    yield Case(
        "row.jpg", "10000 x 1", lambda: jpeg(Image.new("RGB", (10_000, 1), BLUE)), size=row, quarters=uniform(BLUE)
    )
    later = [Image.new("RGB", SIZE, "black")] * 3
    for name, kind in (
        ("animated.gif", "GIF"),
        ("animated.webp", "WEBP"),
        ("animated.png", "PNG"),
    ):
        options = {"save_all": True, "append_images": later, "duration": 100}
        if kind == "WEBP":
            options |= {"quality": 95}
        yield Case(
            name,
            f"an animation of four frames ({kind})",
            lambda kind=kind, options=options: encoded(scene(), kind, **options),
        )
    yield Case("still.avif", "an AVIF", lambda: encoded(scene(), "AVIF", quality=95, subsampling="4:4:4"))
    yield Case(
        "pages.tiff", "a TIFF of four pages", lambda: encoded(scene(), "TIFF", save_all=True, append_images=later)
    )
    yield Case("palette.png", "a palette", lambda: png(scene().quantize(4)))
    yield Case("palette-alpha.png", "a palette with transparent red", transparent_red, quarters=(WHITE, *QUARTERS[1:]))
    yield Case(
        "key.png", "RGB in which red is transparent", lambda: png(transparency=RED), quarters=(WHITE, *QUARTERS[1:])
    )
    yield Case(
        "one-bit.png",
        "one bit",
        lambda: png(scene("L").point(lambda v: 255 * (v > 100), "1")),
        quarters=greys(0, 0, 255, 255),
    )
    yield Case(
        "fax.tiff",
        "a fax",
        lambda: encoded(Image.new("1", SIZE, 1), "TIFF", compression="group4"),
        quarters=uniform(WHITE),
    )
    sixteen_bit = samples(np.uint16, 0, 20_000, 40_000, 65_535)
    yield Case("grey16.png", "16 bits", lambda: png(sixteen_bit), quarters=greys(0, 78, 156, 255))
    yield Case("grey16.tiff", "16 bits in TIFF", lambda: encoded(sixteen_bit, "TIFF"), quarters=greys(0, 78, 156, 255))
    yield Case("rgb16.png", "16 bits in each of three channels", rgb16, size=(2, 2), quarters=(RED, BLUE, LIME, GREY))
    yield Case(
        "float.tiff",
        "floats from 0 to 1",
        lambda: encoded(samples(np.float32, 0, 0.25, 0.5, 1), "TIFF"),
        quarters=greys(0, 64, 128, 255),
    )
    extremes = (np.nan, np.inf, -3e38, 3e38)
    yield Case(
        "nan.tiff",
        "floats that are not numbers, and the largest possible ones",
        lambda: encoded(samples(np.float32, *extremes), "TIFF"),
        quarters=greys(128, 128, 0, 255),
    )
    yield Case(
        "int32.tiff",
        "32-bit integers",
        lambda: encoded(samples(np.int32, -1000, 0, 0, 1000), "TIFF"),
        quarters=greys(0, 128, 128, 255),
    )
    yield Case("cmyk.tiff", "TIFF in CMYK", lambda: encoded(scene("CMYK"), "TIFF"))
    yield Case(
        "alpha.png",
        "transparent, with colours that must stay hidden",
        lambda: png(transparent()),
        quarters=uniform(WHITE),
    )
    yield Case(
        "alpha.webp", "the same in WebP", lambda: encoded(transparent(), "WEBP", exact=True), quarters=uniform(WHITE)
    )
    yield Case("la.png", "grey with alpha", lambda: png(transparent().convert("LA")), quarters=uniform(WHITE))
    for value, size, quarters in (
        (3, SIZE, QUARTERS[::-1]),
        (6, SIZE[::-1], (LIME, RED, GREY, BLUE)),
        (0, SIZE, QUARTERS),
        (999, SIZE, QUARTERS),
    ):
        invalid = "the invalid " if value in (0, 999) else ""
        yield Case(
            f"turned-{value}.jpg",
            f"EXIF with {invalid}orientation {value}",
            lambda value=value: jpeg(exif=oriented(value)),
            size=size,
            quarters=quarters,
        )
    yield Case("turned-far.jpg", "EXIF whose orientation is too large a number", lambda: jpeg(exif=oriented(2**31, 4)))
    yield Case("exif-size.jpg", "EXIF that claims 60000 x 60000", exif_size)
    yield Case(
        "exif-loop.jpg",
        "EXIF whose next directory is itself",
        lambda: jpeg(exif=oriented(1)[:-4] + b"\0\0\0\x08"),
    )
    yield Case("exif-noise.jpg", "EXIF that is noise", lambda: jpeg(exif=b"Exif\0\0" + noise(60).tobytes()))
    yield Case(
        "small-size.jpg",
        "a JPEG that claims to be smaller than it is",
        lambda: resized_jpeg(40, 30),
        size=(40, 30),
        quarters=(),
    )
    yield Case(
        "large-size.jpg",
        "a JPEG that claims to be 4000 x 4000",
        lambda: resized_jpeg(4000, 4000),
        size=(2048, 2048),
        quarters=(),
    )
    yield Case("no-size.jpg", "a JPEG that claims to be 0 x 0", lambda: resized_jpeg(0, 0), "photo_unknown")
    yield Case(
        "script.gif",
        "a GIF that is also a script",
        lambda: encoded(scene().quantize(4), "GIF", comment=SCRIPT.encode()),
    )
    yield Case("script.png", "a PNG with a script in its text chunk", script_png)
    yield Case("archive.png", "a PNG that is also a ZIP", lambda: png() + zip_bomb())
    yield Case("really-a-png.jpg", "a PNG named JPEG", png)
    yield Case("crc.png", "a PNG with a wrong checksum", wrong_checksum, "photo_unknown")


def unusual_names() -> Iterator[Case]:
    yield Case("two\nlines.jpg", "a name of two lines", jpeg)
    yield Case("two\nlines-of-text.jpg", "text with a name of two lines", lambda: b"no photo", "photo_unknown")
    yield Case("\x1b[2J.jpg", "text whose name would clear a terminal", lambda: b"no photo", "photo_unknown")
    yield Case("<img src=x onerror=alert(1)>.jpg", "text whose name is HTML", lambda: b"no photo", "photo_unknown")
    yield Case("照片 ü ñ 🔎.jpg", "a name in other scripts", jpeg)
    yield Case("long.jpg", "a name of 300 characters", jpeg, sent_as="x" * 296 + ".jpg")
    yield Case(
        "long-text.jpg",
        "text with a name of 300 characters",
        lambda: b"no photo",
        "photo_unknown",
        sent_as="x" * 296 + ".jpg",
    )
    yield Case("slashes.jpg", "a name that leads out of its folder", jpeg, sent_as="../../../../srv/climbed.jpg")
    yield Case(
        "slashes-text.jpg",
        "text with such a name",
        lambda: b"no photo",
        "photo_unknown",
        sent_as="../../../etc/passwd",
    )
    yield Case("backslashes.jpg", "the same for Windows", jpeg, sent_as="..\\..\\windows\\climbed.jpg")
    yield Case("nameless.jpg", "a name that is a single space", jpeg, sent_as=" ")


def cases() -> list[Case]:
    """Return all cases in a fixed order."""
    return [*not_pictures(), *truncated(), *bombs(), *metadata(), *unusual_pictures(), *unusual_names()]


def write(folder: Path) -> list[Case]:
    """Write all files into a folder, which is created if necessary; return their cases."""
    folder.mkdir(parents=True, exist_ok=True)
    written = cases()
    for case in written:
        (folder / case.name).write_bytes(case.make())
    return written


if __name__ == "__main__":
    for number, case in enumerate(write(Path(sys.argv[1])), 1):
        print(f"{number:3} {case.name!r:40} {case.error_kind or 'shown':14} {case.about}")
