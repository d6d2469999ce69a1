"""Routes of the front page, the stage: its HTML, scripts, styles and words, and the example photos.

Gradio's own page stays where the address has one of its views: `/?view=api`, `/?view=settings`.

The front page names its files by addresses with a digest of all of them, which browsers keep for a year; without the
digest they ask each time whether a file has changed (`no-cache` and an ETag). Pictures are cached for an hour. Text is
sent compressed where the browser takes it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock
from time import monotonic

import brotli
from PIL import Image
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from ...errors import UserError
from ...runtime.resources import resource
from ..http.errors import RequestRefusedError
from ..http.page_functions import page_of
from ..http.security_headers import STAGE_HEADERS
from ..words import LANGUAGES, language_of

STATIC = Path(__file__).parent / "static"
EXAMPLES = resource("examples")
TEXTS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
TYPES = {**TEXTS, ".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".woff2": "font/woff2"}
# Pixels of the longer side: of an example photo, which is shown at half this size, and of its thumbnail.
PHOTO_SIDE, THUMB_SIDE = 448, 80
QUALITY = 80  # of both, as JPEG
THUMB = ".thumb.jpg"
GRADIO_VIEWS = frozenset({"api", "api-recorder", "settings"})  # values of `view` in an address of Gradio's page
PICTURES_KEPT = "max-age=3600"
KEPT_FOR_EVER = "public, max-age=31536000, immutable"
STATIC_FOLDER = "stage/static/"  # as index.html names it; there a version is inserted
STYLE_LINK = re.compile(f'<link rel="stylesheet" href="{STATIC_FOLDER}(css/[a-z]+[.]css)">')
TAGS = {"en": "en", "zh": "zh-CN"}  # of languages, as HTML names them
VERSION_SECONDS = 1.0
VERSION = "v-"  # before the digest in the address of a file that never changes
# By content coding, smallest first: brotli takes an eighth less than gzip.
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda data: brotli.compress(data, quality=11),
    "gzip": lambda data: gzip.compress(data, 9, mtime=0),
}
LEAST_COMPRESSED = 500  # bytes; a shorter text is sent as it is


@dataclass(frozen=True)
class Asset:
    """A file's bytes with what is derived from them."""

    data: bytes = field(repr=False)
    media_type: str
    is_text: bool
    _compressed: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    @cached_property
    def tag(self) -> str:
        """A short digest of the content."""
        return hashlib.sha256(self.data).hexdigest()[:32]

    @property
    def is_compressible(self) -> bool:
        """Whether it is worth compressing."""
        return self.is_text and len(self.data) >= LEAST_COMPRESSED

    def compressed(self, coding: str) -> bytes:
        """Return the bytes in a content coding, compressed once."""
        with self._lock:
            if coding not in self._compressed:
                self._compressed[coding] = CODINGS[coding](self.data)
            return self._compressed[coding]

    def response(self, request: Request, cache_control: str = "", vary: str = "") -> Response:
        """Return the response: the file, or status 304 if the browser has it already.

        `vary` names a further request header on which it depends. Without `cache_control`, browsers keep a picture for
        an hour and ask each time whether another file has changed.
        """
        accepted = request.headers.get("accept-encoding", "")
        coding = next((one for one in CODINGS if self.is_compressible and accepts(accepted, one)), None)
        # A strong tag belongs to exactly these bytes, so each compressed form has another.
        etag = f'"{self.tag}"' if coding is None else f'"{self.tag}-{coding}"'
        # Browsers request the icon again whenever the address changes.
        usual = PICTURES_KEPT if self.media_type.startswith("image/") else "no-cache"
        headers = {"ETag": etag, "Cache-Control": cache_control or usual}
        if self.is_compressible:
            vary = f"{vary}, Accept-Encoding".removeprefix(", ")
        if vary:
            headers["Vary"] = vary
        if matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        if coding is None:
            return Response(self.data, media_type=self.media_type, headers=headers)
        headers["Content-Encoding"] = coding
        return Response(self.compressed(coding), media_type=self.media_type, headers=headers)


def accepts(accept_encoding: str, coding: str) -> bool:
    """Return whether an Accept-Encoding header names a coding with a quality above 0."""
    for part in accept_encoding.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() == coding:
            quality = parameters.replace(" ", "").removeprefix("q=")
            return quality.strip("0.") != "" or not quality
    return False


def matches(if_none_match: str, etag: str) -> bool:
    """Return whether an If-None-Match header names an ETag; weak tags count, as RFC 9110, 13.1.2 says."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


class Files:
    """Files below a folder, read once and again when they change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._assets: dict[str, tuple[tuple[int, int], Asset]] = {}
        self._version: tuple[float, str] | None = None  # and when it was computed
        self._lock, self._version_lock = Lock(), Lock()

    def get(self, path: str) -> Asset | None:
        """Return the file at a relative path, or None if there is none of a known type."""
        parts = PurePosixPath(path).parts
        # One spelling for each file ("js/./main.js" is another): the cache is by path.
        if path != "/".join(parts) or "\\" in path or any(part.startswith((".", "/")) for part in parts):
            return None
        file = self._folder.joinpath(*parts)
        media_type = TYPES.get(file.suffix)
        try:
            # Symbolic links must not lead out of the folder.
            if media_type is None or not file.resolve().is_relative_to(self._folder) or not file.is_file():
                return None
            status = file.stat()
            version = (status.st_mtime_ns, status.st_size)
            with self._lock:
                known = self._assets.get(path)
            if known is None or known[0] != version:
                known = (version, Asset(file.read_bytes(), media_type, file.suffix in TEXTS))
                with self._lock:
                    self._assets[path] = known
            return known[1]
        except (OSError, ValueError):
            return None

    def version(self) -> str:
        """Return a short digest of all files, their names and content; looked up once a second at most."""
        with self._version_lock:
            now = monotonic()
            if self._version is None or now - self._version[0] > VERSION_SECONDS:
                self._version = now, self._digest()
            return self._version[1]

    def _digest(self) -> str:
        names = sorted(path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*"))
        tags = [(name, asset.tag) for name in names if (asset := self.get(name)) is not None]
        return hashlib.sha256(repr(tags).encode()).hexdigest()[:16]


static = Files(STATIC)


def example_photos() -> list[Path]:
    """Return the paths of the example photos, sorted by name."""
    return sorted(EXAMPLES.glob("*.jpg"))


def example(name: str) -> Asset | None:
    """Return an example photo as the page shows it, "STEM.jpg", or its thumbnail, "STEM.thumb.jpg"; or None."""
    is_thumb = name.endswith(THUMB)
    stem = name.removesuffix(THUMB if is_thumb else ".jpg")
    known = {path.stem: path for path in example_photos()}
    if stem not in known or name not in (f"{stem}.jpg", f"{stem}{THUMB}"):
        return None
    return _example(known[stem], is_thumb=is_thumb)


@cache
def _example(path: Path, *, is_thumb: bool) -> Asset:
    side = THUMB_SIDE if is_thumb else PHOTO_SIDE
    with Image.open(path) as photo:
        small = photo.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return Asset(file.getvalue(), TYPES[".jpg"], is_text=False)


def _route(path: str, find: Callable[[str], Asset | None]) -> Route:
    # Not a coroutine, so that files are read and compressed in a thread.
    def answer(request: Request) -> Response:
        return _response(request, find(request.path_params["name"]))

    return Route(path, answer)


def _response(request: Request, asset: Asset | None) -> Response:
    if asset is None:
        raise RequestRefusedError(404, "guard_not_found")
    return asset.response(request)


class FrontRoute(Route):
    """The front page; Gradio's own page, whose route comes later, where the address has one of `GRADIO_VIEWS`."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as `Route` does, except for Gradio's own views."""
        if scope["type"] == "http" and QueryParams(scope["query_string"]).get("view") in GRADIO_VIEWS:
            return Match.NONE, {}
        return super().matches(scope)


def _front_page(request: Request) -> Response:
    wish = request.query_params.get("lang")
    language = wish if wish in LANGUAGES else language_of(request.headers.get("accept-language", ""))
    page = _page_in(language, static.version()).response(request, vary="Accept-Language")
    page.headers.update(STAGE_HEADERS)
    return page


@lru_cache(len(LANGUAGES))
def _page_in(language: str, version: str) -> Asset:
    """Return the front page in a language, with its styles and a version in the addresses of its files.

    Styles are part of the page because each further request costs a slow network a round trip. The page's modules name
    each other by relative paths.
    """
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    text = STYLE_LINK.sub(lambda link: f"<style>\n{(STATIC / link[1]).read_text(encoding='utf-8')}</style>", text)
    text = text.replace('<html lang="en">', f'<html lang="{TAGS[language]}">', 1)
    text = text.replace("words/en.json", f"words/{language}.json", 1)
    text = text.replace(STATIC_FOLDER, f"{STATIC_FOLDER}{VERSION}{version}/")
    return Asset(text.encode(), TYPES[".html"], is_text=True)


def _static_file(request: Request) -> Response:
    """The file, which the browser keeps for ever if the address has the version of today."""
    name = request.path_params["name"]
    version, _, rest = name.partition("/")
    if not version.startswith(VERSION):
        return _response(request, static.get(name))
    # A page that was opened before an update gets the files of today.
    asset, is_current = static.get(rest), version == f"{VERSION}{static.version()}"
    if asset is None:
        raise RequestRefusedError(404, "guard_not_found")
    return asset.response(request, KEPT_FOR_EVER if is_current else "")


def _to_front(request: Request) -> Response:
    """Redirect the stage's former addresses to the front page, relatively: the server may be mounted under any path."""
    query = request.scope["query_string"].decode("latin-1")
    up = "../" if request.scope["path"].endswith("/") else "./"
    return RedirectResponse(f"{up}{'?' if query else ''}{query}")


def _first_visit(request: Request) -> Response:
    first = getattr(page_of(request.scope), "first_visit", None)
    try:
        asset = None if first is None else first.asset()
    except UserError:
        asset = None  # the scripts then request each answer, and show its sentence
    return _response(request, asset)


ROUTES = (
    FrontRoute("/", _front_page),
    Route("/stage", _to_front),
    Route("/stage/first.json", _first_visit),
    Route("/stage/", _to_front),
    Route("/stage/static/{name:path}", _static_file),
    _route("/stage/examples/{name:path}", example),
)
