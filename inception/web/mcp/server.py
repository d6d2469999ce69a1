"""An MCP server (Model Context Protocol) beside the page, for assistants; needs the package `mcp`.

It replaces Gradio's, which returns Python literals and addresses instead of JSON and pictures, fetches photos from the
host that its first client named, and offers every endpoint.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import gradio as gr
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from gradio.context import LocalContext
from gradio.routes import API_PREFIX
from gradio.utils import get_space
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ... import __version__
from ...errors import ChoiceError, UserError
from ..api.documentation import DescribedPage
from ..api.endpoint import Endpoint
from ..http.exchange import RETRY_SECONDS
from ..http.guard import MAX_BODY_BYTES
from ..words import say
from .tools import Tool, tools

PATH = f"{API_PREFIX}/mcp"
INSTRUCTIONS = (
    "Shows how a convolutional network (InceptionV1, GoogLeNet) sees a photo: its answer, what each of the four "
    "branches of its nine Inception blocks computed, and why it answered so. Begin with predict."
)
NOT_POST = "This address is for MCP clients (Streamable HTTP, stateless): they send POST requests.\n"

log = logging.getLogger(__name__)

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


class ToolServer:
    """An ASGI app that speaks MCP over Streamable HTTP, without sessions.

    Args:
        endpoints: of a page.
        at_once: calls that are computed at a time; as many again may wait, and more are refused.
    """

    def __init__(self, endpoints: Sequence[Endpoint], at_once: int) -> None:
        # On Spaces as in Gradio: several Spaces may be connected to one assistant.
        space = get_space()
        self._prefix = re.sub(r"[^a-zA-Z0-9]", "_", f"{space.split('/')[-1]}_") if space else ""
        self._tools = tools(endpoints, self._prefix)
        self._at_once = at_once
        self._server: Server[None, Request] = Server("InceptionLens", __version__, INSTRUCTIONS)
        # Not by the library's decorators: they log and repeat the client's arguments, with photos of megabytes.
        self._server.request_handlers[types.ListToolsRequest] = self._list
        self._server.request_handlers[types.CallToolRequest] = self._call
        self._manager: StreamableHTTPSessionManager | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST" or self._manager is None:
            await PlainTextResponse(NOT_POST, 405, {"Allow": "POST"})(scope, receive, send)
        else:
            await self._manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests within the `async with` block."""
        self._places = CapacityLimiter(self._at_once)  # belongs to the event loop that runs now
        self._manager = StreamableHTTPSessionManager(self._server, stateless=True, max_request_body_size=MAX_BODY_BYTES)
        async with self._manager.run():
            yield
        self._manager = None

    def schema(self, request: Request) -> JSONResponse:
        """The tools, in the form in which "Use via API" and Hugging Face read them."""
        return JSONResponse(
            [
                {
                    **tool.definition.model_dump(include={"name", "description", "inputSchema"}),
                    "meta": {
                        "file_data_present": tool.takes_photo,
                        "mcp_type": "tool",
                        "endpoint_name": tool.endpoint.name,
                    },
                }
                for tool in self._wanted(request).values()
            ]
        )

    def _wanted(self, request: Request | None) -> dict[str, Tool]:
        """The tools, or those that the address names, without their prefix: `?tools=predict,maps`."""
        wanted = None if request is None else request.query_params.get("tools")
        if wanted is None:
            return self._tools
        names = {f"{self._prefix}{name}" for name in wanted.split(",")}
        return {name: tool for name, tool in self._tools.items() if name in names}

    async def _list(self, _request: types.ListToolsRequest) -> types.ServerResult:
        tools = self._wanted(self._server.request_context.request).values()
        return types.ServerResult(types.ListToolsResult(tools=[tool.definition for tool in tools]))

    async def _call(self, request: types.CallToolRequest) -> types.ServerResult:
        http_request = self._server.request_context.request
        name, available = request.params.name, self._wanted(http_request)
        try:
            if name not in available:
                raise ChoiceError("tool", name, tuple(available))
            if self._places.statistics().tasks_waiting >= self._at_once:
                raise UserError("busy", say("en", "guard_busy", seconds=RETRY_SECONDS))
            sent = request.params.arguments or {}
            content = await run_sync(partial(_answered, available[name], sent, http_request), limiter=self._places)
            return types.ServerResult(types.CallToolResult(content=content))
        except UserError as error:
            return _refused(str(error))
        except gr.Error as error:
            return _refused(str(error.message))
        except Exception:
            log.exception("unforeseen error in a tool")
            return _refused(say("en", "fault"))


def _answered(tool: Tool, sent: Mapping[str, Any], request: Request | None) -> list[types.ContentBlock]:
    # ZeroGPU assigns its GPU by this request.
    LocalContext.request.set(gr.Request(request))
    return tool.call(sent)


def _refused(sentence: str) -> types.ServerResult:
    text = types.TextContent(type="text", text=sentence)
    return types.ServerResult(types.CallToolResult(content=[text], isError=True))


def with_tools(options: Mapping[str, Any], page: DescribedPage, at_once: int) -> dict[str, Any]:
    """Options of `launch` or `gr.mount_gradio_app` under which a page is an MCP server too, at `PATH`.

    Args:
        options: as `launch_options` has them, with a lifespan or without.
        at_once: as `ToolServer` takes it.
    """
    server = ToolServer(page.endpoints, at_once)
    settings = options["app_kwargs"]
    before: Lifespan | None = settings.get("lifespan")

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(server.running())
            if before is not None:
                await stack.enter_async_context(before(app))
            yield

    routes = [Route(PATH, server), Route(f"{PATH}/", server), Route(f"{PATH}/schema", server.schema)]
    page.mcp_server = True  # so that `launch` prints the address
    return {**options, "app_kwargs": {**settings, "lifespan": lifespan, "routes": [*settings["routes"], *routes]}}
