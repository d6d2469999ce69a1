"""The page's functions as named, typed endpoints that need no session: each call brings its own photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from ..errors import ChoiceError, UserError
from ..explain.convolution import by_hand
from ..explain.evidence import evidence, grad_cams
from ..explain.partial import OFF
from ..explain.report import (
    cams_report,
    cell_report,
    evidence_report,
    glance_report,
    switched_report,
    votes_report,
)
from ..explain.sight import cell_square, effective_field
from ..explain.votes import glance, single_logits, subset_logits, switched, votes
from ..model import BLOCKS, BRANCHES
from ..observation import Observation
from ..pictures import Picture, draw
from ..report import anatomy_report, answer_report, maps_report
from ..weights import NAMES, Pretrained, describe
from .handlers import as_source
from .runner import Look
from .studio import Studio

Endpoint = tuple[Callable[..., Any], list[Component], list[Component]]


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
    endpoints: list[Endpoint] = [
        (predict, [photo, model, top_k], [data]),
        (maps, [photo, model, block, view, scale, colours], [*pictures, data]),
        (models, [], [data]),
        (anatomy, [model, block], [data]),
        *_explanations(studio, look, photo, model, block, data),
    ]
    for function, inputs, outputs in endpoints:
        # A hidden button is how Gradio gives components' types and upload checks to a function.
        gr.Button(visible=False).click(function, inputs, outputs, api_name=function.__name__, api_visibility="public")


def _explanations(
    studio: Studio,
    look: Callable[[str | None, str], Look],
    photo: Component,
    model: Component,
    block: Component,
    data: Component,
) -> list[Endpoint]:
    """The endpoints that tell why; a class may be given by its name or number, empty for the most probable one."""

    def explain(photo: str, model: str, told: Callable[[Look], dict[str, Any]]) -> dict[str, Any]:
        with _said_to_the_caller():
            return {"model": model, **told(look(photo, model))}

    def of(seen: Look) -> tuple[Pretrained, Observation]:
        return studio.pretrained(seen.model), studio.observation(seen.exact)

    def branch_votes(photo: str, model: str, block: str, class_name: str, off: str) -> dict[str, Any]:
        """What each branch of a block is worth for a class: exact Shapley values, and all sixteen logits."""

        def told(seen: Look) -> dict[str, Any]:
            logits = studio.explained(seen, subset_logits, block, off)
            return votes_report(model, votes(*of(seen), block, class_name, off, logits), subsets=True)

        return explain(photo, model, told)

    def network_table(photo: str, model: str, class_name: str, off: str) -> dict[str, Any]:
        """How much a class's logit falls when one branch of one block is off, for all nine blocks."""

        def told(seen: Look) -> dict[str, Any]:
            return glance_report(glance(*of(seen), class_name, off, studio.explained(seen, single_logits, off)))

        return explain(photo, model, told)

    def switch_off(
        photo: str, model: str, block: str, branches: list[str], channels: list[int], off: str
    ) -> dict[str, Any]:
        """The answer with branches of a block off, and with single channels of its output off."""

        def told(seen: Look) -> dict[str, Any]:
            whole = channels or []
            if not isinstance(whole, list) or not all(isinstance(channel, int) for channel in whole):
                raise ChoiceError("channels", channels, ("a list of whole numbers, for instance [3, 17]",))
            return switched_report(studio.explained(seen, switched, block, tuple(branches or ()), tuple(whole), off))

        return explain(photo, model, told)

    def class_evidence(photo: str, model: str, class_name: str) -> dict[str, Any]:
        """A class's logit split exactly over branches, channels and cells of block 5b."""
        return explain(photo, model, lambda seen: evidence_report(studio.explained(seen, evidence, class_name)))

    def grad_cam(photo: str, model: str, block: str, class_name: str) -> dict[str, Any]:
        """Grad-CAM of a block and of each of its branches: extremes, and where the highest cell is."""
        return explain(photo, model, lambda seen: cams_report(studio.explained(seen, grad_cams, block, class_name)))

    def cell(photo: str, model: str, block: str, branch: str, channel: int, row: int, column: int) -> dict[str, Any]:
        """What one cell of a channel of a branch sees of the photo, and how its value is computed."""

        def told(seen: Look) -> dict[str, Any]:
            return cell_report(
                by_hand(*of(seen), block, branch, channel, row, column),
                studio.explained(seen, effective_field, block, branch, row, column),
                cell_square(studio.pretrained(seen.model).model, block, branch, row, column),
            )

        return explain(photo, model, told)

    name = gr.Textbox(visible=False, label="class_name", value="")
    off = gr.Radio(list(OFF), visible=False, label="off", value=OFF[0])
    branch = gr.Radio(list(BRANCHES), visible=False, label="branch", value=next(iter(BRANCHES)))
    branches = gr.CheckboxGroup(list(BRANCHES), visible=False, label="branches", value=[])
    channels = gr.JSON(visible=False, label="channels", value=[])
    whole: list[Component] = [
        gr.Number(0, precision=0, visible=False, label=part) for part in ("channel", "row", "column")
    ]
    return [
        (branch_votes, [photo, model, block, name, off], [data]),
        (network_table, [photo, model, name, off], [data]),
        (switch_off, [photo, model, block, branches, channels, off], [data]),
        (class_evidence, [photo, model, name], [data]),
        (grad_cam, [photo, model, block, name], [data]),
        (cell, [photo, model, block, branch, *whole], [data]),
    ]


@contextmanager
def _said_to_the_caller() -> Iterator[None]:
    """Turns what the caller can mend into a `gr.Error` with the sentence; anything else stays unsaid."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error
