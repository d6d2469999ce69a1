"""Security: visitors cannot read others' photos or the server's files, or make the server fetch a URL."""

from __future__ import annotations

import asyncio
import hashlib
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
from urllib.parse import quote

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio import processing_utils, route_utils
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image
from playwright.sync_api import Browser, expect

from inception.errors import PhotoError
from inception.pretrained import checkpoint, zoo
from inception.pretrained.description import Description
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.blocks import build
from inception.web.http.security_headers import HEADERS, STAGE_HEADERS
from inception.web.photo_input import PhotoInput
from support.paths import EXAMPLES, ROOT
from support.raw_request import request
from support.server import running
from support.stage_visitor import StageVisit
from support.visitor import ApiVisit

SECRET = "c0ffee-secret-of-the-server"
META = {"_type": "gradio.FileData"}


def upload(address: str, data: bytes, name: str = "photo.jpg") -> str:
    """Upload a file; return its path on the server."""
    response = httpx.post(f"{address}gradio_api/upload", files={"files": (name, data)}, timeout=60)
    (path,) = response.raise_for_status().json()
    return path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A picture on the server that contains `SECRET` and was not uploaded."""
    path = tmp_path / "secret.png"
    Image.new("RGB", (300, 300), "teal").save(path)
    path.write_bytes(path.read_bytes() + SECRET.encode())
    return path


# ---------------------------------------------------------------- the server's files

FILE_ROUTES = (
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
PARENTS = "../" * 12


def spellings(path: str) -> Iterator[str]:
    """Yield spellings of a file's path that might bypass a check."""
    relative, traversal, folder = path.lstrip("/"), PARENTS + path.lstrip("/"), get_upload_folder()
    for spelling in (
        path,
        relative,
        traversal,
        f"{folder}/{traversal}",
        f"{folder}/{'0' * 64}/{traversal}",
        f"/{path}",
    ):
        yield quote(spelling)
        yield quote(spelling, safe="")
        yield quote(quote(spelling, safe=""), safe="")
    yield traversal.replace("../", "....//")
    yield quote(traversal.replace("/", "\\"))
    yield traversal.replace("..", "%c0%ae%c0%ae")
    yield traversal.replace("../", "..;/")
    yield quote(path) + "%00.jpg"
    yield f"file://{path}"
    yield f"{quote(path)}/."
    yield f"/./{quote(relative)}"


def test_no_route_serves_a_file_of_the_server(page_address: str, secret: Path) -> None:
    served = []
    for target in (str(secret), "/etc/passwd", str(ROOT / "app.py"), str(ROOT / "weights" / "README.md")):
        markers = (SECRET.encode(), b"root:x:0:0", b"import argparse", b"# Model card")
        for route in FILE_ROUTES:
            for spelling in spellings(target):
                status, body = request(page_address, route + spelling)
                if status < 400 or any(marker in body for marker in markers):
                    served.append((route + spelling, status))
    assert served == []
    # An uploaded file is served.
    uploaded = upload(page_address, secret.read_bytes())
    assert SECRET.encode() in request(page_address, "/gradio_api/file=" + quote(uploaded))[1]


def test_a_symbolic_link_in_the_upload_folder_is_not_followed(page_address: str, secret: Path) -> None:
    folder = Path(get_upload_folder()) / hashlib.sha256(os.urandom(8)).hexdigest()
    folder.mkdir(parents=True)
    try:
        (folder / "link.png").symlink_to(secret)
        (folder / "own.png").write_bytes(secret.read_bytes())
        assert request(page_address, f"/gradio_api/file={folder}/own.png")[0] == 200
        status, body = request(page_address, f"/gradio_api/file={folder}/link.png")
        assert status == 403
        assert SECRET.encode() not in body
    finally:
        shutil.rmtree(folder)


def test_the_path_of_an_upload_cannot_be_guessed_or_listed(page_address: str) -> None:
    data = (EXAMPLES / "bison.jpg").read_bytes() + os.urandom(8)
    path = Path(upload(page_address, data, "holiday.jpg"))
    # A digest with a seed of the server: it cannot be computed from the photo alone.
    assert re.fullmatch("[0-9a-f]{64}", path.parent.name)
    assert path.parent.name not in {getattr(hashlib, kind)(data).hexdigest() for kind in ("sha256", "sha3_256")}
    assert len(processing_utils.hash_seed) >= 32
    for folder in (path.parent, path.parent.parent, f"{path.parent.parent}/", path.parent / "*", path.parent / "."):
        assert request(page_address, f"/gradio_api/file={folder}")[0] == 403
    assert request(page_address, f"/gradio_api/file={path.parent.parent / ('0' * 64) / path.name}")[0] == 403


# ---------------------------------------------------------------- files and URLs in calls


def photo_forms(path: str) -> list[Any]:
    """Return every form in which a request may name a photo."""
    file = {"path": path, "orig_name": "photo.png", "meta": META}
    return [file, {"path": path}, {**file, "url": path}, {"path": path, "url": None, "meta": META}, [file]]


def call_everything(address: str, path: str) -> list[tuple[str, int, bytes]]:
    """Call every public endpoint, and the page's own routes, with that photo; return name, status and body of each."""
    info = httpx.get(f"{address}gradio_api/info", timeout=60).json()["named_endpoints"]
    responses = []
    for photo in photo_forms(path):
        for name, endpoint in info.items():
            data = [
                photo if row["component"] in ("Image", "Json") else row.get("parameter_default")
                for row in endpoint["parameters"]
            ]
            if photo in data:
                body = json.dumps({"data": data}).encode()
                responses.append((name, *request(address, f"/gradio_api/call{name}", "POST", body)))
        for route in ("queue/join", "run/predict", "call/v2/predict"):
            body = json.dumps({"data": [photo], "photo": photo, "fn_index": 0, "session_hash": "me"}).encode()
            responses.append((route, *request(address, f"/gradio_api/{route}", "POST", body)))
    return responses


@pytest.mark.parametrize("path", ["/etc/passwd", "secret", "../../etc/passwd", "data", ""])
def test_no_endpoint_opens_a_file_that_was_not_uploaded(page_address: str, secret: Path, path: str) -> None:
    named = {"secret": str(secret), "data": f"{get_upload_folder()}/../{secret.name}"}.get(path, path)
    responses = call_everything(page_address, named)
    assert len(responses) > 40
    for name, status, body in responses:
        assert status == 422, name
        assert "Only photos that were uploaded to this page can be opened here" in json.loads(body)["error"]
        assert str(secret.parent).encode() not in body


def test_gradios_python_client_raises_the_sentence_of_the_refusal(page_address: str) -> None:
    client = Client(page_address, verbose=False)
    with pytest.raises(ValidationError, match="Only photos that were uploaded to this page"):
        client.predict(handle_file("http://127.0.0.1:9/photo.jpg"), "tiny-imagenet", 3, api_name="/predict")
    assert client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 3, api_name="/predict")["top"]


@pytest.fixture
def trap(http_server: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A server that must not be contacted, and the paths requested from it.

    Gradio fetches from public hosts only; in the test, this machine counts as one.
    """
    requested: list[str] = []

    def respond(request: BaseHTTPRequestHandler) -> None:
        requested.append(request.path)
        body = (EXAMPLES / "bison.jpg").read_bytes()
        request.send_response(200)
        request.send_header("Content-Type", "image/jpeg")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    async def resolve(_: str) -> str:
        return "127.0.0.1"

    monkeypatch.setattr(processing_utils, "PUBLIC_HOSTNAME_WHITELIST", ["127.0.0.1"])
    monkeypatch.setattr(route_utils.safehttpx, "async_validate_url", resolve)
    address = http_server(respond)
    with ThreadPoolExecutor(1) as thread:
        response = thread.submit(asyncio.run, processing_utils.async_ssrf_protected_get(f"{address}/allowed")).result()
    assert response.status_code == 200
    assert requested.pop() == "/allowed", "Gradio must be able to fetch it"
    return address, requested


def test_the_server_fetches_no_url_that_a_visitor_names(page_address: str, trap: tuple[str, list[str]]) -> None:
    address, requested = trap
    for name, status, _ in call_everything(page_address, f"{address}/photo.jpg"):
        assert status == 422, name
    for route in ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/file=", "/proxy="):
        for url in (address, quote(address, safe=""), address.replace("http://", "http:/"), address[5:]):
            assert request(page_address, f"{route}{url}/photo.jpg")[0] >= 400
    photo = {
        "path": upload(page_address, (EXAMPLES / "bison.jpg").read_bytes()),
        "url": f"{address}/u.jpg",
        "meta": META,
    }
    response = httpx.post(
        f"{page_address}gradio_api/call/predict", json={"data": [photo, "tiny-imagenet", 3]}, timeout=60
    )
    event = response.raise_for_status().json()["event_id"]
    assert b"event: complete" in request(page_address, f"/gradio_api/call/predict/{event}")[1]
    assert requested == []


@pytest.mark.parametrize("target", ["/etc/passwd", "secret", "http"])
def test_a_page_mounted_without_the_guard_opens_no_other_file(
    secret: Path, trap: tuple[str, list[str]], target: str
) -> None:
    address, requested = trap
    path = {"secret": str(secret), "http": f"{address}/photo.jpg"}.get(target, target)
    page = build(InferenceService(("tiny-imagenet",), choose_device("cpu")))
    with TestClient(gr.mount_gradio_app(FastAPI(), page, path="/lens", show_error=False)) as client:
        body = {"data": [{"path": path, "meta": META}, "tiny-imagenet", 3]}
        event = client.post("/lens/gradio_api/call/predict", json=body).json()["event_id"]
        result = client.get(f"/lens/gradio_api/call/predict/{event}").text
    assert "event: error" in result
    assert "Only photos that were uploaded to this page" in result
    assert requested == []


def test_the_photo_component_caches_no_file_that_was_not_uploaded(secret: Path) -> None:
    async def cache() -> None:
        with pytest.raises(PhotoError, match="Only photos that were uploaded"):
            await PhotoInput(render=False).async_move_resource_to_block_cache(str(secret))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, cache()).result()


# ---------------------------------------------------------------- other visitors, other networks


def test_a_session_cannot_fetch_the_result_of_another(page_address: str) -> None:
    photo = {"path": upload(page_address, (EXAMPLES / "espresso.jpg").read_bytes()), "meta": META}
    body = json.dumps({"data": [photo, "tiny-imagenet", 3]}).encode()
    event = json.loads(request(page_address, "/gradio_api/call/predict", "POST", body)[1])["event_id"]
    for guess in ("", "x", event[:-1], event[::-1], "*", "%"):
        guess = quote(guess, safe="")
        for path in (f"queue/data?session_hash={guess}", f"call/predict/{guess}x", f"call/v2/predict/{guess}x"):
            status, refusal = request(page_address, f"/gradio_api/{path}")
            assert status == 404
            assert "does not know this session or call" in json.loads(refusal)["error"]
    # The caller has the event's id, which is long and random.
    assert re.fullmatch("[0-9a-f]{32}", event)
    assert b"espresso" in request(page_address, f"/gradio_api/call/predict/{event}")[1]


@pytest.mark.parametrize(
    "model", ["path", "../mine.safetensors", "mine.safetensors", "/etc/passwd", "googlenet/..", ""]
)
def test_only_the_offered_networks_can_be_chosen(page_address: str, tmp_path: Path, model: str) -> None:
    tiny = zoo.load()
    description = Description("batchnorm", tiny.labels, tiny.preprocessing, tiny.provenance)
    checkpoint.save_checkpoint(tmp_path / "mine.safetensors", tiny.model.state_dict(), description)
    name = str(tmp_path / "mine.safetensors") if model == "path" else model
    client = Client(page_address, verbose=False)
    photo = handle_file(str(EXAMPLES / "bison.jpg"))
    for endpoint, arguments in (("/predict", (photo, name, 3)), ("/anatomy", (name, "3a"))):
        with pytest.raises(AppError):
            client.predict(*arguments, api_name=endpoint)
    response = httpx.get(page_address, params={"model": name}, timeout=60)
    assert response.status_code == 200
    assert str(tmp_path) not in client.view_api(return_format="str")


# ---------------------------------------------------------------- headers, cookies, telemetry


def test_every_response_has_the_security_headers(page_address: str) -> None:
    uploaded = upload(page_address, b"<script>alert(1)</script>", "page.html")
    for path in (
        "",
        "?view=api",
        "stage/static/js/main.js",
        "config",
        f"gradio_api/file={uploaded}",
        "nothing/here",
        "theme.css",
    ):
        response = httpx.get(page_address + path, timeout=60)
        expected = HEADERS | (STAGE_HEADERS if path == "" else {})
        assert {name: response.headers[name] for name in expected} == expected, path
        assert "set-cookie" not in response.headers
        assert "x-frame-options" not in response.headers, "a Space is embedded in a frame of its host"
    assert not any("frame-ancestors" in value for value in (*HEADERS.values(), *STAGE_HEADERS.values()))
    # An upload is never rendered as a page of this server.
    file = httpx.get(f"{page_address}gradio_api/file={uploaded}", timeout=60)
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["content-type"] == "application/octet-stream"


@pytest.mark.browser
def test_the_browser_stores_nothing_of_a_visit(visit: StageVisit) -> None:
    visit.open()
    visit.upload(EXAMPLES / "bison.jpg")
    expect(visit.page.locator("[data-stage=answer] h2")).to_contain_text("bison", timeout=30_000)
    stored = visit.page.evaluate(
        "async () => ({cookies: document.cookie, local: Object.keys(localStorage), "
        "databases: (await indexedDB.databases()).map(base => base.name), caches: await caches.keys()})"
    )
    assert visit.page.context.cookies() == []
    assert stored == {"cookies": "", "local": [], "databases": [], "caches": []}


@pytest.mark.browser
def test_the_page_of_a_space_contacts_no_other_server(browser: Browser) -> None:
    space = {"SPACE_ID": "somebody/lens", "SYSTEM": "spaces"}
    with running("app.py", "--device", "cpu", **space) as (address, _):
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-US")
        visit, documentation = StageVisit(context, address), ApiVisit(context, address)
        visit.open("")
        visit.upload(EXAMPLES / "bison.jpg")
        expect(visit.page.locator("[data-stage=answer] h2")).to_contain_text("bison", timeout=30_000)
        contacted = visit.foreign_requests + documentation.foreign_requests
        context.close()
    assert contacted == []


def test_the_app_turns_telemetry_off_before_the_libraries_read_their_settings(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['app.py', '--model', 'nowhere.pth']\n"
        # The app exits because the network does not exist, after loading all libraries with telemetry.
        "try: runpy.run_path('app.py', run_name='__main__')\n"
        "except SystemExit: assert 'gradio' in sys.modules\n"
        "import huggingface_hub.constants as hub, gradio\n"
        "print(hub.HF_HUB_DISABLE_TELEMETRY, gradio.analytics.analytics_enabled())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GRADIO_", "HF_"))}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert run.stdout.split() == ["True", "False"]


def test_the_app_does_not_run_the_code_of_a_pickle(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"weight": Malicious()}))
    command = [sys.executable, "app.py", "--model", str(tmp_path / "evil.pth")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 2
    assert "running code from a checkpoint is not allowed" in run.stderr
    assert not (tmp_path / "ran").exists()
