"""Which of the page's functions a request calls, and where in it a photo may stand as a `data:` address."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr
from starlette.datastructures import QueryParams
from starlette.types import Scope

from .body import Place, Refused

CALL = re.compile(r"/gradio_api/(?P<way>run|call|call/v2|queue)/(?P<name>[^/]+)/?")
FETCH = re.compile(r"/gradio_api/(?:queue/data|call/(?:v2/)?[^/]+/(?P<event>[^/]+))/?")
TOOLS = re.compile(r"/gradio_api/mcp(/.*)?")  # for assistants, where the operator turned that on
FRAME = "photo"  # what the camera's event calls its picture


def page_of(scope: Scope) -> gr.Blocks | None:
    """The page that a request is for; none where the app is not Gradio's."""
    blocks = getattr(scope.get("app"), "get_blocks", None)
    return None if blocks is None else blocks()


def photos_of(page: gr.Blocks, path: str, told: Any) -> frozenset[Place]:
    """Where in a request's JSON a photo may stand: at the inputs that take one, and in the camera's event.

    Raises:
        Refused: if the function that is called is not there.
    """
    if TOOLS.fullmatch(path):
        return frozenset(_tools_photos(page, told))
    found = CALL.fullmatch(path)
    if found is None:
        return frozenset()
    named = told if isinstance(told, dict) else {}
    if found["way"] == "queue" or (found["way"] == "run" and named.get("fn_index") is not None):
        function = _numbered(page, named.get("fn_index"))
    else:
        function = next((one for one in page.fns.values() if one.api_name == found["name"]), None)
    if function is None:
        raise Refused(404, "guard_unknown_function")
    return frozenset(_photos(function, found["way"], named))


def check_fetched(page: gr.Blocks, scope: Scope, path: str) -> None:
    """Refuse the fetching of answers to what was never asked, or has been fetched: Gradio breaks off the connection.

    Raises:
        Refused: if there is no such session or question.
    """
    found, queue = FETCH.fullmatch(path), page._queue
    if found is None:
        return
    if event := found["event"]:
        known = (
            event in queue.event_ids_to_events
            or event in queue.pending_messages_per_session
            or any(event in asked for asked in queue.pending_event_ids_session.values())
        )
    else:
        known = QueryParams(scope["query_string"]).get("session_hash") in queue.pending_messages_per_session
    if not known:
        raise Refused(404, "guard_unknown_event")


def _numbered(page: gr.Blocks, number: object) -> Any:
    function = page.fns.get(number) if type(number) is int else None
    return function if function is not None and function.fn is not None else None  # else it is the browser's own


def _photos(function: Any, way: str, told: dict[str, Any]) -> Iterator[Place]:
    if way == "call/v2":
        sent = [told.get(name) for name in _parameters(function)]
        inputs = function.inputs
    else:
        data = told.get("data")
        sent = data if isinstance(data, list) else []
        # Gradio takes them with and without what a session holds.
        inputs = [one for one in function.inputs if len(sent) == len(function.inputs) or not one.skip_api]
        event = told.get("event_data")
        if isinstance(event, dict):
            yield id(event), FRAME
    for component, value in zip(inputs, sent, strict=False):
        if isinstance(component, gr.Image) and isinstance(value, dict):
            yield id(value), "url"


def _tools_photos(page: gr.Blocks, told: Any) -> Iterator[Place]:
    """In calls of the tools that assistants have, where a photo is a text."""
    names = {
        name
        for function in page.fns.values()
        if function.api_visibility == "public"
        for name, component in zip(_parameters(function), function.inputs, strict=False)
        if isinstance(component, gr.Image)
    }
    for call in told if isinstance(told, list) else [told]:
        arguments = _part(_part(call, "params"), "arguments")
        for name in names:
            yield id(arguments), name
            yield id(_part(arguments, name)), "url"


def _part(whole: Any, key: str) -> Any:
    return whole.get(key) if isinstance(whole, dict) else None


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function.fn).parameters)
