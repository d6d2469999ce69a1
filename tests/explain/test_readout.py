"""How strongly the next block reads each channel, compared with a loop over its weights and with the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inception import open_photo, predict
from inception.errors import UserError
from inception.explain.readout import channel_readout, channel_summary
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.pretrained import PretrainedModel
from support.networks import randomise
from support.paths import EXAMPLES


def model_of(**options: object) -> InceptionV1:
    model = randomise(InceptionV1(classes=7, input_shape=(3, 64, 64), **options))  # type: ignore[arg-type]
    assert isinstance(model, InceptionV1)
    return model


def test_strength_is_the_norm_of_the_weights_that_read_a_channel() -> None:
    model = model_of(variant="googlenet")
    readout = channel_readout(model, "4c")
    assert (readout.reader, len(readout.strengths)) == ("4d", 512)
    for channel in (0, 127, 128, 400, 511):
        squares = 0.0
        for layer in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj"):
            for weight in model.inception_4d[layer].conv.weight[:, channel].flatten().tolist():
                squares += weight**2
        assert readout.strengths[channel] == pytest.approx(squares**0.5, rel=1e-5)
    assert sum(readout.shares.values()) == pytest.approx(1)
    expected = (readout.strengths[128:384] ** 2).sum() / (readout.strengths**2).sum()
    assert readout.shares["3x3"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{"variant": "batchnorm"}, {"variant": "batchnorm", "preact": True}], ids=str)
def test_strengths_include_batchnorm(options: dict[str, object]) -> None:
    model = model_of(**options)
    readout = channel_readout(model, "3b")
    block = model.inception_4a
    # How far the first layers, linear without ReLU, move their outputs when one input channel is raised by one.
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
            assert readout.strengths[channel] == pytest.approx(moved**0.5, rel=1e-4)


def test_last_block_is_read_by_the_classifier() -> None:
    model = model_of(variant="torchvision")
    readout = channel_readout(model, "5b")
    assert readout.reader == "classifier"
    weight = next(layer for layer in model.head.modules() if isinstance(layer, torch.nn.Linear)).weight
    assert np.allclose(readout.strengths, np.linalg.norm(weight.detach().numpy(), axis=0), rtol=1e-5)
    assert [channel_readout(model, block).reader for block in list(BLOCKS)[:-1]] == list(BLOCKS)[1:]
    with pytest.raises(ValueError, match="include_top"):
        channel_readout(InceptionV1(variant="torchvision", include_top=False, input_shape=(3, 64, 64)), "5b")


@pytest.mark.parametrize("channel", [-1, 256])
def test_summary_of_no_channel_is_refused(channel: int, embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / "espresso.jpg"))
    readout = channel_readout(embedded.model, "4c")
    with pytest.raises(UserError, match=f"no channel {channel} in 4c/3x3; its channels are numbered 0 to 255"):
        channel_summary(prediction, readout, "3x3", channel)
    assert channel_summary(prediction, readout, "3x3", 255).number == 128 + 255
