"""A page that only returns a picture, to measure the overhead of Gradio itself: `python -m benchmarks.bare`."""

from __future__ import annotations

from itertools import cycle

import gradio as gr
import numpy as np
from PIL import Image

SIDE = 224


def build() -> gr.Blocks:
    """Build a page of a button and a picture, which alternates because browsers do not reload an unchanged address."""
    rng = np.random.default_rng(0)
    pictures = cycle([Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(2)])
    with gr.Blocks(analytics_enabled=False) as page:
        button, picture = gr.Button("go", elem_id="go"), gr.Image(elem_id="picture", format="png")
        button.click(lambda: next(pictures), None, picture, show_progress="hidden")
    return page


if __name__ == "__main__":
    build().launch()
