"""The initial network of a training from a checkpoint with unusual layer options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inception import load
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.training.initial_model import initial_model, layer_options
from inception.vision.preprocessing import IMAGENET
from support.training import SHORT_RECIPE


@pytest.mark.parametrize(("preact", "use_bias"), [(True, True), (False, False), (True, False)])
def test_layer_order_and_biases_are_those_of_the_checkpoint(tmp_path: Path, preact: bool, use_bias: bool) -> None:
    network = InceptionV1(classes=3, preact=preact, use_bias=use_bias)
    file = tmp_path / "own.safetensors"
    description = Description(
        "batchnorm", ("a", "b", "c"), IMAGENET, UNKNOWN_PROVENANCE, preact=preact, use_bias=use_bias
    )
    save_checkpoint(file, network.state_dict(), description)
    model, _ = initial_model(replace(SHORT_RECIPE, start=str(file)), ("a", "b", "c"), 64)
    assert layer_options(model) == (preact, use_bias)
    photos = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model.eval().logits(photos), load(str(file)).model.logits(photos))


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
def test_a_network_of_any_variant_can_be_rebuilt_from_its_layer_options(variant: str) -> None:
    preact, use_bias = layer_options(InceptionV1(classes=2, variant=variant))
    assert InceptionV1(classes=2, variant=variant, preact=preact, use_bias=use_bias)
