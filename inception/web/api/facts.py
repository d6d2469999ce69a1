"""Endpoints that need no photo: a network's classes, who reads a block, what reductions save, how large it all is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr
from gradio.components import Component

from ...explain.report import reading_report, size_report
from ...network.anatomy import bottleneck
from ...network.cost import WORKED_EXAMPLE, break_even
from ...service.service import InferenceService
from ..class_names import class_names
from ..panels.bottleneck import MOST_CELLS, MOST_CHANNELS, MOST_KERNEL
from .endpoint import Endpoint


def fact_endpoints(
    service: InferenceService, model: Component, block: Component, language: Component, data: Component
) -> list[Endpoint]:
    """The endpoints; the components say what each argument may be."""

    def classes(model: str, language: str) -> dict[str, Any]:
        """All classes that a network tells apart, in the order of their numbers.

        Args:
            model: which network, as `models` lists them
            language: en for its own labels, zh for Chinese names where one is sure

        Returns:
            the network's name and its classes; the first has number 0
        """
        return {"model": model, "classes": list(class_names(service.pretrained(model), language))}

    def reading(model: str, block: str) -> dict[str, Any]:
        """How strongly the layers behind a block read each channel of its output, whatever the photo.

        Args:
            model: which network, as `models` lists them
            block: which of the nine Inception blocks, 3a to 5b

        Returns:
            who reads (the next block, or the classifier), each branch's share, and by branch the strength of each
            channel: the length of all weights that multiply it
        """
        told = service.readout(model, block)
        return reading_report(model, told, service.pretrained(model).model.block(block).slices)

    def bottleneck_cost(
        in_channels: int, reduced_to: int, out_channels: int, kernel: int, cells: int
    ) -> dict[str, Any]:
        """What a convolution costs directly, and through a 1x1 reduction before it (the bottleneck).

        Args:
            in_channels: channels of the input
            reduced_to: channels that the 1x1 reduction leaves
            out_channels: channels of the output
            kernel: side of the convolution's window, for instance 5
            cells: height times width of the output's maps

        Returns:
            weights and multiplications of both ways (biases are not counted), how many times fewer weights the
            reduced way has, and the most channels at which a reduction still saves any
        """
        cost = bottleneck(in_channels, reduced_to, out_channels, kernel, cells=cells, bias=False)
        return {**asdict(cost), "saving": cost.saving, "break_even": break_even(in_channels, out_channels, kernel)}

    def network_size(model: str) -> dict[str, Any]:
        """How large a network is: parameters, multiplications, depth, and what its reductions save block by block.

        Args:
            model: which network, as `models` lists them

        Returns:
            its size at its own input and at 224x224 pixels, all ways of counting its parameters, each block beside
            the naive one without reductions, and VGG-16 for comparison
        """
        return size_report(model, service.pretrained(model).model)

    given, reduced, made = WORKED_EXAMPLE
    numbers: list[Component] = [
        gr.Number(value, precision=0, minimum=1, maximum=most, visible=False, label=label)
        for label, value, most in (
            ("Channels before", given, MOST_CHANNELS),
            ("Channels after the reduction", reduced, MOST_CHANNELS),
            ("Channels after the convolution", made, MOST_CHANNELS),
            ("Side of the window", 5, MOST_KERNEL),
            ("Cells of a map", 784, MOST_CELLS),
        )
    ]
    return [
        Endpoint(classes, [model, language], [data]),
        Endpoint(reading, [model, block], [data]),
        Endpoint(bottleneck_cost, numbers, [data]),
        Endpoint(network_size, [model], [data]),
    ]
