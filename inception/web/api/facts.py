"""Endpoints that need no photo: classes, readout, cost of a bottleneck, size of a network."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gradio.components import Component

from ...explain.registry import Argument
from ...export.report import size_report
from ...network.anatomy import bottleneck
from ...network.cost import WORKED_EXAMPLE, break_even
from ...service.service import InferenceService
from ..class_names import class_names
from .endpoint import Endpoint
from .inputs import BLOCK, language, model_of

MOST_CHANNELS, MOST_KERNEL, MOST_CELLS = 4096, 11, 224 * 224  # of the convolution whose cost is asked for
_GIVEN, _REDUCED, _MADE = WORKED_EXAMPLE
COST = tuple(
    Argument(label, text, type=int, default=value, minimum=1, maximum=maximum)
    for label, text, value, maximum in (
        ("Channels before", "channels of the input", _GIVEN, MOST_CHANNELS),
        ("Channels after the reduction", "channels that the 1x1 reduction leaves", _REDUCED, MOST_CHANNELS),
        ("Channels after the convolution", "channels of the output", _MADE, MOST_CHANNELS),
        ("Side of the window", "side of the convolution's window, for instance 5", 5, MOST_KERNEL),
        ("Cells of a map", "height times width of the output's maps", 784, MOST_CELLS),
    )
)


def fact_endpoints(service: InferenceService, data: Component) -> list[Endpoint]:
    """Return the endpoints; `data` is the component for their JSON."""

    def classes(model: str, language: str) -> dict[str, Any]:
        """All classes of a network, in the order of their numbers.

        Returns:
            the network's name and its classes; the first has number 0
        """
        return {"model": model, "classes": list(class_names(service.pretrained(model), language))}

    def reading(model: str, block: str) -> dict[str, Any]:
        """How strongly the next layer reads each channel of a block's output, for any photo.

        Returns:
            the reader (the next block, or the classifier), each branch's share, and by branch the strength of each
            channel: the L2 norm of all weights that multiply it
        """
        slices = service.pretrained(model).model.block(block).slices
        return {"model": model, **service.readout(model, block).to_dict(slices)}

    def bottleneck_cost(
        in_channels: int, reduced_to: int, out_channels: int, kernel: int, cells: int
    ) -> dict[str, Any]:
        """The cost of a convolution, directly and with a 1x1 reduction before it (a bottleneck).

        Returns:
            weights and multiplications of both (biases are not counted), how many times fewer weights the bottleneck
            has, and the greatest number of channels at which a reduction still saves weights
        """
        cost = bottleneck(in_channels, reduced_to, out_channels, kernel, cells=cells, bias=False)
        return {**asdict(cost), "saving": cost.saving, "break_even": break_even(in_channels, out_channels, kernel)}

    def network_size(model: str) -> dict[str, Any]:
        """The size of a network: parameters, multiplications, depth, and what its reductions save block by block.

        Returns:
            its size at its own input size and at 224x224 pixels, all ways of counting its parameters, each block
            compared with the naive one without reductions, and VGG-16 for comparison
        """
        return size_report(model, service.pretrained(model).model)

    model = model_of(service)
    names = language("language of the names: en for its own labels, zh for Chinese names where one is sure")
    return [
        Endpoint(classes, [model, names], [data]),
        Endpoint(reading, [model, BLOCK], [data]),
        Endpoint(bottleneck_cost, COST, [data]),
        Endpoint(network_size, [model], [data], is_tool=True),
    ]
