"""The page's functions as named, typed endpoints that need no session: each call brings its own photo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from ...explain import shapley
from ...explain.ablation import ablate, ablation_table, single_ablation_logits
from ...explain.attribution import evidence, grad_cams
from ...explain.convolution import trace_convolution
from ...explain.masking import ABLATIONS, CLASS_LETTERS
from ...explain.receptive_field import cell_square, effective_field
from ...explain.report import cams_report, cell_report, evidence_report, glance_report, switched_report, votes_report
from ...explain.shapley import subset_logits
from ...export.report import anatomy_report, answer_report, maps_report
from ...network.blocks import BRANCHES
from ...prediction import Prediction
from ...pretrained.pretrained import PretrainedModel
from ...pretrained.zoo import MODEL_NAMES, describe
from ...render.branches import ViewOptions, render_branches
from ...service.query import Query
from ...service.service import InferenceService
from ..text import LANGUAGES
from .endpoint import ClassCount, Endpoint, Index, Indices
from .errors import look_at
from .facts import fact_endpoints
from .lesson import lesson_endpoints
from .pictures import picture_endpoints

MOST_CLASSES = 1000  # of an answer


def add_endpoints(
    service: InferenceService,
    photo: Component,
    model: Component,
    block: Component,
    view: Component,
    scale: Component,
    colours: Component,
) -> tuple[Endpoint, ...]:
    """Add the endpoints to the page that is being built; the components say what each argument may be."""

    def query(photo: str | None, model: str) -> Query:
        return look_at(service, photo, model)

    def predict(photo: str, model: str, top_k: ClassCount) -> dict[str, Any]:
        """What is in a photo: the most probable classes with their probabilities, and whether to doubt the answer.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            top_k: how many classes, 1 to 1000, the most probable first

        Returns:
            the network's name; its classes by number, label and probability (0 to 1); probably_none, whether the
            photo is probably of none of its classes, or null where that was never measured; and the rule for it
        """
        return answer_report(model, service.prediction(query(photo, model)), top_k)

    def maps(
        photo: str, model: str, block: str, view: str, scale: str, colours: str
    ) -> tuple[Image.Image, Image.Image, Image.Image, Image.Image, dict[str, Any]]:
        """What the four branches (1x1, 3x3, 5x5, pool) of an Inception block computed for a photo, as pictures.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b
            view: channels for all channels side by side, mean for their mean, photo for that mean over the photo
            scale: shared for one scale of colours for all branches, branch for one each, channel for one per channel
            colours: the colour map of the pictures

        Returns:
            one picture for each branch, then their numbers: channels, size, lowest, highest, mean, silent channels
        """
        panels = render_branches(service.prediction(query(photo, model)), ViewOptions(block, view, scale, colours))
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

        Args:
            model: which network, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b

        Returns:
            for each branch its channels, kernel and receptive field in pixels; what its 1x1 reduction saves; and
            what the whole block costs beside the naive one
        """
        return anatomy_report(model, service.pretrained(model), service.facts(model)[block])

    data = gr.JSON(visible=False, label="Numbers")
    pictures = [gr.Image(visible=False, format="png", label=branch) for branch in ("1x1", "3x3", "5x5", "pool")]
    language = gr.Radio(list(LANGUAGES), visible=False, label="Language", value=next(iter(LANGUAGES)))
    branch = gr.Radio(list(BRANCHES), visible=False, label="Branch", value=next(iter(BRANCHES)))
    name = gr.Textbox(
        visible=False,
        label="Class: a name or number, empty for the most probable",
        value="",
        max_length=CLASS_LETTERS,
    )
    # Not the page's slider, which ends at ten.
    top_k = gr.Number(5, precision=0, minimum=1, maximum=MOST_CLASSES, visible=False, label="How many classes")
    endpoints = (
        Endpoint(predict, [photo, model, top_k], [data]),
        Endpoint(maps, [photo, model, block, view, scale, colours], [*pictures, data]),
        Endpoint(models, [], [data]),
        Endpoint(anatomy, [model, block], [data]),
        *_explanations(service, query, photo, model, block, branch, name, data),
        *picture_endpoints(service, photo, model, block, branch, view, scale, colours, name, language, data),
        *fact_endpoints(service, model, block, language, data),
        *lesson_endpoints(service, photo, model, language, data),
    )
    for endpoint in endpoints:
        # A hidden button is how Gradio gives components' types and upload checks to a function.
        gr.Button(visible=False).click(
            endpoint.function,
            list(endpoint.inputs),
            list(endpoint.outputs),
            api_name=endpoint.name,
            api_description=endpoint.description,
            api_visibility="public",
        )
    return endpoints


def _explanations(
    service: InferenceService,
    query: Callable[[str | None, str], Query],
    photo: Component,
    model: Component,
    block: Component,
    branch: Component,
    name: Component,
    data: Component,
) -> list[Endpoint]:
    """The endpoints that tell why; a class may be given by its name or number, empty for the most probable one."""

    def explain(photo: str, model: str, told: Callable[[Query], dict[str, Any]]) -> dict[str, Any]:
        return {"model": model, **told(query(photo, model))}

    def of(seen: Query) -> tuple[PretrainedModel, Prediction]:
        return service.pretrained(seen.model), service.prediction(seen.exact)

    def branch_votes(photo: str, model: str, block: str, class_name: str, off: str) -> dict[str, Any]:
        """Which branch of a block carries a photo's answer: what each of the four is worth for a class.

        The worths are exact Shapley values in units of the logit; with the baseline (all four off) they add up to it.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b
            class_name: whose logit is explained, by its name or number; empty for the most probable class
            off: what a branch that is off gives on: zero, or its mean over training photos

        Returns:
            the class, its logit and probability, the baseline, the vote of each branch, and the logits and
            probabilities of all sixteen sets of branches that may be on
        """

        def told(seen: Query) -> dict[str, Any]:
            logits = service.explained(seen, subset_logits, block, off)
            return votes_report(model, shapley.branch_votes(*of(seen), block, class_name, off, logits), subsets=True)

        return explain(photo, model, told)

    def network_table(photo: str, model: str, class_name: str, off: str) -> dict[str, Any]:
        """The whole network at a glance: how much a class's logit falls when one branch of one block is off.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            class_name: whose logit is explained, by its name or number; empty for the most probable class
            off: what a branch that is off gives on: zero, or its mean over training photos

        Returns:
            the class, its logit, and for each of the nine blocks and four branches the fall; below zero it rises
        """

        def told(seen: Query) -> dict[str, Any]:
            return glance_report(
                ablation_table(*of(seen), class_name, off, service.explained(seen, single_ablation_logits, off))
            )

        return explain(photo, model, told)

    def switch_off(
        photo: str, model: str, block: str, branches: list[str], channels: Indices, off: str
    ) -> dict[str, Any]:
        """What the network answers with branches of a block, or single channels of its output, switched off.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b
            branches: the branches that are switched off
            channels: numbers of single channels of the block's output that are switched off too, counted from 0
            off: what a branch that is off gives on: zero, or its mean over training photos

        Returns:
            the most probable classes with what is off, each with its probability before and after; the class that
            was first before; and which classes rose and fell most
        """

        def told(seen: Query) -> dict[str, Any]:
            return switched_report(service.explained(seen, ablate, block, tuple(branches), tuple(channels), off))

        return explain(photo, model, told)

    def class_evidence(photo: str, model: str, class_name: str) -> dict[str, Any]:
        """Where in the photo the evidence for a class lies: its logit split over block 5b.

        The split is exact: the amounts of the four branches and the rest (biases) add up to the logit.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            class_name: whose logit is explained, by its name or number; empty for the most probable class

        Returns:
            the class, its logit, the amount of each branch, their maps cell by cell, and the channels that speak
            most for and against the class
        """
        return explain(photo, model, lambda seen: evidence_report(service.explained(seen, evidence, class_name)))

    def grad_cam(photo: str, model: str, block: str, class_name: str) -> dict[str, Any]:
        """Grad-CAM of a class at a block, and at each of its branches, in numbers; `overlays` has the pictures.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b
            class_name: whose logit is explained, by its name or number; empty for the most probable class

        Returns:
            the class, the size of the maps, and for each branch and the whole block ("all") the lowest and highest
            value and the row and column of the highest cell
        """
        return explain(photo, model, lambda seen: cams_report(service.explained(seen, grad_cams, block, class_name)))

    def cell(
        photo: str, model: str, block: str, branch: str, channel: Index, row: Index, column: Index
    ) -> dict[str, Any]:
        """What one cell of a feature map sees of the photo, and its value computed by hand, product by product.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b
            branch: which branch of the block
            channel: the channel within the branch, counted from 0
            row: row of the cell, counted from 0 at the top
            column: column of the cell, counted from 0 at the left

        Returns:
            the value; the square of input pixels that it can see and the smaller one that counts; and the
            convolution with its largest products, the others' sum, bias, normalisation and ReLU
        """

        def told(seen: Query) -> dict[str, Any]:
            return cell_report(
                service.explained_uncached(seen, trace_convolution, block, branch, channel, row, column),
                service.explained(seen, effective_field, block, branch, row, column),
                cell_square(service.pretrained(seen.model).model, block, branch, row, column),
            )

        return explain(photo, model, told)

    off = gr.Radio(list(ABLATIONS), visible=False, label="What is given on in place of what is off", value=ABLATIONS[0])
    branches = gr.CheckboxGroup(list(BRANCHES), visible=False, label="Branches that are off", value=[])
    channels = gr.JSON(visible=False, label="Channels that are off: a list of numbers, counted from 0", value=[])
    place: list[Component] = [
        gr.Number(0, precision=0, visible=False, label=f"{part}, counted from 0")
        for part in ("Channel", "Row", "Column")
    ]
    return [
        Endpoint(branch_votes, [photo, model, block, name, off], [data]),
        Endpoint(network_table, [photo, model, name, off], [data]),
        Endpoint(switch_off, [photo, model, block, branches, channels, off], [data]),
        Endpoint(class_evidence, [photo, model, name], [data]),
        Endpoint(grad_cam, [photo, model, block, name], [data]),
        Endpoint(cell, [photo, model, block, branch, *place], [data]),
    ]
