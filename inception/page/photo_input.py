"""The page's photo component, in a file of its own: Gradio writes a `.pyi` beside every subclass."""

from __future__ import annotations

from functools import cache
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from .handlers import source_of


class PhotoInput(gr.Image):
    """`gr.Image` that hands the file on unopened: how photos are opened, and refused, is decided in one place."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the uploaded file, or the `data:` address that some clients send."""
        return None if payload is None else source_of(payload.model_dump())

    def api_info(self) -> dict[str, Any]:
        """As `gr.Image`. Gradio makes a component anew at each answer that leaves it as it is, and asks for this."""
        return dict(_schema())


@cache
def _schema() -> dict[str, Any]:
    return gr.Image(render=False).api_info()
