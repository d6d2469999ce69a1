"""Endpoints that give pictures and files: one channel, a bottleneck, two sides, explanations, what may be kept."""

from __future__ import annotations

from datetime import date
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from ...checks import whole
from ...explain.attribution import evidence, grad_cams
from ...explain.report import channel_report
from ...export.report import answer_report, maps_report, numbers_report
from ...prediction import bottleneck_maps
from ...render.branches import ViewOptions, concatenate_images, render_side_by_side
from ...render.maps import Limits, limits, mosaic, overlay, scale_limits
from ...service.service import InferenceService
from ..links import KINDS, Keep
from .endpoint import Endpoint
from .errors import look_at

PHOTO_KIND = "png"  # maps are painted cell by cell: what is lossy would blur them
CLASSES_SHOWN = 3


def picture_endpoints(
    service: InferenceService,
    photo: Component,
    model: Component,
    block: Component,
    branch: Component,
    view: Component,
    scale: Component,
    colours: Component,
    name: Component,
    language: Component,
    data: Component,
) -> list[Endpoint]:
    """The endpoints; the components say what each argument may be."""

    def channel(
        photo: str, model: str, block: str, branch: str, channel: int, colours: str
    ) -> tuple[Image.Image, dict[str, Any]]:
        """One channel of a branch, enlarged over the photo.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b
            branch: which branch of the block
            channel: the channel within the branch, counted from 0
            colours: the colour map of the pictures

        Returns:
            the picture; then the channel's number in the block's output, its lowest, highest and mean value, the
            share of cells that are zero, its highest cell, and how strongly what comes next reads it
        """
        shown, seen = ViewOptions(block, colours=colours), look_at(service, photo, model)
        prediction = service.prediction(seen)
        maps = prediction.branch(block, branch)
        number = whole("channel", channel, 0, len(maps) - 1)
        told = channel_report(model, prediction, service.readout(model, block), branch, number)
        return overlay(prediction.image, maps[number], limits(maps[number]), shown.colours), told

    def bottleneck(
        photo: str, model: str, block: str, scale: str, colours: str
    ) -> tuple[Image.Image, Image.Image, Image.Image, dict[str, Any]]:
        """What the 1x1 reductions of a block make of its input: the maps before and after them.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b
            scale: shared for one scale of colours for all pictures, branch for one each, channel for one per channel
            colours: the colour map of the pictures

        Returns:
            all channels of the block's input, of the input reduced for the 3x3 and of that for the 5x5 branch, as
            pictures; then the numbers of each
        """
        shown, seen = ViewOptions(block, scale=scale, colours=colours), look_at(service, photo, model)
        maps = service.explained_uncached(seen, bottleneck_maps, block)
        bounds = scale_limits(maps, shown.scale)
        before, three, five = (mosaic(values, bounds[key], shown.colours) for key, values in maps.items())
        return before, three, five, {"model": model, "block": block, "maps": numbers_report(maps)}

    def compare(
        photo: str, model: str, other_model: str, block: str, other_photo: str | None = None
    ) -> tuple[Image.Image, Image.Image, dict[str, Any]]:
        """Two photos, or one photo seen by two networks, side by side: answers and mean maps on one scale.

        Args:
            photo: the first picture
            model: which network looks at it, as `models` lists them
            other_model: which network looks at the second one
            block: which of the nine Inception blocks, 3a to 5b
            other_photo: the second picture; without one, the first again

        Returns:
            for each side one picture with the mean map of its four branches (1x1, 3x3, 5x5, pool) over the photo;
            then the ends of their common scale, and each side's best classes and numbers
        """
        sides = (model, photo), (other_model, other_photo or photo)
        seen = [service.prediction(look_at(service, picture, network)) for network, picture in sides]
        bounds, panels = render_side_by_side(seen, block)
        told = {
            "block": block,
            "scale": [bounds.low, bounds.high],
            "sides": [
                {**answer_report(network, one, CLASSES_SHOWN), **maps_report(network, block, row)}
                for (network, _), one, row in zip(sides, seen, panels, strict=True)
            ],
        }
        first, second = (concatenate_images([panel.image for panel in row.values()]) for row in panels)
        return first, second, told

    def overlays(
        photo: str, model: str, block: str, class_name: str
    ) -> tuple[Image.Image, Image.Image, dict[str, Any]]:
        """Where the photo speaks for a class and where against it: the evidence at block 5b, and Grad-CAM at any block.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks Grad-CAM looks at, 3a to 5b
            class_name: whose logit is explained, by its name or number; empty for the most probable class

        Returns:
            the evidence over the photo, and Grad-CAM over the photo; then the class and the value that is the full
            colour in each
        """
        seen = look_at(service, photo, model)
        split = service.explained(seen, evidence, class_name)
        cam = service.explained(seen, grad_cams, block, class_name)[None]
        maps = {"evidence": split.map, "grad_cam": cam.signed}
        reach = {key: float(abs(values).max()) for key, values in maps.items()}
        picture = service.prediction(seen.exact).image
        first, second = (overlay(picture, maps[key], Limits(-reach[key], reach[key])) for key in maps)
        return first, second, {"model": model, "block": block, "class": cam.index, "label": cam.label, **reach}

    file = gr.File(visible=False, label="The file")
    keeper = Keep(service, ())

    def keep(photo: str, kind: str, model: str, block: str, view: str, scale: str, colours: str, language: str) -> str:
        """A file to keep of what a network computed for a photo.

        Args:
            photo: the picture, of any usual kind and size; the network looks at its central square
            kind: sheet for a captioned picture, maps for a zip with all maps of the network, csv or json for numbers
            model: which network looks, as `models` lists them
            block: which of the nine Inception blocks the sheet shows, 3a to 5b
            view: what the sheet shows of each branch, as `maps` takes it
            scale: of the sheet's colours, as `maps` takes it
            colours: the colour map of the pictures
            language: of the sheet's caption, en for English or zh for Chinese

        Returns:
            the file; the server deletes its own copy after an hour or two
        """
        wanted = ViewOptions(block, view, scale, colours)
        made = keeper.make(kind, look_at(service, photo, model), wanted, date.today().isoformat(), language)
        # Where Gradio would copy it to anyway, and where it deletes it in time.
        return save_bytes_to_cache(made.data, made.name, file.GRADIO_CACHE)

    def picture(label: str) -> Component:
        return gr.Image(visible=False, format=PHOTO_KIND, label=label)

    number = gr.Number(0, precision=0, visible=False, label="Channel, counted from 0")
    other_photo = type(photo)(visible=False, label="The other photo; without one, the first again")
    other_model = gr.Dropdown(list(service.models), visible=False, label="The other network", value=service.models[0])
    kind = gr.Radio(list(KINDS), visible=False, label="Kind of file", value=KINDS[0])
    over_photo = picture("The channel over the photo")
    maps = [picture(label) for label in ("Before the reductions", "Reduced for 3x3", "Reduced for 5x5")]
    return [
        Endpoint(channel, [photo, model, block, branch, number, colours], [over_photo, data]),
        Endpoint(bottleneck, [photo, model, block, scale, colours], [*maps, data]),
        Endpoint(
            compare,
            [photo, model, other_model, block, other_photo],
            [picture("The first side"), picture("The second side"), data],
        ),
        Endpoint(overlays, [photo, model, block, name], [picture("Evidence"), picture("Grad-CAM"), data]),
        Endpoint(keep, [photo, kind, model, block, view, scale, colours, language], [file]),
    ]
