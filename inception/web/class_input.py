"""Class component of the API's endpoints, in a file of its own because Gradio writes a `.pyi` beside every subclass."""

from __future__ import annotations

import gradio as gr


class ClassInput(gr.Textbox):
    """`gr.Textbox` that leaves a number a number: as a text it would be looked for among the names first."""

    is_template = True

    def preprocess(self, payload: str | int | None) -> str | int | None:
        """Return what was sent."""
        return payload
