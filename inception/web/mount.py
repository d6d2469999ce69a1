"""The page as a part of somebody else's web application."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .http.uploads import KEEP_SECONDS, shared_cleanup_lifespan

if TYPE_CHECKING:
    from fastapi import FastAPI


def mount(
    app: FastAPI,
    path: str = "/lens",
    *,
    models: Sequence[str | Path] = (),
    device: str = "auto",
    precision: str = "exact",
    mcp: bool = False,
    keep_minutes: float = KEEP_SECONDS / 60,
    root_path: str = "",
) -> FastAPI:
    """Serve the page within a FastAPI application, under `path`: `mount(app, path="/lens")`.

    `models` are those that may be chosen, by name or path, the first to begin with; by default all that have
    names. `device` and `precision` are as `choose_device` and `observe` take them. With `mcp` it is an MCP server
    for assistants too, at `path` and then `/gradio_api/mcp/`. What a visitor sends is deleted after
    `keep_minutes`. `root_path` is where visitors find the page if that is not `path`: behind a proxy that adds to it.
    Returns `app`.

    Raises:
        DeviceError: if there is no such device, or this machine does not have it.
        WeightsError: if the first network cannot be had.
    """
    # Before gradio is imported: nothing is to be told to anybody on the network.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

    import gradio as gr

    from ..pretrained.zoo import MODEL_NAMES
    from ..runtime.device import choose_device
    from ..service.service import InferenceService
    from .blocks import build, launch_options

    service = InferenceService(tuple(map(str, models)) or MODEL_NAMES, choose_device(device), precision=precision)
    service.pretrained(service.models[0])  # a wrong path should be said at once
    keep = keep_minutes * 60
    page, options = build(service, keep, is_swept=True), launch_options()
    options["app_kwargs"] = {**options["app_kwargs"], "lifespan": shared_cleanup_lifespan(keep)}
    if mcp:
        from .mcp.server import with_tools

        options = with_tools(options, page, service.backend.at_once)
    del options["state_session_capacity"]  # `build` has told the page itself
    # Told and not left to Gradio: what it answers without the queue would name files as if the page lay at the root.
    return gr.mount_gradio_app(app, page, path, **options, root_path=root_path or path)
