"""Nobody reads another's photo or a file of the server, or has the server ask others: asked of the served page."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio import processing_utils, route_utils
from gradio.routes import App
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image
from playwright.sync_api import Browser

from inception.pretrained import checkpoint, zoo
from inception.pretrained.description import Description
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.blocks import build
from inception.web.http.guard import HEADERS, POLICY
from inception.web.photo_input import PhotoInput
from support.paths import EXAMPLES, ROOT
from support.server import running
from support.visitor import Visit

SECRET = "c0ffee-what-no-visitor-may-read"
META = {"_type": "gradio.FileData"}


def ask(address: str, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Just these characters as the path, which other clients would tidy up first: status and body of the answer."""
    where = urlsplit(address)
    link = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    link.putrequest(method, path, skip_accept_encoding=True)
    if body is not None:
        link.putheader("Content-Type", "application/json")
        link.putheader("Content-Length", str(len(body)))
    link.endheaders(body)
    reply = link.getresponse()
    try:
        return reply.status, reply.read()
    except http.client.IncompleteRead as cut:
        return reply.status, cut.partial  # Gradio's way to say that there is no such session
    finally:
        link.close()


def send(address: str, data: bytes, name: str = "photo.jpg") -> str:
    """Upload a file; the path that the server gives it."""
    sent = httpx.post(f"{address}gradio_api/upload", files={"files": (name, data)}, timeout=60)
    (path,) = sent.raise_for_status().json()
    return path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A picture that lies on the server, with the secret's text in it; a visitor did not send it."""
    path = tmp_path / "secret.png"
    Image.new("RGB", (300, 300), "teal").save(path)
    path.write_bytes(path.read_bytes() + SECRET.encode())
    return path


# ---------------------------------------------------------------- the server's files

WAYS = (
    "/gradio_api/file=",
    "/gradio_api/file/",
    "/file=",
    "/file/",
    "/static/",
    "/assets/",
    "/svelte/",
    "/gradio_api/proxy=",
    "/gradio_api/proxy=file://",
    "/gradio_api/stream/",
    "/gradio_api/custom_component/x/client/",
    "/gradio_api/deep_link/",
    "/",
)
UP = "../" * 12


def spellings(path: str) -> Iterator[str]:
    """A file's path in every way that might get past somebody who checks it."""
    bare, climbing, folder = path.lstrip("/"), UP + path.lstrip("/"), get_upload_folder()
    for told in (path, bare, climbing, f"{folder}/{climbing}", f"{folder}/{'0' * 64}/{climbing}", f"/{path}"):
        yield quote(told)
        yield quote(told, safe="")
        yield quote(quote(told, safe=""), safe="")
    yield climbing.replace("../", "....//")
    yield quote(climbing.replace("/", "\\"))
    yield climbing.replace("..", "%c0%ae%c0%ae")
    yield climbing.replace("../", "..;/")
    yield quote(path) + "%00.jpg"
    yield f"file://{path}"
    yield f"{quote(path)}/."
    yield f"/./{quote(bare)}"


def test_no_address_gives_a_file_of_the_server(page_address: str, secret: Path) -> None:
    given = []
    for target in (str(secret), "/etc/passwd", str(ROOT / "app.py"), str(ROOT / "weights" / "README.md")):
        marks = (SECRET.encode(), b"root:x:0:0", b"import argparse", b"# Model card")
        for way in WAYS:
            for told in spellings(target):
                status, body = ask(page_address, way + told)
                if status < 400 or any(mark in body for mark in marks):
                    given.append((way + told, status))
    assert given == []
    # And what is asked for in this way is given, where it is the visitor's own.
    own = send(page_address, secret.read_bytes())
    assert SECRET.encode() in ask(page_address, "/gradio_api/file=" + quote(own))[1]


def test_a_link_in_the_upload_folder_leads_nowhere(page_address: str, secret: Path) -> None:
    folder = Path(get_upload_folder()) / hashlib.sha256(os.urandom(8)).hexdigest()
    folder.mkdir(parents=True)
    try:
        (folder / "link.png").symlink_to(secret)
        (folder / "own.png").write_bytes(secret.read_bytes())
        assert ask(page_address, f"/gradio_api/file={folder}/own.png")[0] == 200
        status, body = ask(page_address, f"/gradio_api/file={folder}/link.png")
        assert status == 403
        assert SECRET.encode() not in body
    finally:
        shutil.rmtree(folder)


def test_the_name_of_anothers_photo_cannot_be_guessed_or_looked_up(page_address: str) -> None:
    data = (EXAMPLES / "bison.jpg").read_bytes() + os.urandom(8)
    path = Path(send(page_address, data, "holiday.jpg"))
    # A digest under a seed of this server's: who has the photo learns nothing from it, who has not even less.
    assert re.fullmatch("[0-9a-f]{64}", path.parent.name)
    assert path.parent.name not in {getattr(hashlib, kind)(data).hexdigest() for kind in ("sha256", "sha3_256")}
    assert len(processing_utils.hash_seed) >= 32
    for folder in (path.parent, path.parent.parent, f"{path.parent.parent}/", path.parent / "*", path.parent / "."):
        assert ask(page_address, f"/gradio_api/file={folder}")[0] == 403
    assert ask(page_address, f"/gradio_api/file={path.parent.parent / ('0' * 64) / path.name}")[0] == 403


# ---------------------------------------------------------------- asking the page for a file, or for an address


def told_of(path: str) -> list[Any]:
    """A photo that was not sent, in every form in which the page is told of one."""
    whole = {"path": path, "orig_name": "photo.png", "meta": META}
    return [whole, {"path": path}, {**whole, "url": path}, {"path": path, "url": None, "meta": META}, [whole]]


def everything_asked(address: str, path: str) -> list[tuple[str, int, bytes]]:
    """Every public endpoint and both of the page's own ways, each with that photo: what was asked, and the answer."""
    info = httpx.get(f"{address}gradio_api/info", timeout=60).json()["named_endpoints"]
    replies = []
    for photo in told_of(path):
        for name, endpoint in info.items():
            data = [
                photo if row["component"] in ("Image", "Json") else row.get("parameter_default")
                for row in endpoint["parameters"]
            ]
            if photo in data:
                told = json.dumps({"data": data}).encode()
                replies.append((name, *ask(address, f"/gradio_api/call{name}", "POST", told)))
        for way in ("queue/join", "run/predict", "call/v2/predict"):
            told = json.dumps({"data": [photo], "photo": photo, "fn_index": 0, "session_hash": "me"}).encode()
            replies.append((way, *ask(address, f"/gradio_api/{way}", "POST", told)))
    return replies


@pytest.mark.parametrize("path", ["/etc/passwd", "secret", "../../etc/passwd", "data", ""])
def test_no_endpoint_opens_a_file_that_was_not_sent_to_it(page_address: str, secret: Path, path: str) -> None:
    told = {"secret": str(secret), "data": f"{get_upload_folder()}/../{secret.name}"}.get(path, path)
    replies = everything_asked(page_address, told)
    assert len(replies) > 40
    for what, status, body in replies:
        assert status == 422, what
        assert "Only a photo that was sent to this page can be opened here" in json.loads(body)["error"]
        assert str(secret.parent).encode() not in body


def test_the_python_client_hands_on_the_sentence(page_address: str) -> None:
    client = Client(page_address, verbose=False)
    with pytest.raises(ValidationError, match="Only a photo that was sent to this page"):
        client.predict(handle_file("http://127.0.0.1:9/photo.jpg"), "tiny-imagenet", 3, api_name="/predict")
    assert client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 3, api_name="/predict")["top"]


@pytest.fixture
def trap(http_server: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A server that others might be made to ask, and what it was asked.

    Gradio itself would not ask this machine, but any other: for the test it is made to take this one for another.
    """
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        body = (EXAMPLES / "bison.jpg").read_bytes()
        request.send_response(200)
        request.send_header("Content-Type", "image/jpeg")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    async def anything(_: str) -> str:
        return "127.0.0.1"

    monkeypatch.setattr(processing_utils, "PUBLIC_HOSTNAME_WHITELIST", ["127.0.0.1"])
    monkeypatch.setattr(route_utils.safehttpx, "async_validate_url", anything)
    address = http_server(answer)
    with ThreadPoolExecutor(1) as thread:
        fetched = thread.submit(asyncio.run, processing_utils.async_ssrf_protected_get(f"{address}/allowed")).result()
    assert fetched.status_code == 200
    assert asked.pop() == "/allowed", "whoever lets it through has Gradio ask"
    return address, asked


def test_the_server_asks_no_address_that_a_visitor_names(page_address: str, trap: tuple[str, list[str]]) -> None:
    address, asked = trap
    for what, status, _ in everything_asked(page_address, f"{address}/photo.jpg"):
        assert status == 422, what
    for way in ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/file=", "/proxy="):
        for told in (address, quote(address, safe=""), address.replace("http://", "http:/"), address[5:]):
            assert ask(page_address, f"{way}{told}/photo.jpg")[0] >= 400
    link = {"path": send(page_address, (EXAMPLES / "bison.jpg").read_bytes()), "url": f"{address}/u.jpg", "meta": META}
    own = httpx.post(f"{page_address}gradio_api/call/predict", json={"data": [link, "tiny-imagenet", 3]}, timeout=60)
    event = own.raise_for_status().json()["event_id"]
    assert b"event: complete" in ask(page_address, f"/gradio_api/call/predict/{event}")[1]
    assert asked == []


@pytest.mark.parametrize("mounted", ["/etc/passwd", "secret", "http"])
def test_a_page_mounted_without_the_door_opens_no_other_file_either(
    secret: Path, trap: tuple[str, list[str]], mounted: str
) -> None:
    address, asked = trap
    path = {"secret": str(secret), "http": f"{address}/photo.jpg"}.get(mounted, mounted)
    page = build(InferenceService(("tiny-imagenet",), choose_device("cpu")))
    with TestClient(gr.mount_gradio_app(FastAPI(), page, path="/lens", show_error=False)) as client:
        told = {"data": [{"path": path, "meta": META}, "tiny-imagenet", 3]}
        event = client.post("/lens/gradio_api/call/predict", json=told).json()["event_id"]
        answer = client.get(f"/lens/gradio_api/call/predict/{event}").text
    assert "event: error" in answer
    assert "Only a photo that was sent to this page" in answer
    assert asked == []


def test_a_photo_component_keeps_nothing_that_was_not_sent(secret: Path) -> None:
    async def keep() -> None:
        with pytest.raises(gr.Error, match="Only a photo"):
            await PhotoInput(render=False).async_move_resource_to_block_cache(str(secret))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, keep()).result()


# ---------------------------------------------------------------- other visitors, other routes

# What of Gradio's server this page needs. Anything else, whatever a later version adds, is not there.
SERVED = {
    *("GET /", "GET /config", "GET /theme.css", "GET /favicon.ico", "GET /robots.txt", "GET /manifest.json"),
    *("GET /assets/{path}", "GET /static/{path}", "GET /svelte/{path}"),
    *("GET /gradio_api/info", "GET /gradio_api/openapi.json", "GET /gradio_api/startup-events"),
    *("GET /gradio_api/theme.css", "GET /gradio_api/app_id", "GET /gradio_api/upload_progress"),
    *("GET /gradio_api/queue/data", "GET /gradio_api/queue/status", "GET /gradio_api/heartbeat/{session_hash}"),
    *("GET /gradio_api/call/{api_name}/{event_id}", "GET /gradio_api/call/v2/{api_name}/{event_id}"),
    *("POST /gradio_api/upload", "POST /gradio_api/queue/join", "POST /gradio_api/run/{api_name}"),
    *("POST /gradio_api/call/{api_name}", "POST /gradio_api/call/v2/{api_name}"),
    *("POST /gradio_api/cancel", "POST /gradio_api/reset"),
}
# Given to nobody in particular (`file=x` is no upload), or answered for as long as the page is open.
ASKED_ELSEWHERE = {"GET /gradio_api/file={path_or_url}", "GET /gradio_api/heartbeat/{session_hash}"}


def routes_of(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
        if inner:
            yield from routes_of(inner, prefix + getattr(route, "path", ""))
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, prefix + route.path


def test_only_what_the_page_needs_is_there(page_address: str) -> None:
    with gr.Blocks() as empty:
        pass
    passed, tried = set(), 0
    for method, path in routes_of(App.create_app(empty).routes):
        plain = f"{method} {path.replace(':path}', '}')}"
        if method == "HEAD" or plain in ASKED_ELSEWHERE:
            continue
        tried += 1
        asked = re.sub(r"{\w+(:path)?}", "x", path)
        _, body = ask(page_address, asked, method, b"{}" if method == "POST" else None)
        if b"There is nothing here" not in body:
            passed.add(plain.rstrip("/") if len(path) > 1 else plain)
    assert tried > 60
    assert passed - SERVED == set()
    assert {"GET /", "GET /config", "POST /gradio_api/queue/join"} <= passed
    closed = ("/monitoring/summary", "/gradio_api/runs", "/gradio_api/deep_link?session_hash=x", "/gradio_api/user")
    assert {ask(page_address, path)[0] for path in closed} == {404}
    for path in ("component_server", "process_recording", "stream/x", "vibe-edit", "run-history/connect"):
        assert ask(page_address, f"/gradio_api/{path}", "POST", b"{}")[0] == 404


def test_a_session_gives_another_nothing_of_its_own(page_address: str) -> None:
    photo = {"path": send(page_address, (EXAMPLES / "espresso.jpg").read_bytes()), "meta": META}
    told = json.dumps({"data": [photo, "tiny-imagenet", 3]}).encode()
    asked = json.loads(ask(page_address, "/gradio_api/call/predict", "POST", told)[1])["event_id"]
    for guess in ("", "x", asked[:-1], asked[::-1], "*", "%"):
        guess = quote(guess, safe="")
        for path in (f"queue/data?session_hash={guess}", f"call/predict/{guess}x", f"call/v2/predict/{guess}x"):
            status, body = ask(page_address, f"/gradio_api/{path}")
            assert status == 404
            assert "knows no such session or call" in json.loads(body)["error"]
    # Whoever asked has a name for it that is as long as it is random, and is answered by that.
    assert re.fullmatch("[0-9a-f]{32}", asked)
    assert b"espresso" in ask(page_address, f"/gradio_api/call/predict/{asked}")[1]


UNKNOWN = {"data": [], "session_hash": "nobody"}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("run/nothing", UNKNOWN),
        ("run/nothing/", UNKNOWN),
        ("run/predict", UNKNOWN),  # it waits in the queue, and is called there only
        ("call/nothing", UNKNOWN),
        ("call/v2/nothing", {}),
        ("call/v2", {}),
        *(
            (path, {**UNKNOWN, "fn_index": number})
            for path in ("queue/join", "run/predict")
            for number in (99999, -1, "55", 5.5, True, [55], 10**18, None)
            if not (path == "run/predict" and number is None)
        ),
        ("queue/join", []),
        ("run/predict", {**UNKNOWN, "fn_index": "the browser's own"}),
    ],
)
@pytest.mark.parametrize(("language", "sentence"), [("en", "has no such function"), ("zh", "没有这个功能")])
def test_what_is_no_function_of_the_page_is_refused_in_a_sentence(
    page_address: str, path: str, told: Any, language: str, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if isinstance(told, dict) and told.get("fn_index") == "the browser's own":
        config = httpx.get(f"{page_address}config", timeout=60).json()["dependencies"]
        told = {**told, "fn_index": next(row["id"] for row in config if not row["backend_fn"])}
    reply = httpx.post(f"{page_address}gradio_api/{path}", json=told, headers={"Accept-Language": language}, timeout=60)
    assert reply.status_code == 404
    assert sentence in reply.json()["error"] == reply.json()["detail"]
    assert "".join(capfd.readouterr()) == "", "nothing of it is written to the log"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("queue/join", {"data": 3, "fn_index": 55, "session_hash": "a"}),
        ("queue/join", {"data": [], "fn_index": 55, "session_hash": {}}),
        ("queue/join", {"data": [], "fn_index": 55}),
        ("call/predict", {"data": {}}),
        ("cancel", {}),
        ("cancel", [1]),
        ("reset", {"event_id": 7}),
    ],
)
def test_what_gradio_cannot_read_is_refused_in_a_sentence_that_quotes_nothing(
    page_address: str, path: str, told: Any
) -> None:
    reply = httpx.post(f"{page_address}gradio_api/{path}", json=told, timeout=60)
    assert 400 <= reply.status_code < 500
    said = reply.json().get("error", reply.json()["detail"])  # Gradio's own refusals have `detail` alone
    assert said.startswith(("What was sent could not be read", "Session hash not found"))
    assert "input" not in reply.text


@pytest.mark.parametrize(
    "path", ["queue/data", "upload_progress", "upload_progress?upload_id=x", "call/x/y", "call/v2/x/y"]
)
def test_what_nobody_asked_for_cannot_be_fetched(
    page_address: str, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reply = httpx.get(f"{page_address}gradio_api/{path}", timeout=60)
    assert 400 <= reply.status_code < 500
    assert reply.json()["error"].endswith(".")
    assert "".join(capfd.readouterr()) == ""


def test_addresses_that_are_too_long_are_refused_and_names_of_any_length_are_no_fault(page_address: str) -> None:
    for path in ("/assets/" + "a" * 400, "/static/" + "a/" * 400, "/assets/a%00b"):
        assert ask(page_address, path)[0] == 404
    for path in ("/?model=" + "a" * 5000, "/gradio_api/file=/" + "a/" * 3000, "/config?" + "&" * 5000):
        status, body = ask(page_address, path)
        assert status == 414
        assert "address is too long" in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=edge; charset=punycode", b"--edge--"),
        ("multipart/form-data; charset=idna; boundary=edge", b"--edge--"),
        ("multipart/form-data", b"--edge--"),
        ("multipart/form-data; boundary=" + "e" * 100, b"--edge--"),
        ("text/plain", b"--edge--"),
        ("multipart/form-data; boundary=edge", b"nothing of the kind"),
        (
            "multipart/form-data; boundary=edge",
            b'--edge\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--edge--',
        ),
        ("multipart/form-data; boundary=edge", b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n--edge--"),
        ("multipart/form-data; boundary=edge", b"--edge\r\nX: " + b"x" * 100_000 + b"\r\n\r\nx\r\n--edge--"),
        (
            "multipart/form-data; boundary=edge",
            b'--edge\r\nContent-Disposition: form-data; name="files"; filename=".."\r\n\r\nx\r\n--edge--',
        ),
    ],
    ids=range(10),
)
@pytest.mark.parametrize("query", ["", "?upload_id=one"])
def test_a_form_that_cannot_be_read_is_refused_in_a_sentence(
    page_address: str, kind: str, body: bytes, query: str
) -> None:
    headers = {"Content-Type": kind}
    reply = httpx.post(f"{page_address}gradio_api/upload{query}", content=body, headers=headers, timeout=60)
    assert reply.status_code == 400
    assert "could not be read" in reply.json()["error"]


@pytest.mark.parametrize(
    "model", ["path", "../mine.safetensors", "mine.safetensors", "/etc/passwd", "googlenet/..", ""]
)
def test_visitors_choose_among_the_networks_that_are_offered(page_address: str, tmp_path: Path, model: str) -> None:
    tiny = zoo.load()
    told = Description("batchnorm", tiny.labels, tiny.preprocessing, tiny.provenance)
    checkpoint.save_checkpoint(tmp_path / "mine.safetensors", tiny.model.state_dict(), told)
    name = str(tmp_path / "mine.safetensors") if model == "path" else model
    client = Client(page_address, verbose=False)
    photo = handle_file(str(EXAMPLES / "bison.jpg"))
    for endpoint, arguments in (("/predict", (photo, name, 3)), ("/anatomy", (name, "3a"))):
        with pytest.raises(AppError):
            client.predict(*arguments, api_name=endpoint)
    linked = httpx.get(page_address, params={"model": name}, timeout=60)
    assert linked.status_code == 200
    assert str(tmp_path) not in client.view_api(return_format="str")


# ---------------------------------------------------------------- headers, cookies, what is told to whom


def test_every_answer_has_the_headers_that_keep_a_browser_from_guessing_and_telling(page_address: str) -> None:
    own = send(page_address, b"<script>alert(1)</script>", "page.html")
    for path in ("", "config", f"gradio_api/file={own}", "nothing/here", "theme.css"):
        told = httpx.get(page_address + path, timeout=60)
        assert {name: told.headers[name] for name in HEADERS} == HEADERS, path
        assert "set-cookie" not in told.headers
        assert "x-frame-options" not in told.headers, "a Space is shown within a page of its host"
    assert "frame-ancestors" not in POLICY
    # What a visitor sends is never shown as a page of ours.
    sent = httpx.get(f"{page_address}gradio_api/file={own}", timeout=60)
    assert sent.headers["content-disposition"].startswith("attachment")
    assert sent.headers["content-type"] == "application/octet-stream"


@pytest.mark.browser
def test_the_browser_keeps_nothing_of_a_visit(visit: Visit) -> None:
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a")
    kept = visit.page.evaluate(
        "async () => ({cookies: document.cookie, local: Object.keys(localStorage), "
        "databases: (await indexedDB.databases()).map(base => base.name), caches: await caches.keys()})"
    )
    assert visit.page.context.cookies() == []
    assert kept == {"cookies": "", "local": [], "databases": [], "caches": []}


@pytest.mark.browser
def test_the_page_of_a_space_asks_nobody_but_its_own_server(browser: Browser) -> None:
    space = {"SPACE_ID": "somebody/lens", "SYSTEM": "spaces"}
    with running("app.py", "--device", "cpu", **space) as (address, _):
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        visit = Visit(context, address)
        visit.upload(EXAMPLES / "bison.jpg")
        visit.panels_of("Block 3a")
        asked = visit.foreign
        context.close()
    assert asked == []


def test_the_app_turns_telemetry_off_before_anything_reads_the_wish(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['app.py', '--model', 'nowhere.pth']\n"
        # It gives up at a network that is not there, with all that asks anybody anything loaded.
        "try: runpy.run_path('app.py', run_name='__main__')\n"
        "except SystemExit: assert 'gradio' in sys.modules\n"
        "import huggingface_hub.constants as hub, gradio\n"
        "print(hub.HF_HUB_DISABLE_TELEMETRY, gradio.analytics.analytics_enabled())"
    )
    bare = {name: told for name, told in os.environ.items() if not name.startswith(("GRADIO_", "HF_"))}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=bare, capture_output=True, text=True, check=True, timeout=300
    )
    assert run.stdout.split() == ["True", "False"]


def test_a_pickle_with_code_is_no_network_for_the_page(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"weight": Evil()}))
    command = [sys.executable, "app.py", "--model", str(tmp_path / "evil.pth")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 2
    assert "running code from a checkpoint is not allowed" in run.stderr
    assert not (tmp_path / "ran").exists()
