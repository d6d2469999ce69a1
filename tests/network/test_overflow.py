"""Networks whose numbers are finite and whose activations are not."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from inception import load
from inception.errors import WeightsError
from inception.network.inception_v1 import InceptionV1
from inception.network.overflow import ActivationOverflowError, check_every_layer, run_batch
from inception.prediction import Prediction, predict_batch
from support.networks import randomise


@pytest.fixture(params=[1, -1], ids=["inf", "-inf"])
def overflowing(request: pytest.FixtureRequest) -> InceptionV1:
    """A network with a reduction that overflows within block 4c."""
    model = randomise(InceptionV1(classes=5, variant="googlenet", input_shape=(3, 64, 64)))
    with torch.no_grad():
        model.block("4c").convolution("3x3_reduce").weight.abs_().mul_(request.param * 3e38).clamp_(-3e38, 3e38)
    return model


def test_overflow_within_a_block_is_found(overflowing: InceptionV1) -> None:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ActivationOverflowError, match="The activations of large overflow"):
        check_every_layer("large", overflowing, x)
    assert not any(module._forward_hooks for module in overflowing.modules())


def test_a_finite_network_passes() -> None:
    check_every_layer("small", randomise(InceptionV1(classes=5, input_shape=(3, 64, 64))), torch.zeros(1, 3, 64, 64))


def test_a_checkpoint_that_overflows_is_refused_when_it_is_loaded(overflowing: InceptionV1, tmp_path: Path) -> None:
    torch.save(overflowing.state_dict(), tmp_path / "large.pth")
    with pytest.raises(WeightsError, match=r"The activations of large overflow \(NaN or infinite\)"):
        load(tmp_path / "large.pth")


def test_only_the_overflowing_photo_of_a_batch_fails() -> None:
    pretrained = load()
    first_convolution = next(module for module in pretrained.model.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        first_convolution.weight.zero_()
        first_convolution.weight[:, 0, 3, 3] = 1e36  # overflows where the photo is redder than the mean
    dark, red = (Image.new("RGB", (160, 160), colour) for colour in ("black", "red"))
    images = [dark, red, dark]
    with pytest.raises(ActivationOverflowError):
        predict_batch(pretrained, images)
    kinds = [type(result) for result in run_batch(partial(predict_batch, pretrained), images)]
    assert kinds == [Prediction, ActivationOverflowError, Prediction]
