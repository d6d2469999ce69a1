"""The page's functions as named, typed endpoints that need no session: each call brings its own photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from ..errors import ChoiceError, UserError
from ..model import BLOCKS
from ..pictures import Picture, draw
from ..report import anatomy_report, answer_report, maps_report
from ..weights import NAMES, describe
from .handlers import as_source
from .studio import Look, Studio


def add_endpoints(
    studio: Studio,
    photo: Component,
    model: Component,
    top_k: Component,
    block: Component,
    view: Component,
    scale: Component,
    colours: Component,
) -> None:
    """Add the endpoints to the page that is being built; the components say what each argument may be."""

    def look(photo: str | None, model: str) -> Look:
        if not photo:
            raise gr.Error("A photo is needed; please send one.", print_exception=False)
        return studio.look(model, as_source(photo))

    def predict(photo: str, model: str, top_k: int) -> dict[str, Any]:
        """The most probable classes of a photo."""
        with _said_to_the_caller():
            if not isinstance(top_k, int | float) or not 1 <= top_k <= 1000:
                raise ChoiceError("top_k", top_k, ("a whole number from 1 to 1000",))
            return answer_report(model, studio.observation(look(photo, model)), int(top_k))

    def maps(
        photo: str, model: str, block: str, view: str, scale: str, colours: str
    ) -> tuple[Image.Image, Image.Image, Image.Image, Image.Image, dict[str, Any]]:
        """Pictures of the four branches (1x1, 3x3, 5x5, pool) of an Inception block, and their numbers."""
        with _said_to_the_caller():
            panels = draw(studio.observation(look(photo, model)), Picture(block, view, scale, colours))
            one, three, five, pool = (panel.image for panel in panels.values())
            return one, three, five, pool, maps_report(model, block, panels)

    def models() -> list[dict[str, Any]]:
        """The networks that this server offers, and whether their weights are at hand."""
        return [
            describe(name) if name in NAMES else {"model": name, "source": "own", "at_hand": True}
            for name in studio.models
        ]

    def anatomy(model: str, block: str) -> dict[str, Any]:
        """How an Inception block is built: channels, kernels, receptive fields, costs with and without reductions."""
        with _said_to_the_caller():
            if block not in BLOCKS:
                raise ChoiceError("block", block, tuple(BLOCKS))
            return anatomy_report(model, studio.pretrained(model), studio.facts(model)[block])

    data = gr.JSON(visible=False)
    pictures = [gr.Image(visible=False, format="png", label=branch) for branch in ("1x1", "3x3", "5x5", "pool")]
    endpoints: tuple[tuple[Callable[..., Any], list[Component], list[Component]], ...] = (
        (predict, [photo, model, top_k], [data]),
        (maps, [photo, model, block, view, scale, colours], [*pictures, data]),
        (models, [], [data]),
        (anatomy, [model, block], [data]),
    )
    for function, inputs, outputs in endpoints:
        # A hidden button is how Gradio gives components' types and upload checks to a function.
        gr.Button(visible=False).click(function, inputs, outputs, api_name=function.__name__, api_visibility="public")


@contextmanager
def _said_to_the_caller() -> Iterator[None]:
    """Turns what the caller can mend into a `gr.Error` with the sentence; anything else stays unsaid."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error
