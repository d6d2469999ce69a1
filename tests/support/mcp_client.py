"""An MCP client over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import mcp
from mcp.client.streamable_http import streamable_http_client

from support.event_loop import run_coroutine
from support.paths import EXAMPLES

TIMEOUT = timedelta(seconds=120)


def run_session(server: str, work: Callable[[Any], Awaitable[Any]], headers: Mapping[str, str] | None = None) -> Any:
    """Connect to an MCP server and return `await work(client)`."""

    async def connect_and_work() -> Any:
        async with (
            httpx.AsyncClient(headers=headers, timeout=TIMEOUT.total_seconds()) as http,
            streamable_http_client(server, http_client=http) as (read, write, _),
            mcp.ClientSession(read, write, read_timeout_seconds=TIMEOUT) as client,
        ):
            await client.initialize()
            return await work(client)

    return run_coroutine(connect_and_work())


def call(
    server: str, tool: str, arguments: dict[str, Any], headers: Mapping[str, str] | None = None, **options: Any
) -> Any:
    """Call a tool of an MCP server; return its result."""
    return run_session(server, lambda client: client.call_tool(tool, arguments, **options), headers)


def photo_url(path: Path = EXAMPLES / "espresso.jpg") -> str:
    """Return a photo as a data URL."""
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
