"""Fonts for text in pictures: matplotlib's DejaVu Sans, or a Chinese font of this machine.

Searched by hand because `matplotlib.font_manager` takes seconds to build its list, and leaves a cache file behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

# Beginnings of file names in order of preference: Linux, macOS, Windows.
CHINESE = (
    *(
        "NotoSansCJK-Regular",
        "NotoSansCJKsc-Regular",
        "NotoSansSC",
        "SourceHanSansSC-Regular",
        "SourceHanSansCN-Regular",
    ),
    *("wqy-microhei", "wqy-zenhei", "DroidSansFallback"),
    *("PingFang", "Hiragino Sans GB", "STHeiti Light", "Arial Unicode"),
    *("msyh", "simhei", "simsun"),
)
SUFFIXES = (".ttf", ".ttc", ".otf")


@dataclass(frozen=True)
class Face:
    """One face of a font file, which may hold several; `index` counts from 0."""

    path: str
    index: int = 0

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """Return the font at a size in pixels."""
        return ImageFont.truetype(self.path, size, index=self.index)


def face_for(text: str) -> Face | None:
    """Return a face with glyphs for all of `text`, or None if this machine has none."""
    return next((face for face in _faces() if _covers(face, text)), None)


def default_face() -> Face:
    """Return DejaVu Sans, which comes with matplotlib."""
    import matplotlib

    return Face(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"))


def _faces() -> Iterator[Face]:
    yield default_face()
    chinese = chinese_face(font_folders())
    if chinese is not None:
        yield chinese


def _covers(face: Face, text: str) -> bool:
    characters = _characters(face.path)
    return all(ord(letter) in characters for letter in text if not letter.isspace())


@lru_cache(maxsize=4)
def _characters(path: str) -> frozenset[int]:
    # The faces of one file have nearly the same characters.
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


@lru_cache(maxsize=4)
def chinese_face(folders: tuple[Path, ...]) -> Face | None:
    """Return a face for simplified Chinese from the preferred font in these folders; None if there is none."""
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = next((name for name in CHINESE if path.name.startswith(name)), None)
            if name is not None and path.suffix.lower() in SUFFIXES:
                paths.setdefault(name, path)
    for name in CHINESE:
        if name not in paths:
            continue
        try:
            return _simplified(str(paths[name]))
        except (OSError, RuntimeError):
            continue  # not a font after all
    return None


def _simplified(path: str) -> Face:
    """Return the face for simplified Chinese of a file with faces for several regions, else the first."""
    for index in range(16 if path.lower().endswith(".ttc") else 1):
        try:
            family = ImageFont.truetype(path, 16, index=index).getname()[0] or ""
        except OSError:
            break
        if family.endswith(" SC"):
            return Face(path, index)
    ImageFont.truetype(path, 16)
    return Face(path)


def font_folders() -> tuple[Path, ...]:
    """Return the folders in which this operating system keeps fonts, as far as they exist."""
    try:
        home = [Path.home()]
    except RuntimeError:
        home = []  # this user has none
    if sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    elif sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), *(one / "Library/Fonts" for one in home)]
    else:
        folders = [
            Path("/usr/share/fonts"),
            Path("/usr/local/share/fonts"),
            *(one / below for one in home for below in (".local/share/fonts", ".fonts")),
        ]
    return tuple(folder for folder in folders if folder.is_dir())
