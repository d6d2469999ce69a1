"""A real MCP client over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import mcp
from mcp.client.streamable_http import streamable_http_client

from support.event_loop import in_a_thread
from support.paths import EXAMPLES

PATIENCE = timedelta(seconds=120)


def session(server: str, talk: Callable[[Any], Awaitable[Any]], headers: Mapping[str, str] | None = None) -> Any:
    """What `talk` returns, which is given a client's session."""

    async def begun() -> Any:
        async with (
            httpx.AsyncClient(headers=headers, timeout=PATIENCE.total_seconds()) as http,
            streamable_http_client(server, http_client=http) as (read, write, _),
            mcp.ClientSession(read, write, read_timeout_seconds=PATIENCE) as client,
        ):
            await client.initialize()
            return await talk(client)

    return in_a_thread(begun())


def call(
    server: str, tool: str, arguments: dict[str, Any], headers: Mapping[str, str] | None = None, **options: Any
) -> Any:
    return session(server, lambda client: client.call_tool(tool, arguments, **options), headers)


def photo(path: Path = EXAMPLES / "espresso.jpg") -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
