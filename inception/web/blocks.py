"""The Gradio app: the API's endpoints, the stage's events, and Gradio's own page, which shows its documentation.

The front page is the stage (`stage.assets`). What Gradio draws itself is only seen at `/?view=api` and
`/?view=settings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ..service.service import InferenceService
from ..vision.photo import MAX_BYTES
from .api.documentation import DescribedPage
from .api.endpoints import add_endpoints
from .api.snippets import ROUTES
from .http.compression import TextCompression
from .http.guard import RequestGuard
from .http.statuses import ErrorStatusMiddleware, argument_name_error
from .http.uploads import KEEP_SECONDS, MAX_SESSIONS, cleanup_interval
from .stage.assets import ROUTES as STAGE_ROUTES
from .stage.assets import example_photos
from .stage.endpoints import add_stage_events
from .stage.first import FirstVisit
from .words import DEFAULT, say

API_PAGE = (Path(__file__).parent / "api" / "api_page.js").read_text("utf-8")
BACK = "[InceptionLens](./)"  # Markdown: to the front page
SYSTEM_FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
# Threads for events, most of which wait for their turn at the network: with Gradio's 40, explanations for the first
# twenty visitors would keep the next ones from their answers. Enough for sixty who send a photo at once; more threads
# need more memory.
MAX_THREADS = 80
QUEUE_SIZE = 16  # events that may wait, for each that is computed at once


def build(
    service: InferenceService, keep_seconds: float = KEEP_SECONDS, *, gradio_cleanup: bool = True
) -> DescribedPage:
    """Build the app, to be launched with `launch_options`.

    Args:
        service: computes what it answers.
        keep_seconds: for which an uploaded photo is kept.
        gradio_cleanup: whether Gradio deletes it then; False if the app's lifespan does (`uploads.cleanup_lifespan`).
    """
    deletion = (cleanup_interval(keep_seconds), keep_seconds) if gradio_cleanup else None
    with DescribedPage(title=say(DEFAULT, "title"), analytics_enabled=False, delete_cache=deletion) as page:
        gr.Markdown(BACK)
        gr.HTML(js_on_load=API_PAGE)
        page.endpoints = add_endpoints(service)
        add_stage_events(service, example_photos())
        page.first_visit = FirstVisit(service, example_photos())
    # For a mounted page; `launch` sets them from `launch_options`.
    page.state_session_capacity, page.max_threads = MAX_SESSIONS, MAX_THREADS
    at_once = service.backend.at_once
    # A limit for each endpoint: no other waits behind explanations.
    page.queue(default_concurrency_limit=max(1, at_once // 2), max_size=QUEUE_SIZE * at_once, api_open=False)
    return page


def launch_options() -> dict[str, Any]:
    """Return the arguments of `launch`, or of `gr.mount_gradio_app`, that belong to this app."""
    theme = gr.themes.Default(
        primary_hue="blue",
        secondary_hue="blue",
        neutral_hue="slate",
        font=SYSTEM_FONTS,
        font_mono=("ui-monospace", "monospace"),
    ).set(
        # Gradio's own greys are too pale to be read on a projector.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )
    return {
        "theme": theme,
        "show_error": False,
        "footer_links": ["api", "settings"],
        # Rendered on the server, Gradio's page would come before our routes, and be the front page.
        "ssr_mode": False,
        "app_kwargs": {
            "middleware": [Middleware(TextCompression), Middleware(RequestGuard), Middleware(ErrorStatusMiddleware)],
            "routes": [*ROUTES, *STAGE_ROUTES],
            "exception_handlers": {TypeError: argument_name_error},
        },
        "max_threads": MAX_THREADS,
        "max_file_size": MAX_BYTES,
        "state_session_capacity": MAX_SESSIONS,
        "mcp_server": False,  # Gradio's; ours is `mcp.server.with_tools`
        # Gradio would store inputs in the browser, for its next user to see, and count usage for the operator.
        "run_history": False,
        "enable_monitoring": False,
    }
