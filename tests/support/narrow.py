"""A network with the usual blocks and branches, but few channels, so that it is fast."""

from __future__ import annotations

import torch
from torch import nn

from inception.network.blocks import BLOCKS, InceptionBlock
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import Preprocessing
from support.networks import randomise

WIDTHS = {"1x1": 8, "3x3": 12, "5x5": 4, "pool": 4}  # of every block
CHANNELS = sum(WIDTHS.values())


def narrow_model(side: int = 64, classes: int = 6, seed: int = 0) -> PretrainedModel:
    """Return a network with random weights and branch means, and `CHANNELS` channels in every block."""
    model = InceptionV1(classes=classes, input_shape=(3, side, side))
    for block, widths in BLOCKS.items():
        in_channels = widths.in_channels if block == "3a" else CHANNELS
        narrow_block = InceptionBlock(
            in_channels, WIDTHS["1x1"], (8, WIDTHS["3x3"]), (4, WIDTHS["5x5"]), WIDTHS["pool"]
        )
        model.add_module(f"inception_{block}", narrow_block)
    head = model.required_head
    head.add_module("hidden", nn.Linear(CHANNELS, 16))
    head.add_module("classifier", nn.Linear(16, classes))
    randomise(model, seed)
    generator = torch.Generator().manual_seed(seed)
    return PretrainedModel(
        name="narrow",
        model=model,
        preprocessing=Preprocessing(side, side, side, "RGB", 255.0, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        labels=tuple(f"class {number}" for number in range(classes)),
        provenance=Provenance("random", "none", "none", "chance"),
        means={block: torch.rand(CHANNELS, generator=generator) for block in BLOCKS},
    )
