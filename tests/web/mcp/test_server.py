"""The page as an MCP server, asked by a real MCP client over HTTP."""

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
from support.endpoints import EVERY
from support.event_loop import in_a_thread
from support.mounted import served
from support.paths import EXAMPLES, ROOT
from support.server import running

mcp = pytest.importorskip("mcp", reason="needs requirements-mcp.txt")
from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: E402
from mcp.shared.exceptions import McpError  # noqa: E402
from mcp.shared.memory import create_connected_server_and_client_session  # noqa: E402

from inception.web.api.endpoint import Endpoint  # noqa: E402
from inception.web.mcp.server import ToolServer  # noqa: E402
from support.mcp_client import PATIENCE, call, photo, session  # noqa: E402

PHOTO, NET = EXAMPLES / "espresso.jpg", "tiny-imagenet"
# Each tool once, with all of its kinds of arguments.
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
    """Where the server keeps what it is sent."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with running("app.py", "--mcp", "--device", "cpu", GRADIO_TEMP_DIR=str(folder)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def server(address: str) -> str:
    return f"{address}/gradio_api/mcp/"


@pytest.mark.browser
def test_the_api_page_counts_the_tools_that_there_are(browser: Browser, address: str) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{address}/?view=api")
    counts = page.locator(".counts")
    expect(counts).to_contain_text(f"{len(CALLS)} MCP Tools", timeout=30_000)
    expect(page.locator(".tool-item")).to_have_count(len(CALLS))
    for language, shown in (("Python", f"{len(EVERY)} API endpoints"), ("MCP", f"{len(CALLS)} MCP Tools")):
        page.locator(".snippet", has_text=language).click()
        expect(counts).to_contain_text(shown)
    page.context.close()


def test_few_endpoints_are_tools_and_say_what_they_take(server: str) -> None:
    async def talk(client: Any) -> Any:
        return (await client.list_tools()).tools, client.get_server_capabilities()

    tools, able = session(server, talk)
    assert [tool.name for tool in tools] == list(CALLS)
    assert able.resources is able.prompts is None
    for tool in tools:
        Draft202012Validator.check_schema(tool.inputSchema)
        what, returned = tool.description.split(" Returns: ")
        assert len(what) > 20, tool.name
        assert len(returned) > 10, tool.name
        taken = tool.inputSchema["properties"]
        assert list(taken) == EVERY[f"/{tool.name}"].split()
        for argument in taken.values():
            assert argument["type"] in ("string", "integer", "array")
            assert re.fullmatch(r"[A-Z0-9].{9,}[.]", argument["description"])
        takes_photo = tool.name not in WITHOUT_PHOTO
        assert tool.inputSchema["required"] == (["photo"] if takes_photo else [])
        assert ("data: address" in tool.description) == takes_photo
        assert tool.annotations.readOnlyHint
        # What a client leaves out is what the schema says.
        given = {"photo": "data:"} if takes_photo else {}
        assert all("default" in argument for name, argument in taken.items() if name not in given)


async def progress(done: float, whole: float | None, message: str | None) -> None:
    """What clients that show a bar ask to be told."""


@pytest.mark.parametrize("follows", [False, True], ids=["", "with a progress token"])
@pytest.mark.parametrize("tool", CALLS)
def test_every_tool_answers_in_json_and_pictures_as_the_api_does(
    server: str, address: str, tool: str, follows: bool
) -> None:
    sent = {} if tool in WITHOUT_PHOTO else {"photo": photo()}
    result = call(server, tool, {**sent, **CALLS[tool]}, **({"progress_callback": progress} if follows else {}))
    assert not result.isError, result.content
    *pictures, told = result.content
    answer = json.loads(told.text)
    assert str(address) not in told.text
    assert "/gradio" not in told.text
    assert [picture.mimeType for picture in pictures] == ["image/png"] * PICTURES.get(tool, 0)

    api = Client(address, verbose=False)
    asked = {name: handle_file(str(PHOTO)) for name in sent}
    expected = api.predict(**asked, **CALLS[tool], api_name=f"/{tool}")
    *files, numbers = expected if pictures else (expected,)
    assert answer == numbers
    for picture, file in zip(pictures, files, strict=True):
        shown = Image.open(io.BytesIO(base64.b64decode(picture.data)))
        assert np.array_equal(np.asarray(shown.convert("RGB")), np.asarray(Image.open(file).convert("RGB")))


def test_a_client_asks_which_branch_carries_a_photo(server: str) -> None:
    carried = json.loads(call(server, "branch_votes", {"photo": photo(), "block": "4c"}).content[0].text)
    expected = branch_votes(load(), predict(load(), open_photo(PHOTO)), "4c")
    assert carried["label"] == "espresso"
    assert carried["votes"] == pytest.approx(dict(expected.votes), abs=1e-3)
    assert max(carried["votes"], key=carried["votes"].get) == "1x1"


def test_the_program_of_the_documentation_runs(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
    listed = re.findall(r"^\| `(\w+)` \|", page, re.M)
    assert listed == list(CALLS), "the table of tools"
    assert set(re.findall(r"`(\w+)`", page)) >= {name.removeprefix("/") for name in EVERY}


def test_a_local_file_goes_through_gradios_upload_tool(server: str, address: str, tmp_path: Path) -> None:
    """As the page's instructions have it: a second MCP server, beside the client, uploads files of one folder."""
    file = tmp_path / "my photo ä.jpg"
    file.write_bytes(PHOTO.read_bytes())
    gradio = str(Path(sys.executable).with_name("gradio"))
    parameters = StdioServerParameters(command=gradio, args=["upload-mcp", address, str(tmp_path)])

    async def uploaded() -> Any:
        async with (
            stdio_client(parameters) as (read, write),
            mcp.ClientSession(read, write, read_timeout_seconds=PATIENCE) as client,
        ):
            await client.initialize()
            return await client.call_tool("upload_file_to_gradio", {"file": str(file)})

    sent = in_a_thread(uploaded()).content[0].text
    assert sent.startswith(f"{address}/gradio_api/file=")
    answer = json.loads(call(server, "predict", {"photo": sent}).content[0].text)
    assert answer["top"][0]["label"] == "espresso"


def test_a_photo_of_megabytes_arrives(server: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    sent = photo(tmp_path / "noise.png")
    assert len(sent) > 6_000_000
    assert "top" in json.loads(call(server, "predict", {"photo": sent}).content[0].text)


def test_what_is_too_large_is_refused_before_it_is_read(server: str) -> None:
    call = {"name": "predict", "arguments": {"photo": "data:" + "A" * 17_000_000}}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"Accept": "application/json, text/event-stream"}
    answer = httpx.post(server, json=asked, headers=headers, timeout=60)
    assert answer.status_code == 413
    assert "16 MB" in answer.json()["error"]


def test_no_photo_is_left_behind(server: str, folder: Path) -> None:
    before = {path for path in folder.rglob("*") if path.is_file()}
    assert not call(server, "maps", {"photo": photo(EXAMPLES / "macaw.jpg"), "block": "3a"}).isError
    assert {path for path in folder.rglob("*") if path.is_file()} == before


def test_an_address_names_the_tools_that_are_wanted(server: str) -> None:
    async def talk(client: Any) -> Any:
        return (await client.list_tools()).tools, await client.call_tool("predict", {"photo": photo()})

    tools, refused = session(f"{server}?tools=models,anatomy", talk)
    assert [tool.name for tool in tools] == ["models", "anatomy"]
    assert refused.isError


def test_an_address_names_tools_without_the_spaces_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
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
        listed = session(f"{address}/mcp?tools=models", lambda client: client.list_tools()).tools
        shown = json.load(urlopen(f"{address}/schema?tools=models", timeout=60))
    assert [tool.name for tool in listed] == [row["name"] for row in shown] == ["inception_lens_models"]


def test_the_page_lists_the_same_tools(server: str) -> None:
    listed = session(server, lambda client: client.list_tools()).tools
    shown = json.load(urlopen(f"{server}schema", timeout=60))
    assert [(row["name"], row["description"], row["inputSchema"]) for row in shown] == [
        (tool.name, tool.description, tool.inputSchema) for tool in listed
    ]
    assert {row["name"] for row in shown if not row["meta"]["file_data_present"]} == WITHOUT_PHOTO


LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("predict", {"photo": None}, "neither a data: address nor the address of a file"),
        ("branch_votes", {"class_name": "goldfsh"}, "has no class 'goldfsh'"),
        ("cell", {"block": "4c", "branch": "5x5", "channel": 99, "row": 0, "column": 0}, "has the channels 0 to 63"),
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
def test_what_cannot_be_done_is_told_in_a_sentence(
    server: str, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    result = call(server, tool, {"photo": photo(), **arguments})
    assert result.isError
    (told,) = result.content
    assert sentence in told.text
    assert len(told.text) < 400
    assert "Traceback" not in told.text


def test_a_photo_that_is_missing_is_asked_for(server: str) -> None:
    result = call(server, "predict", {})
    assert result.isError
    assert result.content[0].text.startswith("photo is needed.")


def test_no_address_is_fetched(server: str, http_server: Callable[..., str]) -> None:
    asked = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        request.send_error(404)

    other = http_server(answer)
    for path in ("/photo.jpg", "/gradio_api/file=/photo.jpg", "/gradio_api/file=%2Fphoto.jpg"):
        assert call(server, "predict", {"photo": f"{other}{path}"}).isError
    assert asked == []


@pytest.mark.parametrize(("tool", "arguments"), [("maps", {"block": LONG}), ("predict", {"photo": LONG})])
def test_a_text_that_is_too_long_for_any_argument_is_refused_before_the_tool(
    server: str, tool: str, arguments: dict[str, Any]
) -> None:
    sentence = pytest.RaisesExc(McpError, match="A text that was sent is too long: at most 2000 characters")
    with pytest.RaisesGroup(sentence, flatten_subgroups=True, allow_unwrapped=True):
        call(server, tool, {"photo": photo(), **arguments})


def test_more_values_than_any_call_has_are_refused_before_they_are_parsed(server: str) -> None:
    arguments = {"name": "switch_off", "arguments": {"photo": photo(), "channels": [0] * 100_000}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}).encode()
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(server, data=body, headers={"Content-Type": "application/json"}), timeout=60)
    assert refused.value.code == 413
    assert "more than 5000 values" in refused.value.read().decode()


def test_a_browser_that_opens_the_address_is_told_what_it_is_for(server: str) -> None:
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(server, headers={"Accept": "text/html"}), timeout=60)
    assert refused.value.code == 405
    assert "for MCP clients" in refused.value.read().decode()


def test_as_many_calls_wait_as_are_computed_and_more_are_refused() -> None:
    free = threading.Event()

    def models() -> dict[str, Any]:
        """What waits until it is let go, as a long computation would.

        Returns:
            nothing of interest
        """
        free.wait(60)
        return {}

    server = ToolServer([Endpoint(models, [], [], is_tool=True)], at_once=2)

    async def talk() -> list[Any]:
        results = []

        async def ask(client: Any) -> None:
            results.append(await client.call_tool("models", {}))

        async with (
            server.running(),
            create_connected_server_and_client_session(server._server) as client,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(5):
                tasks.start_soon(ask, client)
            while not results:
                await anyio.sleep(0.01)
            free.set()
        return results

    refused, *answered = in_a_thread(talk())
    assert refused.isError
    assert "Very many people" in refused.content[0].text
    assert len(answered) == 4
    assert not any(result.isError for result in answered)


def test_what_was_not_foreseen_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    def models() -> dict[str, Any]:
        """What fails as no function should, with a path in its message.

        Returns:
            nothing
        """
        raise RuntimeError("/home/operator/secret")

    server = ToolServer([Endpoint(models, [], [], is_tool=True)], at_once=1)

    async def talk() -> Any:
        async with server.running(), create_connected_server_and_client_session(server._server) as client:
            return await client.call_tool("models", {})

    result = in_a_thread(talk())
    assert result.isError
    assert "secret" not in result.content[0].text
    assert "secret" in caplog.text


def test_without_its_package_one_sentence_says_what_to_install() -> None:
    code = (
        "import runpy, sys; sys.modules['mcp'] = None; sys.argv = ['app.py', '--mcp']; "
        "runpy.run_path('app.py', run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "pip install -r requirements-mcp.txt" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_environment_can_ask_for_it() -> None:
    with running("app.py", "--device", "cpu", GRADIO_MCP_SERVER="True") as (address, _):
        listed = session(f"{address}/gradio_api/mcp/", lambda client: client.list_tools())
    assert [tool.name for tool in listed.tools] == list(CALLS)


def test_a_page_that_was_not_told_to_be_one_is_no_mcp_server(page_address: str) -> None:
    asked = Request(f"{page_address}gradio_api/mcp/", data=b"{}", headers={"Content-Type": "application/json"})
    with pytest.raises(HTTPError, match=r"404|405"):
        urlopen(asked, timeout=60)
