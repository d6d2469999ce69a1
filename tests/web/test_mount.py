"""The page mounted in another FastAPI application, served by uvicorn."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import gradio as gr
import pytest
from fastapi import FastAPI
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inception import mount
from inception.errors import DeviceError, UserError, WeightsError
from support.mounted import served
from support.paths import EXAMPLES, ROOT
from support.stage_visitor import StageVisit
from support.visitor import ApiVisit


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """Address of an application that mounts the page under /lens."""
    app = FastAPI()

    @app.get("/own")
    def own() -> str:
        return "still here"

    mount(app, path="/lens", device="cpu", mcp=find_spec("mcp") is not None)
    with served(app) as address:
        yield address


def test_the_host_keeps_its_own_routes(host: str) -> None:
    assert urlopen(f"{host}/own", timeout=60).read() == b'"still here"'


def test_the_health_check_is_served_under_the_path(host: str) -> None:
    assert urlopen(f"{host}/lens/healthz", timeout=60).read() == b'{"status":"ok"}'
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{host}/healthz", timeout=60)  # left to the host


def test_the_api_is_served_under_the_path(host: str) -> None:
    client = Client(f"{host}/lens", verbose=False)
    result = client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 1, api_name="/predict")
    assert result["top"][0]["label"] == "bison"


def test_the_mcp_server_is_served_under_the_path(host: str) -> None:
    pytest.importorskip("mcp", reason="needs requirements-mcp.txt")
    from support.mcp_client import run_session

    listing = run_session(f"{host}/lens/gradio_api/mcp/", lambda client: client.list_tools())
    assert "branch_votes" in {tool.name for tool in listing.tools}


def test_tools_do_not_contact_a_host_named_by_the_client(host: str, http_server: Callable[..., str]) -> None:
    pytest.importorskip("mcp", reason="needs requirements-mcp.txt")
    from support.mcp_client import call, photo_url

    requested = []

    def respond(request: BaseHTTPRequestHandler) -> None:
        requested.append(request.path)
        request.send_error(404)

    other_server = http_server(respond)
    headers = {"Host": other_server.removeprefix("http://")}
    result = call(f"{host}/lens/gradio_api/mcp/", "predict", {"photo": photo_url()}, headers=headers)
    assert not result.isError
    assert json.loads(result.content[0].text)["top"][0]["label"] == "espresso"
    assert requested == []


@pytest.mark.browser
def test_the_page_works_in_a_browser_under_the_path(host: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-US")
    try:
        visit = StageVisit(context, f"{host}/lens")
        visit.open("")
        visit.page.get_by_role("button", name="espresso").first.click()
        expect(visit.page.locator("[data-stage=answer] h2")).to_contain_text("espresso")
        visit.unfold("5a")
        expect(visit.page).to_have_url(re.compile(rf"^{host}/lens/\?photo=espresso&model=tiny-imagenet&block=5a"))
        visit.upload(EXAMPLES / "bison.jpg")
        expect(visit.page.locator("[data-stage=answer] h2")).to_contain_text("bison", timeout=30_000)
        documentation = ApiVisit(context, f"{host}/lens")
        assert visit.foreign_requests == documentation.foreign_requests == []
        assert visit.errors == documentation.errors == []
    finally:
        context.close()


def test_uploads_to_the_page_are_deleted_and_files_of_other_apps_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The host mounts another Gradio app, and both store their files in one folder.
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    app = FastAPI()
    lens = mount(app, path="/lens", models=["tiny-imagenet"], device="cpu", keep_minutes=0.05).routes[-1].app.app
    other_app = gr.Interface(lambda file: file, gr.File(), gr.File(), api_name="echo")
    gr.mount_gradio_app(app, other_app, "/other")
    examples = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert examples
    with served(app) as address:
        photo = handle_file(str(EXAMPLES / "bison.jpg"))
        text_file = tmp_path.with_suffix(".txt")
        text_file.write_text("text")
        Client(f"{address}/other", verbose=False).predict(handle_file(str(text_file)), api_name="/echo")
        other_files = {path for path in tmp_path.rglob("*") if path.is_file()} - examples
        assert other_files
        client = Client(f"{address}/lens", verbose=False)
        assert client.predict(photo, "tiny-imagenet", 1, api_name="/predict")["top"][0]["label"] == "bison"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (
            {path for path in tmp_path.rglob("*") if path.is_file()} != examples | other_files
            or lens.state_holder.session_data
        ):
            time.sleep(0.1)
        assert {path for path in tmp_path.rglob("*") if path.is_file()} == examples | other_files
        assert not lens.state_holder.session_data
        assert not any(path.is_dir() and not any(path.iterdir()) for path in tmp_path.rglob("*")), (
            "empty folders must be deleted"
        )
        # The page still works.
        assert client.predict(photo, "tiny-imagenet", 1, api_name="/predict")["top"][0]["label"] == "bison"


def test_mounting_with_an_unknown_model_or_device_fails(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no file"):
        mount(FastAPI(), models=[tmp_path / "gone.pth"], device="cpu")
    with pytest.raises(WeightsError, match="There is no file"):
        mount(FastAPI(), models=tmp_path / "gone.pth", device="cpu")
    with pytest.raises(WeightsError, match="no weights called 'abacus'"):
        mount(FastAPI(), models="abacus", device="cpu")
    with pytest.raises(DeviceError, match="choose one of"):
        mount(FastAPI(), device="abacus")


def test_importing_the_package_loads_neither_gradio_nor_torch() -> None:
    code = "import sys, inception.web; sys.exit(any(name in sys.modules for name in ('gradio', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def page_in(place: str) -> tuple[Starlette, str, dict[str, str]]:
    """An application with the page, the page's path in it, and how a proxy's requests are marked."""
    app = FastAPI()
    if place == "proxy":  # it removes /school from the path
        return (
            mount(app, "/lens", device="cpu", root_path="/school/lens"),
            "/lens",
            {"X-Forwarded-Host": "school.example"},
        )
    if place == "outer":
        outer = FastAPI(
            lifespan=lambda _: app.router.lifespan_context(app)
        )  # Starlette does not run those of mounted apps
        outer.mount("/school", mount(app, "/lens", device="cpu"))
        return outer, "/school/lens", {}
    if place == "uvicorn":  # with `--root-path /school`, which it prefixes to the path
        return mount(app, "/lens", device="cpu"), "/school/lens", {}
    return mount(app, place, device="cpu"), place.rstrip("/"), {}


@pytest.mark.parametrize("place", ["/lens", "/lens/", "lens", "/", "proxy", "outer", "uvicorn"])
def test_the_page_answers_wherever_it_is_mounted(place: str) -> None:
    app, path, headers = page_in(place)
    path = f"/{path}" if path and not path.startswith("/") else path
    public = "http://school.example/school/lens" if place == "proxy" else f"http://testserver{path}"
    with TestClient(app, root_path="/school" if place == "uvicorn" else "", headers=headers) as client:
        assert client.get(f"{path}/healthz").json() == {"status": "ok"}
        assert client.get(f"{path}/nothing").status_code == 404
        front = client.get(f"{path}/")
        assert front.status_code == 200
        assert "<title>InceptionLens" in front.text
        assert client.get(f"{path}/config").json()["root"] == public
        information = client.get(f"{path}/gradio_api/info").json()["named_endpoints"]["/predict"]
        photo = {**information["parameters"][0]["example_input"], "meta": {"_type": "gradio.FileData"}}
        assert photo["url"].startswith(f"{public}/gradio_api/file=")
        body = {"data": [photo, "tiny-imagenet", "4a", "1x1", 0, "viridis"]}
        event = client.post(f"{path}/gradio_api/call/channel", json=body).json()["event_id"]
        *_, last = client.get(f"{path}/gradio_api/call/channel/{event}").text.strip().splitlines()
        drawn = json.loads(last.removeprefix("data: "))[0]["url"]
        assert drawn.startswith(f"{public}/gradio_api/file=")
        assert client.get(f"{path}{drawn.removeprefix(public)}").headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("minutes", [0, -1, float("inf"), float("nan")])
def test_a_time_for_which_no_photo_can_be_kept_is_an_error_at_once(minutes: float) -> None:
    with pytest.raises(UserError, match="above 0"):
        mount(FastAPI(), models=["tiny-imagenet"], device="cpu", keep_minutes=minutes)
