"""What the browser decides by itself, so that the server is asked only for what somebody looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

# For an event that no request follows.
WITHIN_THE_BROWSER: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


def followed(name: str, told: Sequence[Component], gates: Mapping[str, Component], is_open: str) -> gr.Textbox:
    """A hidden text that changes with what is `told`, but only while its gate is open.

    `is_open` is JavaScript over the names of `gates`. Once the gate opens, what was missed is told at once. A part
    of the page that nobody looks at listens to this text, and costs nothing.
    """
    text = gr.Textbox("", visible="hidden", elem_id=name)
    values = [f"told{number}" for number in range(len(told))]
    script = (
        f"({', '.join([*gates, 'before', *values])}) => "
        f"{is_open} ? [{', '.join(values)}].map(one => one?.path ?? one?.url ?? one ?? '').join(' ') : before"
    )
    gr.on(
        [component.change for component in (*told, *gates.values())],
        None,
        [*gates.values(), text, *told],
        text,
        js=script,
        **WITHIN_THE_BROWSER,
    )
    return text
