"""Endpoints that return pictures and files: a channel, a bottleneck, a comparison, heat maps, downloads."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from ...checks import whole
from ...explain.attribution import evidence, grad_cams
from ...explain.readout import channel_summary
from ...explain.registry import CHANNEL, Argument
from ...export.report import answer_report, maps_report, numbers_report
from ...prediction import bottleneck_maps
from ...render.branches import ViewOptions, concatenate_images, render_side_by_side
from ...render.maps import Limits, limits, mosaic, overlay, scale_limits
from ...service.service import InferenceService
from .endpoint import Endpoint
from .inputs import (
    BLOCK,
    BRANCH,
    CLASS_NAME,
    COLOUR_MAP,
    PHOTO,
    SCALE,
    VIEW,
    classifying_model,
    language,
    model_of,
    query_of,
)
from .keep import KINDS, Source, make_file

PICTURE_FORMAT = "png"  # maps are painted cell by cell: what is lossy would blur them
CLASSES_SHOWN = 3
CHANNEL_NUMBER = replace(CHANNEL, type=int, default=0, minimum=None)
KIND = Argument(
    "Kind of file",
    "which file: sheet for a captioned picture, maps for a zip with all maps of the network, csv or json for numbers",
    choices=KINDS,
    default=KINDS[0],
)


def picture_endpoints(service: InferenceService, data: Component) -> list[Endpoint]:
    """Return the endpoints; `data` is the component for their JSON."""

    def channel(
        photo: str, model: str, block: str, branch: str, channel: int, colours: str
    ) -> tuple[Image.Image, dict[str, Any]]:
        """One channel of a branch, enlarged over the photo.

        Returns:
            the picture; then the channel's number in the block's output, its lowest, highest and mean value, the
            share of cells that are zero, its highest cell, and how strongly the next layer reads it
        """
        options, query = ViewOptions(block, colours=colours), query_of(service, photo, model)
        prediction = service.prediction(query)
        maps = prediction.branch(block, branch)
        number = whole("channel", channel, 0, len(maps) - 1)
        summary = channel_summary(prediction, service.readout(model, block), branch, number)
        picture = overlay(prediction.image, maps[number], limits(maps[number]), options.colours)
        return picture, {"model": model, **summary.to_dict()}

    def bottleneck(
        photo: str, model: str, block: str, scale: str, colours: str
    ) -> tuple[Image.Image, Image.Image, Image.Image, dict[str, Any]]:
        """The input of a block before and after its 1x1 reductions.

        Returns:
            all channels of the block's input, of the input reduced for the 3x3 and of that for the 5x5 branch, as
            pictures; then the numbers of each
        """
        options, query = ViewOptions(block, scale=scale, colours=colours), query_of(service, photo, model)
        maps = service.explained_uncached(query, bottleneck_maps, block)
        bounds = scale_limits(maps, options.scale)
        before, three, five = (mosaic(values, bounds[key], options.colours) for key, values in maps.items())
        return before, three, five, {"model": model, "block": block, "maps": numbers_report(maps)}

    def compare(
        photo: str, model: str, other_model: str, block: str, other_photo: str | None = None
    ) -> tuple[Image.Image, Image.Image, dict[str, Any]]:
        """Two photos, or one photo and two networks, side by side: answers, and mean maps on one colour scale.

        Returns:
            for each side one picture with the mean map of its four branches (1x1, 3x3, 5x5, pool) over the photo;
            then the ends of the common scale, and each side's most probable classes and numbers
        """
        sides = (model, photo), (other_model, other_photo or photo)
        predictions = [service.prediction(query_of(service, image, network)) for network, image in sides]
        bounds, panels = render_side_by_side(predictions, block)
        numbers = {
            "block": block,
            "scale": [bounds.low, bounds.high],
            "sides": [
                {**answer_report(network, one, CLASSES_SHOWN), **maps_report(network, block, row)}
                for (network, _), one, row in zip(sides, predictions, panels, strict=True)
            ],
        }
        first, second = (concatenate_images([panel.image for panel in row.values()]) for row in panels)
        return first, second, numbers

    def overlays(
        photo: str, model: str, block: str, class_name: str
    ) -> tuple[Image.Image, Image.Image, dict[str, Any]]:
        """Heat maps for a class, laid over the photo: the exact evidence at block 5b, and Grad-CAM at any block.

        Returns:
            the evidence over the photo, and Grad-CAM over the photo; then the class, and the value at full
            colour in each
        """
        query = query_of(service, photo, model)
        split = service.explained(query, evidence, class_name)
        cam = service.explained(query, grad_cams, block, class_name)[None]
        maps = {"evidence": split.map, "grad_cam": cam.signed}
        limit = {key: float(abs(values).max()) for key, values in maps.items()}
        image = service.prediction(query.exact).image
        first, second = (overlay(image, maps[key], Limits(-limit[key], limit[key])) for key in maps)
        return first, second, {"model": model, "block": block, "class": cam.index, "label": cam.label, **limit}

    file = gr.File(visible=False, label="The file")

    def keep(photo: str, kind: str, model: str, block: str, view: str, scale: str, colours: str, language: str) -> str:
        """A file of what a network computed for a photo, to download.

        Returns:
            the file; the server deletes its own copy when it deletes uploaded photos, by default after about an hour
        """
        wanted = ViewOptions(block, view, scale, colours)
        source = Source(service, query_of(service, photo, model), wanted, date.today().isoformat(), language)
        name, data = make_file(kind, source)
        # Gradio would copy it there anyway, and deletes it there after a while.
        return save_bytes_to_cache(data, name, file.GRADIO_CACHE)

    def picture(label: str) -> Component:
        return gr.Image(visible=False, format=PICTURE_FORMAT, label=label)

    model, over_photo = classifying_model(service), picture("The channel over the photo")
    maps = [picture(label) for label in ("Before the reductions", "Reduced for 3x3", "Reduced for 5x5")]
    sides = [
        replace(PHOTO, help="the first photo"),
        model_of(service, "which network classifies the first photo, as `models` lists them"),
        replace(model, label="The other network", help="which network classifies the second photo"),
        BLOCK,
        replace(
            PHOTO,
            label="The other photo; without one, the first again",
            help="the second photo; if absent, the first photo again",
        ),
    ]
    kept = [
        PHOTO,
        KIND,
        model,
        replace(BLOCK, help="which of the nine Inception blocks the sheet shows, 3a to 5b"),
        replace(VIEW, help="what the sheet shows of each branch, as in `maps`"),
        replace(SCALE, help="colour scale of the sheet, as in `maps`"),
        COLOUR_MAP,
        language("language of the caption, en for English or zh for Chinese"),
    ]
    cam_block = replace(BLOCK, help="which of the nine Inception blocks Grad-CAM is computed at, 3a to 5b")
    all_pictures = replace(SCALE, help=SCALE.help.replace("all branches", "all pictures"))
    return [
        Endpoint(channel, [PHOTO, model, BLOCK, BRANCH, CHANNEL_NUMBER, COLOUR_MAP], [over_photo, data]),
        Endpoint(bottleneck, [PHOTO, model, BLOCK, all_pictures, COLOUR_MAP], [*maps, data]),
        Endpoint(compare, sides, [picture("The first side"), picture("The second side"), data]),
        Endpoint(
            overlays,
            [PHOTO, model, cam_block, CLASS_NAME],
            [picture("Evidence"), picture("Grad-CAM"), data],
            is_tool=True,
        ),
        Endpoint(keep, kept, [file]),
    ]
