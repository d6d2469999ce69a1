"""The page's function that a request calls, and the positions in its body where a photo is allowed.

Written here because Gradio resolves the function only after it has read the whole body.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr
from starlette.datastructures import QueryParams
from starlette.types import Scope

from .body import Position
from .errors import RequestRefusedError
from .routes import is_mcp

CALL = re.compile(r"/gradio_api/(?P<mode>run|call|call/v2|queue)/(?P<name>[^/]+)/?")
FETCH = re.compile(r"/gradio_api/(?:queue/data|call/(?:v2/)?[^/]+/(?P<event>[^/]+))/?")


def page_of(scope: Scope) -> gr.Blocks | None:
    """Return the page that a request is for, or None if the app is not Gradio's."""
    get_blocks = getattr(scope.get("app"), "get_blocks", None)
    return None if get_blocks is None else get_blocks()


def photo_positions(page: gr.Blocks, path: str, document: Any) -> frozenset[Position]:
    """Return where a request's body may hold a `data:` address: at image inputs.

    Raises:
        RequestRefusedError: if the page has no such function.
    """
    if is_mcp(path):
        return frozenset(_photos_of_tool_calls(page, document))
    match = CALL.fullmatch(path)
    if match is None:
        return frozenset()
    fields = document if isinstance(document, dict) else {}
    if match["mode"] == "queue" or (match["mode"] == "run" and fields.get("fn_index") is not None):
        function = _function_by_index(page, fields.get("fn_index"))
    else:
        function = _function_by_name(page, match["name"], match["mode"])
    if function is None:
        raise RequestRefusedError(404, "guard_unknown_function")
    return frozenset(_photos_of_call(function, match["mode"], fields))


def check_event_exists(page: gr.Blocks, scope: Scope, path: str) -> None:
    """Refuse to fetch results of an unknown session or event, at which Gradio would drop the connection.

    Raises:
        RequestRefusedError: if there is no such session or event, or its result was fetched already.
    """
    match, queue = FETCH.fullmatch(path), page._queue
    if match is None:
        return
    if event := match["event"]:
        is_known = (
            event in queue.event_ids_to_events
            or event in queue.pending_messages_per_session
            or any(event in events for events in queue.pending_event_ids_session.values())
        )
    else:
        is_known = QueryParams(scope["query_string"]).get("session_hash") in queue.pending_messages_per_session
    if not is_known:
        raise RequestRefusedError(404, "guard_unknown_event")


def _function_by_index(page: gr.Blocks, index: object) -> Any:
    function = page.fns.get(index) if type(index) is int else None
    # Without `fn`, the function is JavaScript and runs in the browser only.
    return function if function is not None and function.fn is not None else None


def _function_by_name(page: gr.Blocks, name: str, mode: str) -> Any:
    # For calls with named arguments, Gradio looks the name up in the API's description, where only public ones are.
    functions = (one for one in page.fns.values() if mode != "call/v2" or one.api_visibility == "public")
    return next((function for function in functions if function.api_name == name), None)


def _photos_of_call(function: Any, mode: str, fields: dict[str, Any]) -> Iterator[Position]:
    if mode == "call/v2":
        values = [fields.get(name) for name in _parameter_names(function)]
        inputs = function.inputs
    else:
        data = fields.get("data")
        values = data if isinstance(data, list) else []
        # Gradio accepts the values with and without those of the session's state.
        inputs = [one for one in function.inputs if len(values) == len(function.inputs) or not one.skip_api]
    for component, value in zip(inputs, values, strict=False):
        if isinstance(component, gr.Image) and isinstance(value, dict):
            yield id(value), "url"


def _photos_of_tool_calls(page: gr.Blocks, document: Any) -> Iterator[Position]:
    """Yield the photo positions of one or several JSON-RPC calls; MCP tools take a photo only as a string."""
    names = {
        name
        for function in page.fns.values()
        if function.api_visibility == "public"
        for name, component in zip(_parameter_names(function), function.inputs, strict=False)
        if isinstance(component, gr.Image)
    }
    for call in document if isinstance(document, list) else [document]:
        arguments = _get(_get(call, "params"), "arguments")
        for name in names:
            yield id(arguments), name


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _parameter_names(function: Any) -> list[str]:
    return list(inspect.signature(function.fn).parameters)
