"""Explanations of a network of another type, in training mode, or loaded in inference mode, as of the usual one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inception import load
from inception.explain.integrated_gradients import integrated_gradients
from inception.explain.randomised import randomised_networks
from inception.explain.readout import channel_readout
from inception.explain.receptive_field import effective_field
from inception.prediction import Prediction, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.units.feature_visualization import VisualizationSettings, visualize
from inception.units.middle_cell import FIRST_LAYER, middle_values
from inception.units.unit import Unit

STATES: dict[str, Callable[[PretrainedModel], object]] = {
    "float16": lambda pretrained: pretrained.model.half(),
    "bfloat16": lambda pretrained: pretrained.model.bfloat16(),
    "float64": lambda pretrained: pretrained.model.double(),
    "training": lambda pretrained: pretrained.model.train(),
    "inference": lambda pretrained: pretrained.model,
}
EXPLANATIONS: dict[str, Callable[[PretrainedModel, Prediction], np.ndarray]] = {
    "field": lambda pretrained, seen: effective_field(pretrained, seen, "4a", "3x3", 1, 1).energy,
    "gradients": lambda pretrained, seen: integrated_gradients(pretrained, seen, 0, steps=4).map,
    "conv1": lambda pretrained, seen: middle_values(pretrained, [seen.image], [FIRST_LAYER])[FIRST_LAYER],
    "random": lambda pretrained, seen: predict(next(randomised_networks(pretrained))[1], seen.image).logits,
    "unfused": lambda pretrained, seen: predict(pretrained.unfused(), seen.image).logits,
    "readout": lambda pretrained, seen: channel_readout(pretrained.model, "4a").strengths,
    "image": lambda pretrained, seen: (
        next(visualize(pretrained, Unit("3a", "1x1", 0), VisualizationSettings(steps=1, side=32))).image
    ),
}


@pytest.fixture(scope="module")
def usual(small_file: Path) -> PretrainedModel:
    """The network in its usual state."""
    return load(small_file)


@pytest.fixture(scope="module", params=STATES)
def changed(request: pytest.FixtureRequest, small_file: Path) -> PretrainedModel:
    """The same network in another state."""
    with torch.inference_mode(request.param == "inference"):
        pretrained = load(small_file)
        STATES[request.param](pretrained)
    return pretrained


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_the_state_of_the_network_does_not_matter(
    usual: PretrainedModel, changed: PretrainedModel, photo: Image.Image, name: str
) -> None:
    before = {key: tensor.clone() for key, tensor in changed.model.state_dict().items()}
    expected = EXPLANATIONS[name](usual, predict(usual, photo)).astype(np.float64)
    found = EXPLANATIONS[name](changed, predict(changed, photo)).astype(np.float64)
    # Rounded to eight bits, weights move logits and gradients by some per cent.
    assert np.linalg.norm(found - expected) <= 0.1 * np.linalg.norm(expected)
    for key, tensor in changed.model.state_dict().items():
        assert torch.equal(tensor, before[key]), key
