"""Photo component of the API's endpoints, in a file of its own because Gradio writes a `.pyi` beside every subclass."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio_client.utils import encode_file_path

from ..runtime.resources import resource
from .http.routes import FILE
from .http.upload_paths import is_uploaded
from .http.uploads import foreign_photo_error

EXAMPLE = resource("examples") / "espresso.jpg"  # for the API's documentation


class PhotoInput(gr.Image):
    """`gr.Image` that passes the file on unopened: `vision.photo` alone decodes photos, and refuses bad ones."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:
        """Return the path of the uploaded file, or the `data:` address that some clients send in its place.

        Raises:
            PhotoError: if the file is not an uploaded one.
        """
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            return str(payload.url)
        if payload.path and not is_uploaded(payload.path):
            raise foreign_photo_error(payload.path)
        return payload.path

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """As `gr.Image`, but for uploaded files only.

        `gr.Image` also fetches URLs and, if the page is mounted in an app without the guard, opens any file.

        Raises:
            PhotoError: if the file is not an uploaded one.
        """
        if url_or_file_path is not None and not is_uploaded(str(url_or_file_path)):
            raise foreign_photo_error(str(url_or_file_path))
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def example_payload(self) -> dict[str, Any]:
        """Return an example photo on this server; Gradio's is a URL of another server, which is refused here.

        `url` has no host yet: `api_info` adds that of the request.
        """
        path = self.move_resource_to_block_cache(EXAMPLE)
        assert path is not None
        self.keep_in_cache.add(path)
        return {
            "path": path,
            "url": f"{FILE}{encode_file_path(path)}",
            "orig_name": EXAMPLE.name,
            "meta": {"_type": "gradio.FileData"},
        }

    def api_info(self) -> dict[str, Any]:
        """As `gr.Image`, from a cache: Gradio asks for it whenever an event leaves the component unchanged."""
        return dict(_schema())


@cache
def _schema() -> dict[str, Any]:
    return gr.Image(render=False).api_info()
