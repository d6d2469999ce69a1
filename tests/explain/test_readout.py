"""How strongly the next block reads each channel, against a loop over its weights and against the network itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inception.explain.readout import channel_readout
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from support.networks import lively


def model_of(**options: object) -> InceptionV1:
    model = lively(InceptionV1(classes=7, input_shape=(3, 64, 64), **options))  # type: ignore[arg-type]
    assert isinstance(model, InceptionV1)
    return model


def test_strengths_are_the_lengths_of_the_weights_that_take_a_channel() -> None:
    model = model_of(variant="googlenet")
    told = channel_readout(model, "4c")
    assert (told.reader, len(told.strengths)) == ("4d", 512)
    for channel in (0, 127, 128, 400, 511):
        squares = 0.0
        for layer in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj"):
            for weight in model.inception_4d[layer].conv.weight[:, channel].flatten().tolist():
                squares += weight**2
        assert told.strengths[channel] == pytest.approx(squares**0.5, rel=1e-5)
    assert sum(told.shares.values()) == pytest.approx(1)
    of_3x3 = (told.strengths[128:384] ** 2).sum() / (told.strengths**2).sum()
    assert told.shares["3x3"] == pytest.approx(of_3x3, rel=1e-5)


@pytest.mark.parametrize("options", [{"variant": "batchnorm"}, {"variant": "batchnorm", "preact": True}], ids=str)
def test_batchnorm_counts_as_the_network_applies_it(options: dict[str, object]) -> None:
    model = model_of(**options)
    told = channel_readout(model, "3b")
    block = model.inception_4a
    # The entries as linear maps: how far each output moves when one channel of the input is raised by one.
    x = torch.zeros(1, 480, 1, 1)
    with torch.no_grad():
        for channel in (0, 200, 479):
            raised = x.clone()
            raised[0, channel] = 1
            moved = 0.0
            for layer in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj"):
                parts = [part for name, part in block[layer].named_children() if name != "relu"]
                linear = torch.nn.Sequential(*parts)
                moved += float((linear(raised) - linear(x)).square().sum())
            assert told.strengths[channel] == pytest.approx(moved**0.5, rel=1e-4)


def test_the_last_block_is_read_by_the_classifier() -> None:
    model = model_of(variant="torchvision")
    told = channel_readout(model, "5b")
    assert told.reader == "classifier"
    weight = next(layer for layer in model.head.modules() if isinstance(layer, torch.nn.Linear)).weight
    assert np.allclose(told.strengths, np.linalg.norm(weight.detach().numpy(), axis=0), rtol=1e-5)
    assert [channel_readout(model, block).reader for block in list(BLOCKS)[:-1]] == list(BLOCKS)[1:]
    with pytest.raises(ValueError, match="include_top"):
        channel_readout(InceptionV1(variant="torchvision", include_top=False, input_shape=(3, 64, 64)), "5b")
