"""Plain data of the networks themselves, independent of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn

from ...network.anatomy import BranchFacts, conv_cost
from ...network.blocks import BRANCHES, InceptionBlock
from ...network.cost import network_size
from ...network.inception_v1 import STAGES, stage_of
from ...pretrained.labels import chinese_names
from ...pretrained.pretrained import PretrainedModel
from ...pretrained.zoo import GOOGLENET_FILES, MODEL_NAMES, describe
from ...service.service import InferenceService
from ...units.middle_cell import middle_cell
from ...units.size_tuning import size_tuning
from ...vision.photo import MAX_BYTES
from .packing import pack

BEST = "googlenet"  # right about more photos than the embedded network
FIRST_PHOTO = "honey_bee"


def start(service: InferenceService, examples: Sequence[Path]) -> dict[str, Any]:
    """The networks, the network and the photo to show first, the example photos, and where is computed.

    First is the best network whose weights are on this machine, unless the operator named the networks. `megabytes` is
    what has to be downloaded before a network can be used, or null where that is unknown or nothing; `max_bytes` is the
    size that an uploaded file may have.
    """
    models = [_model(name) for name in service.models]
    stems = [path.stem for path in examples]
    may_choose = service.models == MODEL_NAMES and not service.begins_with_first
    is_there = any(model["name"] == BEST and model["available"] for model in models)
    return {
        "models": models,
        "first": BEST if is_there and may_choose else service.models[0],
        "photo": f"example:{FIRST_PHOTO if FIRST_PHOTO in stems else stems[0]}",
        "examples": [_example(path) for path in examples],
        "device": service.device.name,
        "max_bytes": MAX_BYTES,
    }


def _model(name: str) -> dict[str, Any]:
    is_available = name not in MODEL_NAMES or bool(describe(name)["at_hand"])
    size = GOOGLENET_FILES[0].size if name == "googlenet" and not is_available else None
    return {"name": name, "available": is_available, "megabytes": None if size is None else round(size / 1e6)}


def _example(path: Path) -> dict[str, Any]:
    with Image.open(path) as image:  # reads the header only
        return {"stem": path.stem, "width": image.width, "height": image.height}


def network(service: InferenceService, name: str) -> dict[str, Any]:
    """Classes, sizes and provenance of a network, and every layer of its blocks.

    `chinese` are the names of classes that are known in Chinese, by label. `parameters` and `macs` of the whole network
    count all layers that run, `linear` only the linear ones, `batchnorm` only BatchNorm; those of blocks and layers
    count convolutions. `middle` is a block's cell whose receptive field is centred nearest to the middle of the input,
    with that centre in pixels (`x`, `y`). `has_means` says whether channels that are off can be replaced by their
    means. `margin` is the RGB colour that surrounds a whole photo.
    """
    pretrained = service.pretrained(name)
    size = network_size(pretrained.model, pretrained.model.input_shape)
    rule = pretrained.rejection
    return {
        "name": name,
        "labels": list(pretrained.labels),
        "chinese": _chinese(pretrained),
        "size": pretrained.input_size,
        "margin": list(pretrained.preprocessing.margin_colour),
        "temperature": pretrained.temperature,
        "threshold": None if rule is None else rule.threshold,
        "rejection": None if rule is None else asdict(rule),
        "has_means": bool(pretrained.means),
        "parameters": size.parameters,
        "linear": size.classifier_parameters,
        "batchnorm": _batchnorm_parameters(pretrained.model),
        "macs": size.multiplications,
        "about": asdict(pretrained.provenance),
        "blocks": {
            block: {**_block(pretrained, block, facts), **_reading(service, name, block)}
            for block, facts in service.facts(name).items()
        },
    }


def _chinese(pretrained: PretrainedModel) -> dict[str, str]:
    if not pretrained.imagenet:
        return {}
    names = chinese_names()
    return {label: name for label in pretrained.labels if (name := names.get(label)) is not None}


def _batchnorm_parameters(model: nn.Module) -> int:
    layers = (module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


def _block(pretrained: PretrainedModel, block: str, facts: tuple[BranchFacts, ...]) -> dict[str, Any]:
    module = pretrained.model.block(block)
    before = STAGES[STAGES.index(stage_of(block)) - 1]
    return {
        "in_channels": module.widths.in_channels,
        "channels": sum(fact.channels for fact in facts),
        "side": facts[0].height,
        "middle": asdict(middle_cell(pretrained, block)),
        "pool_before": before.startswith("pool"),
        "parameters": sum(fact.cost.parameters for fact in facts),
        "macs": sum(fact.cost.multiplications for fact in facts),
        "branches": {fact.branch: _branch(module, fact) for fact in facts},
    }


def _reading(service: InferenceService, name: str, block: str) -> dict[str, Any]:
    """Return how strongly the weights of the next layer, `reader`, read each channel of a block."""
    readout = service.readout(name, block)
    return {"reader": readout.reader, "reading": pack(readout.strengths)}


def _branch(module: InceptionBlock, fact: BranchFacts) -> dict[str, Any]:
    return {
        "channels": fact.channels,
        "layers": [_layer(module, layer, fact.height * fact.width) for layer in BRANCHES[fact.branch]],
        "field": asdict(fact.receptive_field),
    }


def _layer(module: InceptionBlock, layer: str, cells: int) -> dict[str, Any]:
    if layer == "pool":
        channels, pool = module.widths.in_channels, module["pool"]
        sizes = {"kernel": pool.kernel_size, "in": channels, "out": channels}
        return {"name": layer, **sizes, "parameters": 0, "macs": 0}
    conv = module.convolution(layer)
    side = int(conv.kernel_size[0])
    cost = conv_cost(conv.in_channels, conv.out_channels, side, cells=cells, bias=conv.bias is not None)
    sizes = {"kernel": side, "in": conv.in_channels, "out": conv.out_channels}
    return {"name": layer, **sizes, "parameters": cost.parameters, "macs": cost.multiplications}


def tuning(service: InferenceService, name: str, block: str, shape: str) -> dict[str, Any]:
    """Return the response of a block's branches to a shape, by its size."""
    return service.explained(service.grey_query(name), size_tuning, block, shape).to_dict()
