"""Results as plain data: the JSON of the command line and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ..network.anatomy import BranchFacts, ModuleCost, bottleneck, module_cost
from ..network.blocks import BLOCKS
from ..network.cost import PUBLISHED_SHAPE, module_costs, network_size, parameter_counts, vgg16_size
from ..network.inception_v1 import InceptionV1
from ..prediction import Prediction, statistics
from ..pretrained.pretrained import PretrainedModel
from ..render.branches import Panel


def answer_report(model: str, prediction: Prediction, top_k: int) -> dict[str, Any]:
    """Return the most probable classes in descending order, and whether the rejection rule applies.

    `not_sure` and `rule` are those of `rejection_report`.
    """
    return {
        "model": model,
        **rejection_report(prediction),
        "top": [
            {"class": score.index, "label": score.label, "probability": score.probability}
            for score in prediction.top(top_k)
        ],
    }


def rejection_report(prediction: Prediction) -> dict[str, Any]:
    """Return `not_sure`, None for a network without a rejection rule, and `rule`: how reliable the rule is."""
    rule = prediction.rejection
    return {
        "not_sure": None if rule is None else prediction.rejected,
        "rule": None if rule is None else asdict(rule),
    }


def maps_report(model: str, block: str, panels: Mapping[str, Panel]) -> dict[str, Any]:
    """Return the numbers for the pictures of a block's branches.

    `scale` is the values at the ends of a picture's colour scale, or None if each channel has its own.
    """
    return {
        "model": model,
        "block": block,
        "branches": {
            branch: {
                **asdict(panel.numbers),
                "scale": None if panel.bounds is None else [panel.bounds.low, panel.bounds.high],
            }
            for branch, panel in panels.items()
        },
    }


def numbers_report(maps: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the statistics of several maps (C, H, W), by name."""
    return {name: asdict(statistics(values)) for name, values in maps.items()}


def anatomy_report(model: str, pretrained: PretrainedModel, facts: tuple[BranchFacts, ...]) -> dict[str, Any]:
    """Return a block's branches, and what its reductions save compared with the naive module."""
    block, cells = facts[0].block, facts[0].height * facts[0].width
    widths, biased = BLOCKS[block], "1x1.conv.bias" in pretrained.model.block(block).state_dict()
    bottlenecks = {
        fact.branch: bottleneck(
            widths.in_channels, fact.reduced_to, fact.channels, fact.kernel, cells=cells, bias=biased
        )
        for fact in facts
        if fact.reduced_to is not None
    }
    cost: ModuleCost = module_cost(pretrained.model.block(block), cells)
    return {
        "model": model,
        "block": block,
        "in_channels": widths.in_channels,
        "branches": {fact.branch: asdict(fact) for fact in facts},
        "bottlenecks": {branch: {**asdict(cost), "saving": cost.saving} for branch, cost in bottlenecks.items()},
        "module": {**asdict(cost), "saving": cost.saving},
    }


def size_report(model: str, network: InceptionV1) -> dict[str, Any]:
    """Return the size of a network: `model, own, at_224, vgg16, parameter_counts, blocks`.

    `own` (at its own input), `at_224` and `vgg16` have the keys of `NetworkSize` and its `depth`; `parameter_counts`
    are eight of `{"auxiliary", "classifier", "biases", "parameters"}`; `blocks` have the keys of `BlockCost` and
    its `saving`.
    """
    sizes = {
        "own": network_size(network, network.input_shape),
        "at_224": network_size(network, PUBLISHED_SHAPE),
        "vgg16": vgg16_size(),
    }
    return {
        "model": model,
        **{name: {**asdict(size), "depth": size.depth} for name, size in sizes.items()},
        "parameter_counts": [asdict(count) for count in parameter_counts(network)],
        "blocks": [{**asdict(cost), "saving": cost.saving} for cost in module_costs(network)],
    }
