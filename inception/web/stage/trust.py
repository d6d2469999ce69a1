"""Attribution maps of several methods, and tests of whether they can be trusted, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...explain.attribution_maps import attribution_map, block_of_map
from ...explain.catalogue import EXPLANATIONS
from ...explain.masking import class_index
from ...prediction import Prediction
from ...pretrained.pretrained import PretrainedModel
from ...service.query import Query
from ...service.service import InferenceService
from ..api.explanations import ServedSubject
from .packing import block_sums, pack

SIDE = 56  # cells at most of a map that is sent


def attribution(service: InferenceService, query: Query, method: str, block: str, index: int | None) -> dict[str, Any]:
    """The map of a class by one method, signed, in at most `SIDE` x `SIDE` cells."""
    return {"map": pack(service.explained(query, coarse_map, method, block_of_map(method, block), index))}


def coarse_map(
    pretrained: PretrainedModel, prediction: Prediction, method: str, block: str, index: int | None
) -> np.ndarray:
    """Return the mean of a method's map over squares of the network's input, (rows, columns) float32."""
    target = class_index(pretrained, prediction, index)
    width, height = prediction.image.size
    # A visitor waits for it: integrated gradients in fewer steps.
    quick = method == "integrated_gradients"
    pixels = attribution_map(pretrained, prediction, method, target, block, quick=quick).pixels(height, width)
    step = -(-max(height, width) // SIDE)
    return (block_sums(pixels, step) / block_sums(np.ones_like(pixels), step)).astype(np.float32)


def trust(service: InferenceService, query: Query, method: str, block: str, index: int | None) -> dict[str, Any]:
    """The tests of a method's map, as in the explanation `faithfulness`."""
    test = EXPLANATIONS["faithfulness"]
    name = "" if index is None else index  # a number as text could be another class's name
    return test(ServedSubject(service, query), method=method, block=block, class_name=name).to_dict()
