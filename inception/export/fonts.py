"""Fonts that pictures with words are drawn with: matplotlib's own, or one on this machine that knows Chinese."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

# Beginnings of file names, the first that is found is taken: Linux, macOS, Windows.
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
    """One face of a font file, which may hold several."""

    path: str
    index: int = 0

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """In a size, in pixels."""
        return ImageFont.truetype(self.path, size, index=self.index)


def face_for(text: str) -> Face | None:
    """A face that has every letter of `text`; None where this machine has none."""
    return next((face for face in _faces() if _knows(face, text)), None)


def plain() -> Face:
    """The face that is always there: it comes with matplotlib, which comes with this project."""
    import matplotlib

    return Face(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"))


def _faces() -> Iterator[Face]:
    yield plain()
    chinese = _chinese()
    if chinese is not None:
        yield chinese


def _knows(face: Face, text: str) -> bool:
    known = _letters(face.path)
    return all(ord(letter) in known for letter in text if not letter.isspace())


@lru_cache(maxsize=4)
def _letters(path: str) -> frozenset[int]:
    # The faces of one file differ in how they draw a character, hardly in which they have.
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


@lru_cache(maxsize=1)
def _chinese() -> Face | None:
    # By the names of files: matplotlib's own list takes seconds to make, and leaves a file behind.
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.rglob("*")):
            name = next((name for name in CHINESE if path.name.startswith(name)), None)
            if name is not None and path.suffix.lower() in SUFFIXES:
                found.setdefault(name, path)
    for name in CHINESE:
        if name not in found:
            continue
        try:
            return _simplified(str(found[name]))
        except (OSError, RuntimeError):
            continue  # not a font after all
    return None


def _simplified(path: str) -> Face:
    """The face for simplified Chinese where a file has faces for several countries."""
    for index in range(16 if path.lower().endswith(".ttc") else 1):
        try:
            family = ImageFont.truetype(path, 16, index=index).getname()[0] or ""
        except OSError:
            break
        if family.endswith(" SC"):
            return Face(path, index)
    ImageFont.truetype(path, 16)
    return Face(path)


def _folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    elif sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    else:
        folders = [
            Path("/usr/share/fonts"),
            Path("/usr/local/share/fonts"),
            home / ".local/share/fonts",
            home / ".fonts",
        ]
    return [folder for folder in folders if folder.is_dir()]
