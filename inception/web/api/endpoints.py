"""The API: named, typed endpoints that need no session; each call brings its own photo."""

from __future__ import annotations

from typing import Any

import gradio as gr
from PIL import Image

from ...explain.catalogue import EXPLANATIONS
from ...explain.registry import Argument
from ...export.report import anatomy_report, answer_report, maps_report
from ...network.blocks import BRANCHES
from ...pretrained.zoo import MODEL_NAMES, describe
from ...render.branches import ViewOptions, render_branches
from ...service.service import InferenceService
from .endpoint import Endpoint, add_to_page
from .explanations import explanation_endpoint
from .facts import fact_endpoints
from .inputs import BLOCK, COLOUR_MAP, PHOTO, SCALE, VIEW, classifying_model, model_of, query_of
from .pictures import PICTURE_FORMAT, picture_endpoints

MAX_TOP = 1000  # classes of an answer
TOP_K = Argument(
    "How many classes",
    "how many classes, 1 to 1000, the most probable first",
    type=int,
    default=5,
    minimum=1,
    maximum=MAX_TOP,
)


def add_endpoints(service: InferenceService) -> tuple[Endpoint, ...]:
    """Add the endpoints to the page that is being built."""

    def predict(photo: str, model: str, top_k: int) -> dict[str, Any]:
        """Classify a photo: the most probable classes with their probabilities, and whether to doubt the answer.

        Returns:
            the network's name; its classes by number, label and probability (0 to 1); not_sure, whether even
            the best is too improbable, or null if no threshold was measured; and that threshold, as rule
        """
        return answer_report(model, service.prediction(query_of(service, photo, model)), top_k)

    def maps(
        photo: str, model: str, block: str, view: str, scale: str, colours: str
    ) -> tuple[Image.Image, Image.Image, Image.Image, Image.Image, dict[str, Any]]:
        """What the four branches (1x1, 3x3, 5x5, pool) of an Inception block computed for a photo, as pictures.

        Returns:
            one picture for each branch, then their numbers: channels, size, lowest, highest, mean, silent channels
        """
        panels = render_branches(
            service.prediction(query_of(service, photo, model)), ViewOptions(block, view, scale, colours)
        )
        one, three, five, pool = (panel.image for panel in panels.values())
        return one, three, five, pool, maps_report(model, block, panels)

    def models() -> list[dict[str, Any]]:
        """The networks that this server offers.

        Returns:
            for each its name, where its weights come from, and whether they are at hand or fetched at first use
        """
        return [
            describe(name) if name in MODEL_NAMES else {"model": name, "source": "own", "at_hand": True}
            for name in service.models
        ]

    def anatomy(model: str, block: str) -> dict[str, Any]:
        """How an Inception block is built: channels, kernels, receptive fields, costs with and without reductions.

        Returns:
            for each branch its channels, kernel and receptive field in pixels; what its 1x1 reduction saves; and
            what the whole block costs beside the naive one
        """
        return anatomy_report(model, service.pretrained(model), service.facts(model)[block])

    data = gr.JSON(visible=False, label="Numbers")
    pictures = [gr.Image(visible=False, format=PICTURE_FORMAT, label=branch) for branch in BRANCHES]
    model = classifying_model(service)
    endpoints = (
        Endpoint(predict, [PHOTO, model, TOP_K], [data], is_tool=True),
        Endpoint(maps, [PHOTO, model, BLOCK, VIEW, SCALE, COLOUR_MAP], [*pictures, data], is_tool=True),
        Endpoint(models, [], [data], is_tool=True),
        Endpoint(anatomy, [model_of(service), BLOCK], [data], is_tool=True),
        *(explanation_endpoint(explanation, service, data) for explanation in EXPLANATIONS.values()),
        *picture_endpoints(service, data),
        *fact_endpoints(service, data),
    )
    add_to_page(endpoints)
    return endpoints
