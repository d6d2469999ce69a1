"""A page that does nothing but return a picture: what Gradio itself costs. `python -m benchmarks.bare`."""

from __future__ import annotations

from itertools import cycle

import gradio as gr
import numpy as np
from PIL import Image

SIDE = 224


def build() -> gr.Blocks:
    """One button, one picture. Two pictures take turns, for an address that stays the same is not loaded again."""
    chance = np.random.default_rng(0)
    pictures = cycle([Image.fromarray(chance.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(2)])
    with gr.Blocks(analytics_enabled=False) as page:
        button, picture = gr.Button("go", elem_id="go"), gr.Image(elem_id="picture", format="png")
        button.click(lambda: next(pictures), None, picture, show_progress="hidden")
    return page


if __name__ == "__main__":
    build().launch()
