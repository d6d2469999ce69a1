"""The stage's page, its files and the example photos, as a browser fetches them."""

from __future__ import annotations

import gzip
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import brotli
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from inception import mount
from inception.errors import WeightsError
from inception.web.stage import assets
from inception.web.stage.assets import STATIC, Files, accepts, matches
from inception.web.stage.first import FirstVisit
from support.mounted import served
from support.paths import EXAMPLES
from support.stage import event_result, subject

PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture(scope="module")
def mounted() -> Iterator[str]:
    app = FastAPI()
    mount(app, path="/lens", models=["tiny-imagenet"], device="cpu")
    with served(app) as address:
        yield f"{address}/lens/"


@pytest.fixture(params=["own", "mounted"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("page_address" if request.param == "own" else "mounted"))


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=60)


# ---------------------------------------------------------------- the page and its files


def test_the_stage_is_the_front_page(address: str) -> None:
    page = get(address)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.content == get(f"{address}?photo=bison&off=4b:1x1%2B3x3").content
    text = re.sub(r"v-[0-9a-f]{16}/", "", page.text)
    index = (STATIC / "index.html").read_text()
    for link, name in re.findall(r'(<link rel="stylesheet" href="stage/static/(css/\w+\.css)">)', index):
        style = f"<style>\n{(STATIC / name).read_text()}</style>"
        assert text.count(style) == 1
        text = text.replace(style, link)
    assert text == index
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; script-src 'self';")
    assert "//" not in policy, "the browser may contact no other server"
    assert httpx.head(address, timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "fr, zh-TW;q=0.8, en;q=0.5", "zh"),
        ("?photo=bison&lang=en", "zh-CN, zh;q=0.9", "en"),
        ("?lang=zh", "en", "zh"),
        ("?lang=fr", "zh", "zh"),
    ],
)
def test_the_front_page_fetches_the_words_of_the_visitors_language(
    address: str, query: str, accepted: str, language: str
) -> None:
    page = get(address + query, **{"accept-language": accepted})
    assert re.findall(r"words/(\w+)\.json", page.text) == [language]
    assert f'<html lang="{"zh-CN" if language == "zh" else "en"}">' in page.text
    assert page.headers["vary"] == "Accept-Language, Accept-Encoding"


@pytest.mark.parametrize("view", ["api", "settings"])
def test_gradios_page_is_served_for_its_views(address: str, view: str) -> None:
    page = get(f"{address}?view={view}")
    assert page.status_code == 200
    assert "window.gradio_config" in page.text


@pytest.mark.parametrize("former_path", ["stage", "stage/"])
def test_the_former_address_of_the_stage_redirects_to_the_front_page(address: str, former_path: str) -> None:
    response = get(f"{address}{former_path}?photo=bison&off=4b:1x1%2B3x3")
    assert response.is_redirect
    assert response.next_request is not None
    assert str(response.next_request.url) == f"{address}?photo=bison&off=4b:1x1%2B3x3"


def test_every_file_of_the_page_is_served_with_its_media_type(address: str) -> None:
    kinds = {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
    }
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= kinds.keys(), "add a media type"
    for path in files:
        response = get(f"{address}stage/static/{path.relative_to(STATIC).as_posix()}")
        assert response.content == path.read_bytes(), path.name
        assert response.headers["content-type"] == kinds[path.suffix]
        assert response.headers["cache-control"] == ("max-age=3600" if path.suffix == ".svg" else "no-cache")


def test_an_unchanged_file_is_not_sent_again(address: str) -> None:
    url = f"{address}stage/static/js/main.js"
    for encoding in ("identity", "gzip", "br"):
        first = get(url, **{"Accept-Encoding": encoding})
        tag = first.headers["etag"]
        assert tag.startswith('"')
        again = get(url, **{"Accept-Encoding": encoding, "If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        weak = get(url, **{"Accept-Encoding": encoding, "If-None-Match": f'"other", W/{tag}'})
        assert weak.status_code == 304
        assert get(url, **{"Accept-Encoding": encoding, "If-None-Match": '"other"'}).status_code == 200


def test_files_of_the_current_version_are_cached_forever(address: str) -> None:
    page = get(address).text
    (folder,) = set(re.findall(r"stage/static/v-[0-9a-f]{16}/", page))
    names = re.findall(rf'"{folder}([^"]+)"', page)
    assert len(names) > 20
    assert not re.search(r"stage/static/(?!v-)", page)
    for name in names:
        file = get(f"{address}{folder}{name}")
        assert file.content == (STATIC / name).read_bytes()
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
    # Files that these load have relative addresses, hence the version too.
    assert get(f"{address}{folder}words/zh.json").headers["cache-control"].endswith("immutable")
    previous = get(f"{address}stage/static/v-0123456789abcdef/js/main.js")
    assert previous.content == (STATIC / "js" / "main.js").read_bytes(), "a page opened before an update must find it"
    assert previous.headers["cache-control"] == "no-cache"
    assert get(address).headers["cache-control"] == "no-cache"
    assert httpx.get(f"{address}{folder}js/none.js", timeout=60).status_code == 404


def test_the_version_depends_on_all_files(tmp_path: Path) -> None:
    def version() -> str:
        return Files(tmp_path).version()

    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("1")
    first = version()
    assert version() == first
    (tmp_path / "js" / "a.js").write_text("2")
    second = version()
    (tmp_path / "js" / "a.js").rename(tmp_path / "js" / "b.js")
    assert len({first, second, version()}) == 3
    (tmp_path / "js" / "b.js").rename(tmp_path / "js" / "a.js")
    assert version() == second


def test_simultaneous_requests_compute_the_version_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []

    def digest(files: Files) -> str:
        digests.append(files)
        time.sleep(0.05)
        return "digest"

    monkeypatch.setattr(Files, "_digest", digest)
    files = Files(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(lambda _: files.version(), range(8))} == {"digest"}
    assert len(digests) == 1


def test_the_version_of_the_same_files_follows_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "VERSION_SECONDS", 0.0)
    files = Files(tmp_path)
    (tmp_path / "a.js").write_text("1")
    first = files.version()
    (tmp_path / "a.js").write_text("22")
    assert files.version() != first


@pytest.mark.parametrize(
    ("accepted", "coding", "decompress"),
    [("gzip, deflate", "gzip", gzip.decompress), ("gzip, deflate, br, zstd", "br", brotli.decompress)],
)
def test_text_is_compressed_if_the_browser_accepts_it(
    accepted: str, coding: str, decompress: Callable[[bytes], bytes], address: str
) -> None:
    url = f"{address}stage/static/js/state.js"
    with httpx.stream("GET", url, headers={"Accept-Encoding": accepted}, timeout=60) as response:
        compressed = b"".join(response.iter_raw())
        assert response.headers["content-encoding"] == coding
        assert int(response.headers["content-length"]) == len(compressed)
        compressed_tag = response.headers["etag"]
    plain = get(url, **PLAIN)
    assert "content-encoding" not in plain.headers
    assert decompress(compressed) == plain.content == (STATIC / "js" / "state.js").read_bytes()
    assert len(compressed) < len(plain.content) / 1.5
    assert plain.headers["etag"] != compressed_tag, "a strong tag must identify one encoding"
    assert plain.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in get(f"{address}stage/examples/bison.jpg", **{"Accept-Encoding": accepted}).headers


@pytest.mark.parametrize(
    "path",
    [
        "static/../__init__.py",
        "static/%2e%2e/__init__.py",
        "static/js/../../../scene.py",
        "static/..%2f..%2fscene.py",
        "static//etc/passwd",
        "static/%2fetc%2fpasswd",
        "static/",
        "static/js",
        "static/js/",
        "static/js/nothing.js",
        "static/js/main.js/",
        "static/./js/main.js",
        "static/js/./main.js",
        "static/js/main.js/.",
        "static/././js/././main.js",
        "static/js//main.js",
        "static/v-0123456789abcdef/./js/main.js",
        "static/.hidden.js",
        "static/js/main.js%00.css",
        "static/js\\main.js",
        "examples/SOURCES.md",
        "examples/bison",
        "examples/bison.png",
        "examples/../bison.jpg",
        "examples/..%2fexamples%2fbison.jpg",
        "examples/nobody.thumb.jpg",
        "examples/bison.thumb.thumb.jpg",
        "index.html",
        "assets.py",
    ],
)
def test_other_paths_are_not_found(address: str, path: str) -> None:
    # Sent unchanged; httpx would resolve "." and "..".
    server = urlsplit(f"{address}stage/")
    with closing(HTTPConnection(server.hostname or "", server.port, timeout=60)) as connection:
        connection.request("GET", server.path + path.replace("\\", "%5c"))
        response = connection.getresponse()
        assert response.status == 404
        assert json.load(response)["error"].endswith(".")


def test_other_methods_are_refused(address: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert httpx.request(method, f"{address}stage/static/js/main.js", timeout=60).status_code == 404


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    files, file = Files(folder), folder / "main.js"
    assert files.get("main.js") is None
    file.write_text("let a = 1;")
    first = files.get("main.js")
    assert first is not None
    assert files.get("main.js") is first
    file.write_text("let a = 1234;")
    second = files.get("main.js")
    assert second is not None
    assert second.data == b"let a = 1234;"
    assert second.tag != first.tag
    secret = tmp_path / "secret.js"
    secret.write_text("secret")
    (folder / "link.js").symlink_to(secret)
    assert files.get("link.js") is None
    assert files.get("x" * 10_000 + ".js") is None


@pytest.mark.parametrize(
    ("header", "coding", "expected"),
    [
        ("gzip", "gzip", True),
        ("deflate, gzip;q=0.5, br", "gzip", True),
        ("GZIP", "gzip", True),
        ("gzip;q=0", "gzip", False),
        ("gzip; q=0.000", "gzip", False),
        ("gzip;q=1.0", "gzip", True),
        ("br", "gzip", False),
        ("x-gzip-not", "gzip", False),
        ("", "gzip", False),
        ("gzip, br", "br", True),
        ("br;q=0, gzip", "br", False),
        ("gzip", "br", False),
    ],
)
def test_a_coding_is_used_only_if_it_is_accepted(header: str, coding: str, expected: bool) -> None:
    assert accepts(header, coding) is expected


def test_a_star_matches_any_tag() -> None:
    assert matches("*", '"a"')
    assert not matches("", '"a"')


# ---------------------------------------------------------------- example photos


def test_an_example_photo_is_sent_in_the_size_that_is_shown(address: str) -> None:
    response = get(f"{address}stage/examples/bison.jpg")
    assert response.headers["content-type"] == "image/jpeg"
    photo = Image.open(io.BytesIO(response.content))
    assert max(photo.size) == 448
    expected = Image.open(EXAMPLES / "bison.jpg").convert("RGB").resize(photo.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(photo, float) - np.asarray(expected, float)).mean() < 6


def test_every_thumbnail_is_small(address: str) -> None:
    for path in EXAMPLES.glob("*.jpg"):
        response = get(f"{address}stage/examples/{path.stem}.thumb.jpg")
        thumb = Image.open(io.BytesIO(response.content))
        original = Image.open(path)
        assert thumb.format == "JPEG"
        assert max(thumb.size) == 80
        assert thumb.width / thumb.height == pytest.approx(original.width / original.height, rel=0.02)
        assert len(response.content) < 12_000
        assert not thumb.getexif()
        tag = response.headers["etag"]
        assert get(f"{address}stage/examples/{path.stem}.thumb.jpg", **{"If-None-Match": tag}).status_code == 304


def test_the_events_work_under_the_path_of_a_mounted_page(mounted: str) -> None:
    scene = event_result(mounted, "scene", subject("example:espresso"), {"4b": ["1x1"]})
    assert scene["off"] == {"4b": ["1x1"]}
    assert [row["name"] for row in event_result(mounted, "start")["models"]] == ["tiny-imagenet"]


def test_without_a_network_a_first_visit_has_no_file_and_the_log_no_traceback(
    mounted: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: FirstVisit) -> None:
        raise WeightsError("weights_missing", "There is no file {name}; please check the path.", name="a.pth")

    monkeypatch.setattr(FirstVisit, "asset", fail)
    assert get(f"{mounted}stage/first.json").status_code == 404
    assert caplog.text == ""
