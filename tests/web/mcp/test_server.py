"""The page as an MCP server, called by a real MCP client over HTTP."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anyio
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from gradio_client import Client, handle_file
from jsonschema import Draft202012Validator
from PIL import Image
from playwright.sync_api import Browser, expect
from starlette.routing import Route

from inception import load, open_photo, predict
from inception.explain.shapley import branch_votes
from support.endpoints import ENDPOINTS
from support.event_loop import run_coroutine
from support.mounted import served
from support.paths import EXAMPLES, ROOT
from support.server import running

mcp = pytest.importorskip("mcp", reason="needs requirements-mcp.txt")
from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: E402
from mcp.shared.exceptions import McpError  # noqa: E402
from mcp.shared.memory import create_connected_server_and_client_session  # noqa: E402

from inception.web.api.endpoint import Endpoint  # noqa: E402
from inception.web.mcp.server import ToolServer  # noqa: E402
from support.mcp_client import TIMEOUT, call, photo_url, run_session  # noqa: E402

PHOTO, NET = EXAMPLES / "espresso.jpg", "tiny-imagenet"
# Each tool, with arguments of every kind that it has.
CALLS: dict[str, dict[str, Any]] = {
    "predict": {"top_k": 3},
    "maps": {"block": "3a", "view": "mean"},
    "models": {},
    "anatomy": {"block": "4c"},
    "branch_votes": {"block": "4c", "class_name": "espresso"},
    "network_table": {"off": "mean"},
    "class_evidence": {"class_name": "goldfish"},
    "switch_off": {"block": "4c", "branches": ["1x1"], "channels": [3, 17]},
    "cell": {"block": "4c", "branch": "5x5", "channel": 3, "row": 1, "column": 2},
    "logit_circuit": {"class_name": "goldfish"},
    "circuit": {"block": "4c", "branch": "5x5", "channel": 3, "row": 1, "column": 2},
    "occlusion": {"class_name": "espresso"},
    "faithfulness": {"method": "evidence"},
    "overlays": {"block": "5b"},
    "network_size": {},
}
PICTURES = {"maps": 4, "overlays": 2}
WITHOUT_PHOTO = {"models", "anatomy", "network_size"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upload folder of the server."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with running("app.py", "--mcp", "--device", "cpu", GRADIO_TEMP_DIR=str(folder)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def server(address: str) -> str:
    return f"{address}/gradio_api/mcp/"


@pytest.mark.browser
def test_the_api_page_shows_the_number_of_tools(browser: Browser, address: str) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{address}/?view=api")
    counts = page.locator(".counts")
    expect(counts).to_contain_text(f"{len(CALLS)} MCP Tools", timeout=30_000)
    expect(page.locator(".tool-item")).to_have_count(len(CALLS))
    for language, shown in (("Python", f"{len(ENDPOINTS)} API endpoints"), ("MCP", f"{len(CALLS)} MCP Tools")):
        page.locator(".snippet", has_text=language).click()
        expect(counts).to_contain_text(shown)
    page.context.close()


def test_the_listed_tools_describe_their_arguments(server: str) -> None:
    async def list_tools(client: Any) -> Any:
        return (await client.list_tools()).tools, client.get_server_capabilities()

    tools, capabilities = run_session(server, list_tools)
    assert [tool.name for tool in tools] == list(CALLS)
    assert capabilities.resources is capabilities.prompts is None
    for tool in tools:
        Draft202012Validator.check_schema(tool.inputSchema)
        purpose, returns = tool.description.split(" Returns: ")
        assert len(purpose) > 20, tool.name
        assert len(returns) > 10, tool.name
        properties = tool.inputSchema["properties"]
        assert list(properties) == ENDPOINTS[f"/{tool.name}"].split()
        for argument in properties.values():
            assert argument["type"] in ("string", "integer", "array")
            assert re.fullmatch(r"[A-Z0-9].{9,}[.]", argument["description"])
        takes_photo = tool.name not in WITHOUT_PHOTO
        assert tool.inputSchema["required"] == (["photo"] if takes_photo else [])
        assert ("data: address" in tool.description) == takes_photo
        assert tool.annotations.readOnlyHint
        # The schema has a default for every optional argument.
        required = {"photo": "data:"} if takes_photo else {}
        assert all("default" in argument for name, argument in properties.items() if name not in required)


async def ignore_progress(done: float, total: float | None, message: str | None) -> None:
    """Progress callback, which a client with a progress bar would pass."""


@pytest.mark.parametrize("with_progress", [False, True], ids=["", "with a progress token"])
@pytest.mark.parametrize("tool", CALLS)
def test_every_tool_returns_the_same_json_and_pictures_as_the_api(
    server: str, address: str, tool: str, with_progress: bool
) -> None:
    photo_argument = {} if tool in WITHOUT_PHOTO else {"photo": photo_url()}
    result = call(
        server,
        tool,
        {**photo_argument, **CALLS[tool]},
        **({"progress_callback": ignore_progress} if with_progress else {}),
    )
    assert not result.isError, result.content
    *pictures, json_content = result.content
    values = json.loads(json_content.text)
    assert str(address) not in json_content.text
    assert "/gradio" not in json_content.text
    assert [picture.mimeType for picture in pictures] == ["image/png"] * PICTURES.get(tool, 0)

    api = Client(address, verbose=False)
    api_photo = {name: handle_file(str(PHOTO)) for name in photo_argument}
    expected = api.predict(**api_photo, **CALLS[tool], api_name=f"/{tool}")
    *files, expected_values = expected if pictures else (expected,)
    assert values == expected_values
    for picture, file in zip(pictures, files, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(picture.data)))
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(Image.open(file).convert("RGB")))


def test_branch_votes_match_the_package(server: str) -> None:
    result = json.loads(call(server, "branch_votes", {"photo": photo_url(), "block": "4c"}).content[0].text)
    expected = branch_votes(load(), predict(load(), open_photo(PHOTO)), "4c")
    assert result["label"] == "espresso"
    assert result["votes"] == pytest.approx(dict(expected.votes), abs=1e-3)
    assert max(result["votes"], key=result["votes"].get) == "1x1"


def test_the_documented_program_runs(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "how-to" / "assistants.md").read_text(encoding="utf-8")
    code, printed = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", page, re.S).groups()  # type: ignore[union-attr]
    monkeypatch.chdir(ROOT)
    run = subprocess.run(
        [sys.executable, "-c", code.replace("http://127.0.0.1:7860", address)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert run.stdout == printed
    tools = re.findall(r"^\| `(\w+)` \|", page, re.M)
    assert tools == list(CALLS), "the table must list every tool"
    assert set(re.findall(r"`(\w+)`", page)) >= {name.removeprefix("/") for name in ENDPOINTS}


def test_a_local_file_can_be_sent_with_gradios_upload_tool(server: str, address: str, tmp_path: Path) -> None:
    """As the page instructs: a second MCP server, beside the client, uploads files from one folder."""
    file = tmp_path / "my photo ä.jpg"
    file.write_bytes(PHOTO.read_bytes())
    gradio = str(Path(sys.executable).with_name("gradio"))
    parameters = StdioServerParameters(command=gradio, args=["upload-mcp", address, str(tmp_path)])

    async def upload() -> Any:
        async with (
            stdio_client(parameters) as (read, write),
            mcp.ClientSession(read, write, read_timeout_seconds=TIMEOUT) as client,
        ):
            await client.initialize()
            return await client.call_tool("upload_file_to_gradio", {"file": str(file)})

    file_address = run_coroutine(upload()).content[0].text
    assert file_address.startswith(f"{address}/gradio_api/file=")
    result = json.loads(call(server, "predict", {"photo": file_address}).content[0].text)
    assert result["top"][0]["label"] == "espresso"


def test_a_photo_of_several_megabytes_is_accepted(server: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    data = photo_url(tmp_path / "noise.png")
    assert len(data) > 6_000_000
    assert "top" in json.loads(call(server, "predict", {"photo": data}).content[0].text)


def test_a_request_that_is_too_large_is_refused(server: str) -> None:
    params = {"name": "predict", "arguments": {"photo": "data:" + "A" * 17_000_000}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"Accept": "application/json, text/event-stream"}
    response = httpx.post(server, json=body, headers=headers, timeout=60)
    assert response.status_code == 413
    assert "16 MB" in response.json()["error"]


def test_the_photo_is_deleted_after_a_call(server: str, folder: Path) -> None:
    before = {path for path in folder.rglob("*") if path.is_file()}
    assert not call(server, "maps", {"photo": photo_url(EXAMPLES / "macaw.jpg"), "block": "3a"}).isError
    assert {path for path in folder.rglob("*") if path.is_file()} == before


def test_the_address_selects_tools(server: str) -> None:
    async def list_and_call(client: Any) -> Any:
        return (await client.list_tools()).tools, await client.call_tool("predict", {"photo": photo_url()})

    tools, result = run_session(f"{server}?tools=models,anatomy", list_and_call)
    assert [tool.name for tool in tools] == ["models", "anatomy"]
    assert result.isError


def test_the_address_selects_tools_without_the_spaces_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "somebody/inception-lens")

    def models() -> dict[str, Any]:
        """Nothing.

        Returns:
            nothing
        """
        return {}

    def anatomy() -> dict[str, Any]:
        """Nothing else.

        Returns:
            nothing
        """
        return {}

    server = ToolServer([Endpoint(function, [], [], is_tool=True) for function in (models, anatomy)], at_once=1)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with server.running():
            yield

    with served(FastAPI(routes=[Route("/mcp", server), Route("/schema", server.schema)], lifespan=lifespan)) as address:
        tools = run_session(f"{address}/mcp?tools=models", lambda client: client.list_tools()).tools
        schema = json.load(urlopen(f"{address}/schema?tools=models", timeout=60))
    assert [tool.name for tool in tools] == [row["name"] for row in schema] == ["inception_lens_models"]


def test_the_schema_lists_the_same_tools(server: str) -> None:
    tools = run_session(server, lambda client: client.list_tools()).tools
    schema = json.load(urlopen(f"{server}schema", timeout=60))
    assert [(row["name"], row["description"], row["inputSchema"]) for row in schema] == [
        (tool.name, tool.description, tool.inputSchema) for tool in tools
    ]
    assert {row["name"] for row in schema if not row["meta"]["file_data_present"]} == WITHOUT_PHOTO


LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("predict", {"photo": None}, "neither a data: address nor the address of a file"),
        ("branch_votes", {"class_name": "goldfsh"}, "has no class 'goldfsh'"),
        ("cell", {"block": "4c", "branch": "5x5", "channel": 99, "row": 0, "column": 0}, "are numbered 0 to 63"),
        ("cell", {"row": -1}, "There is no cell at row -1"),
        ("predict", {"top_k": 1001}, "top_k is 1001; it must be a whole number from 1 to 1000."),
        ("predict", {"top_k": "many"}, "top_k is 'many'; it must be a whole number from 1 to 1000."),
        (
            "switch_off",
            {"channels": ["red"]},
            "channels is ['red']; it must be a list of whole numbers, at most 1024, for instance [3, 17].",
        ),
        ("switch_off", {"channels": [0] * 1025}, "it must be a list of whole numbers, at most 1024"),
        (
            "switch_off",
            {"branches": ["7x7"]},
            "branches is ['7x7']; it must be a list with any of: 1x1, 3x3, 5x5, pool, each at most once.",
        ),
        ("maps", {"block": LONG[:1000]}, "it must be one of: 3a, 3b"),
        ("predict", {"zoom": 2}, "argument is 'zoom'; it must be one of: photo, model, top_k."),
        ("predict", {"photo": "data:image/png;base64,AAAA"}, "is not a picture that can be read"),
        ("predict", {"photo": "data:image/png;base64,*"}, "is not a picture that can be read"),
        ("predict", {"photo": "/etc/passwd"}, "neither a data: address nor the address of a file"),
        ("predict", {"photo": "http://x/gradio_api/file=/etc/passwd"}, "neither a data: address nor the address"),
        ("keep", {}, "tool is 'keep'; it must be one of: predict, maps"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_invalid_call_is_refused_with_a_sentence(
    server: str, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    result = call(server, tool, {"photo": photo_url(), **arguments})
    assert result.isError
    (content,) = result.content
    assert sentence in content.text
    assert len(content.text) < 400
    assert "Traceback" not in content.text


def test_a_missing_photo_is_refused_with_a_sentence(server: str) -> None:
    result = call(server, "predict", {})
    assert result.isError
    assert result.content[0].text.startswith("Please send the argument photo: the photo, in any common format")


def test_no_address_is_fetched(server: str, http_server: Callable[..., str]) -> None:
    requested = []

    def respond(request: BaseHTTPRequestHandler) -> None:
        requested.append(request.path)
        request.send_error(404)

    other_server = http_server(respond)
    for path in ("/photo.jpg", "/gradio_api/file=/photo.jpg", "/gradio_api/file=%2Fphoto.jpg"):
        assert call(server, "predict", {"photo": f"{other_server}{path}"}).isError
    assert requested == []


@pytest.mark.parametrize(("tool", "arguments"), [("maps", {"block": LONG}), ("predict", {"photo": LONG})])
def test_a_text_too_long_for_any_argument_is_refused_before_the_tool_runs(
    server: str, tool: str, arguments: dict[str, Any]
) -> None:
    sentence = pytest.RaisesExc(McpError, match="A text that was sent is too long: at most 2000 characters")
    with pytest.RaisesGroup(sentence, flatten_subgroups=True, allow_unwrapped=True):
        call(server, tool, {"photo": photo_url(), **arguments})


def test_a_photo_in_an_object_which_no_tool_takes_is_refused_by_the_guard(server: str) -> None:
    sentence = pytest.RaisesExc(McpError, match="A photo was sent where none is expected")
    with pytest.RaisesGroup(sentence, flatten_subgroups=True, allow_unwrapped=True):
        call(server, "predict", {"photo": {"url": photo_url()}})


def test_too_many_values_are_refused_by_the_guard(server: str) -> None:
    params = {"name": "switch_off", "arguments": {"photo": photo_url(), "channels": [0] * 100_000}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    with pytest.raises(HTTPError) as refusal:
        urlopen(Request(server, data=body, headers={"Content-Type": "application/json"}), timeout=60)
    assert refusal.value.code == 413
    assert "more than 5000 values" in refusal.value.read().decode()


def test_the_address_explains_its_purpose_to_browsers(server: str) -> None:
    with pytest.raises(HTTPError) as refusal:
        urlopen(Request(server, headers={"Accept": "text/html"}), timeout=60)
    assert refusal.value.code == 405
    assert "for MCP clients" in refusal.value.read().decode()


def test_as_many_calls_wait_as_run_and_further_calls_are_refused() -> None:
    release = threading.Event()

    def models() -> dict[str, Any]:
        """Wait until released, as in a long computation.

        Returns:
            nothing of interest
        """
        release.wait(60)
        return {}

    server = ToolServer([Endpoint(models, [], [], is_tool=True)], at_once=2)

    async def call_five_times() -> list[Any]:
        results = []

        async def call_tool(client: Any) -> None:
            results.append(await client.call_tool("models", {}))

        async with (
            server.running(),
            create_connected_server_and_client_session(server._server) as client,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(5):
                tasks.start_soon(call_tool, client)
            while not results:
                await anyio.sleep(0.01)
            release.set()
        return results

    refused, *completed = run_coroutine(call_five_times())
    assert refused.isError
    assert "very busy" in refused.content[0].text
    assert len(completed) == 4
    assert not any(result.isError for result in completed)


def test_an_internal_error_is_logged_but_not_disclosed(caplog: pytest.LogCaptureFixture) -> None:
    def models() -> dict[str, Any]:
        """Raise an error with a path in its message.

        Returns:
            nothing
        """
        raise RuntimeError("/home/operator/secret")

    server = ToolServer([Endpoint(models, [], [], is_tool=True)], at_once=1)

    async def call_tool() -> Any:
        async with server.running(), create_connected_server_and_client_session(server._server) as client:
            return await client.call_tool("models", {})

    result = run_coroutine(call_tool())
    assert result.isError
    assert "secret" not in result.content[0].text
    assert "secret" in caplog.text


def test_a_missing_mcp_package_is_reported_with_how_to_install_it() -> None:
    code = (
        "import runpy, sys; sys.modules['mcp'] = None; sys.argv = ['app.py', '--mcp']; "
        "runpy.run_path('app.py', run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "pip install -r requirements-mcp.txt" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_server_can_be_enabled_by_the_environment() -> None:
    with running("app.py", "--device", "cpu", GRADIO_MCP_SERVER="True") as (address, _):
        listing = run_session(f"{address}/gradio_api/mcp/", lambda client: client.list_tools())
    assert [tool.name for tool in listing.tools] == list(CALLS)


def test_the_mcp_server_is_disabled_by_default(page_address: str) -> None:
    request = Request(f"{page_address}gradio_api/mcp/", data=b"{}", headers={"Content-Type": "application/json"})
    with pytest.raises(HTTPError, match=r"404|405"):
        urlopen(request, timeout=60)
