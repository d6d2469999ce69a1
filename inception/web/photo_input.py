"""The page's photo component, in a file of its own: Gradio writes a `.pyi` beside every subclass."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio_client.utils import encode_file_path

from ..runtime.resources import resource
from .api.file_address import MARK
from .handlers import source_of
from .http.upload_paths import is_uploaded
from .text import say

EXAMPLE = resource("examples") / "espresso.jpg"  # in the API's documentation


class PhotoInput(gr.Image):
    """`gr.Image` that hands the file on unopened: how photos are opened, and refused, is decided in one place."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the uploaded file, or the `data:` address that some clients send."""
        source = None if payload is None else source_of(payload.model_dump())
        if source and not source.startswith("data:") and not is_uploaded(source):
            raise foreign()
        return source

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """As `gr.Image`, which would also fetch an address, and open any file where the page is mounted in an app."""
        if url_or_file_path is not None and not is_uploaded(str(url_or_file_path)):
            raise foreign()
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def example_payload(self) -> dict[str, Any]:
        """An example photo on this server; Gradio's own is an address elsewhere, which is refused here.

        `url` has no host yet: `api_info` puts there the one by which the server was asked.
        """
        path = self.move_resource_to_block_cache(EXAMPLE)
        assert path is not None
        self.keep_in_cache.add(path)
        return {
            "path": path,
            "url": f"{MARK}{encode_file_path(path)}",
            "orig_name": EXAMPLE.name,
            "meta": {"_type": "gradio.FileData"},
        }

    def api_info(self) -> dict[str, Any]:
        """As `gr.Image`. Gradio makes a component anew at each answer that leaves it as it is, and asks for this."""
        return dict(_schema())


def foreign() -> gr.Error:
    """What whoever names a file or an address is told; the page itself never does."""
    return gr.Error(say("en", "guard_foreign_file"), print_exception=False)


@cache
def _schema() -> dict[str, Any]:
    return gr.Image(render=False).api_info()
