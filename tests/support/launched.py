"""A page, served by this process."""

from __future__ import annotations

from typing import Any

import gradio as gr

from inception.web.blocks import launch_options
from support.server import free_port


def launch(page: gr.Blocks, **options: Any) -> str:
    """Serve a page on a port of its own until `page.close()`, and return its address.

    Gradio's own search may give two processes the same port: if both have bound it, the second fails to listen, which
    uvloop does not report.
    """
    options = {**launch_options(), "server_port": free_port(), **options}
    _, address, _ = page.launch(**options, prevent_thread_lock=True, quiet=True)
    return str(address)
