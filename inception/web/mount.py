"""The page as part of another FastAPI application."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, quoted
from .http.uploads import KEEP_SECONDS, shared_cleanup_lifespan

if TYPE_CHECKING:
    from fastapi import FastAPI


def mount(
    app: FastAPI,
    path: str = "/lens",
    *,
    models: str | Path | Sequence[str | Path] = (),
    device: str = "auto",
    precision: str = "exact",
    mcp: bool = False,
    keep_minutes: float = KEEP_SECONDS / 60,
    root_path: str = "",
) -> FastAPI:
    """Serve the page within a FastAPI application: `mount(app, path="/lens")`.

    Args:
        app: the application.
        path: of the page within it.
        models: networks that visitors may choose, by name or path, the first one being the default; or one network.
            Visitors know a checkpoint by its file's name, so these names differ. If empty, all named ones, and the
            page begins with GoogLeNet if its weights are here.
        device: as `choose_device` takes it.
        precision: as `predict` takes it.
        mcp: whether the page is also an MCP server, at `path` followed by `/gradio_api/mcp/`.
        keep_minutes: after which an uploaded photo is deleted.
        root_path: the page's path as visitors see it, if a proxy makes it differ from `path`.

    Returns:
        `app`.

    Raises:
        DeviceError: if the device is unknown, or this machine does not have it.
        WeightsError: if the first network cannot be loaded.
        UserError: if two checkpoints have one file name, or `keep_minutes` is not above 0.
    """
    if not (isfinite(keep_minutes) and keep_minutes > 0):
        raise UserError(
            "keep_minutes",
            "keep_minutes is {value}; it must be a number of minutes above 0.",
            value=quoted(keep_minutes),
        )
    # Before gradio is imported, which reads them then: no telemetry.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

    import gradio as gr
    from starlette.middleware import Middleware

    from ..pretrained.zoo import MODEL_NAMES
    from ..runtime.device import choose_device
    from ..service.service import InferenceService
    from .blocks import build, launch_options
    from .http.root_path import MountedPage, MountedRoutes

    named = (models,) if isinstance(models, str | Path) else models
    service = InferenceService(
        tuple(map(str, named)) or MODEL_NAMES,
        choose_device(device),
        precision=precision,
        begins_with_first=bool(named),
    )
    service.pretrained(service.models[0])  # a wrong path is an error now, not at the first photo
    keep = keep_minutes * 60
    page, options = build(service, keep, gradio_cleanup=False), launch_options()
    settings = options["app_kwargs"]
    options["app_kwargs"] = {
        **settings,
        "middleware": [Middleware(MountedRoutes), *settings["middleware"]],
        "lifespan": shared_cleanup_lifespan(keep),
    }
    if mcp:
        from .mcp.server import with_tools

        options = with_tools(options, page, service.backend.at_once)
    del options["state_session_capacity"], options["max_threads"]  # of `launch` only; `build` has set them on the page
    path = f"/{path.strip('/')}"
    if "://" not in root_path:
        root_path = f"/{root_path.strip('/')}".rstrip("/")
    gr.mount_gradio_app(app, page, path, **options, root_path=root_path or path)
    place: Any = app.routes[-1]
    place.app = MountedPage(place.app, root_path)
    return app
