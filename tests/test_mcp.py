"""The page as an MCP server, asked by a real MCP client over HTTP."""

from __future__ import annotations

import ast
import base64
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from conftest import EXAMPLES, ROOT, in_a_thread
from test_api import EVERY
from test_app import running

from inception import load, observe, open_photo
from inception.explain.votes import votes

mcp = pytest.importorskip("mcp", reason="needs requirements-mcp.txt")
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

PHOTO = EXAMPLES / "espresso.jpg"
PATIENCE = timedelta(seconds=120)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running("app.py", "--mcp", "--device", "cpu") as (address, _):
        yield f"{address}/gradio_api/mcp/"


def session(server: str, talk: Callable[[Any], Awaitable[Any]]) -> Any:
    """What `talk` returns, which is given a client's session."""

    async def begun() -> Any:
        async with (
            streamable_http_client(server) as (read, write, _),
            mcp.ClientSession(read, write, read_timeout_seconds=PATIENCE) as client,
        ):
            await client.initialize()
            return await talk(client)

    return in_a_thread(begun())


def photo() -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(PHOTO.read_bytes()).decode()}"


def test_every_endpoint_is_a_tool_and_nothing_else_is(server: str) -> None:
    async def talk(client: Any) -> Any:
        resources, prompts = await client.list_resources(), await client.list_prompts()
        return (await client.list_tools()).tools, resources.resources, prompts.prompts

    tools, resources, prompts = session(server, talk)
    assert {f"/{tool.name}" for tool in tools} == set(EVERY)
    assert resources == prompts == []
    for tool in tools:
        what, returned = tool.description.split(" Returns: ")
        assert len(what) > 20, tool.name
        assert len(returned) > 10, tool.name
        taken = tool.inputSchema["properties"]
        assert list(taken) == EVERY[f"/{tool.name}"].split()
        assert all(len(argument["description"]) > 5 for argument in taken.values()), tool.name


def test_a_client_asks_which_branch_carries_a_photo(server: str) -> None:
    async def talk(client: Any) -> Any:
        answer = await client.call_tool("predict", {"photo": photo(), "top_k": 1})
        carried = await client.call_tool("branch_votes", {"photo": photo(), "block": "4c"})
        return [ast.literal_eval(result.content[0].text) for result in (answer, carried)]

    answer, carried = session(server, talk)
    expected = votes(load(), observe(load(), open_photo(PHOTO)), "4c")
    assert answer["top"][0]["label"] == carried["label"] == "espresso"
    assert carried["votes"] == pytest.approx(dict(expected.votes), abs=1e-3)
    assert max(carried["votes"], key=carried["votes"].get) == "1x1"


async def progress(done: float, whole: float | None, message: str | None) -> None:
    """What clients that show a bar ask to be told."""


def test_a_client_that_follows_the_progress_is_given_pictures(server: str) -> None:
    asked = {"photo": photo(), "block": "3a"}
    result = session(server, lambda client: client.call_tool("maps", asked, progress_callback=progress))
    pictures = [part for part in result.content if part.type == "image"]
    assert len(pictures) == 4
    assert all(base64.b64decode(part.data).startswith(b"\x89PNG") for part in pictures)


def test_any_other_client_is_given_their_addresses(server: str) -> None:
    # So Gradio has it, up to 6.31 at least: without a progress token, several results are one text.
    result = session(server, lambda client: client.call_tool("maps", {"photo": photo(), "block": "3a"}))
    addresses = re.findall(r"http://127\.0\.0\.1:\d+/[^']+\.png", result.content[0].text)
    assert len(addresses) == 4
    assert urlopen(addresses[0], timeout=60).read().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("branch_votes", {"photo": None}, "None is not of type 'string'"),
        ("lesson_step", {"step": 9}, "A photo is needed"),
        ("branch_votes", {"class_name": "goldfsh"}, "knows no class 'goldfsh'"),
        ("channel", {"block": "4c", "branch": "5x5", "channel": 99}, "a whole number from 0 to 63"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    server: str, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    asked = arguments if tool == "lesson_step" else {"photo": photo(), **arguments}
    result = session(server, lambda client: client.call_tool(tool, asked))
    assert result.isError
    assert sentence in result.content[0].text
    assert "Traceback" not in result.content[0].text


def test_without_its_package_one_sentence_says_what_to_install() -> None:
    code = "import sys; sys.modules['mcp'] = None; sys.argv = ['app.py', '--mcp']; import app; app.main()"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "pip install -r requirements-mcp.txt" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_page_that_was_not_told_to_be_one_is_no_mcp_server(page_address: str) -> None:
    asked = Request(f"{page_address}gradio_api/mcp/", data=b"{}", headers={"Content-Type": "application/json"})
    with pytest.raises(HTTPError, match=r"404|405"):
        urlopen(asked, timeout=60)
