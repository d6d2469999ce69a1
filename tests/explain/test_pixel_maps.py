"""Occlusion and integrated gradients, against captum, and against photos that are really painted grey."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as TheirGradients
from captum.attr import Occlusion as TheirOcclusion
from PIL import Image

from inception import open_photo
from inception.errors import UserError
from inception.explain.integrated_gradients import integrated_gradients
from inception.explain.masking import ExplanationError
from inception.explain.occlusion import occlusion
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, predict, predict_crop
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import CAFFE, IMAGENET
from support.networks import lively
from support.paths import EXAMPLES

PHOTO = EXAMPLES / "espresso.jpg"
SIDE = 64
# With and without local response normalisation; BGR and RGB. Of inputs of order one, so that logits are too.
HOW = {"googlenet": replace(CAFFE, std=(60.0, 60.0, 60.0)), "batchnorm": IMAGENET}


@pytest.fixture(scope="module", params=list(HOW))
def subject(request: pytest.FixtureRequest) -> tuple[PretrainedModel, Prediction]:
    model = InceptionV1(variant=request.param, classes=5, input_shape=(3, SIDE, SIDE), classifier_activation=None)
    how = replace(HOW[request.param], resize=SIDE, crop=SIDE, size=SIDE)
    pretrained = PretrainedModel(
        "made up", lively(model).requires_grad_(False), how, tuple("abcde"), Provenance("", "", "", "")
    )
    return pretrained, predict(pretrained, open_photo(PHOTO))


def inputs(pretrained: PretrainedModel, prediction: Prediction) -> tuple[torch.Tensor, torch.Tensor]:
    """The photo and plain grey, as the network takes them."""
    grey = Image.new("RGB", prediction.image.size, (128, 128, 128))
    return pretrained.preprocessing.to_tensor(prediction.image), pretrained.preprocessing.to_tensor(grey)


# The window reaches the edge exactly, and is cut off there.
@pytest.mark.parametrize(("window", "stride"), [(16, 16), (20, 13)])
def test_occlusion_is_that_of_captum(window: int, stride: int, subject: tuple[PretrainedModel, Prediction]) -> None:
    pretrained, prediction = subject
    told = occlusion(pretrained, prediction, 2, window, stride)
    photo, grey = inputs(pretrained, prediction)
    size, step = (3, window, window), (3, stride, stride)
    theirs = TheirOcclusion(pretrained.model).attribute(photo, size, step, grey, 2, perturbations_per_eval=8)
    assert np.abs(told.map - theirs[0, 0].numpy()).max() <= 1e-4
    assert np.abs(told.map).max() > 1e-2
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False)) == told.to_dict()


def test_a_drop_is_that_of_the_photo_painted_grey(subject: tuple[PretrainedModel, Prediction]) -> None:
    pretrained, prediction = subject
    told = occlusion(pretrained, prediction)
    assert (told.window, told.stride) == (12, 6)
    assert told.index == prediction.top(1)[0].index
    for row, column in ((0, 0), (3, 5), (9, 9)):
        painted = prediction.image.copy()
        painted.paste((128, 128, 128), (column * 6, row * 6, column * 6 + 12, row * 6 + 12))
        logit = float(predict_crop(pretrained, painted).logits[told.index])
        assert told.drops[row, column] == pytest.approx(float(prediction.logits[told.index]) - logit, abs=1e-4)
    assert told.drops.shape == (10, 10)  # at 54 the window is cut off after 10 pixels


@pytest.mark.parametrize("steps", [5, 12])  # one batch and a part of one; two batches
def test_integrated_gradients_are_those_of_captum(steps: int, subject: tuple[PretrainedModel, Prediction]) -> None:
    pretrained, prediction = subject
    with torch.inference_mode():
        told = integrated_gradients(pretrained, prediction, 1, steps)
    photo, grey = inputs(pretrained, prediction)
    theirs = TheirGradients(pretrained.model).attribute(photo, grey, 1, n_steps=steps, method="gausslegendre")
    assert np.abs(told.map - theirs[0].sum(dim=0).detach().numpy()).max() <= 1e-4
    assert np.abs(told.map).max() > 1e-2
    assert all(parameter.grad is None for parameter in pretrained.model.parameters())


def test_all_pixels_add_up_to_what_the_photo_adds_to_the_logit_of_grey(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(PHOTO))
    told = integrated_gradients(embedded, prediction)
    grey = predict_crop(embedded, Image.new("RGB", prediction.image.size, (128, 128, 128)))
    assert told.baseline == pytest.approx(float(grey.logits[told.index]), abs=1e-3)
    assert told.map.sum() == pytest.approx(told.logit - told.baseline, rel=0.02)
    assert told.error == pytest.approx(abs(told.map.sum() - (told.logit - told.baseline)))
    report = told.to_dict()
    assert report["highest"] == told.map.max() == told.map[report["row"], report["column"]]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert not told.map.flags.writeable


def test_a_wrong_wish_is_answered_with_what_is_allowed(subject: tuple[PretrainedModel, Prediction]) -> None:
    pretrained, prediction = subject
    with pytest.raises(UserError, match="window is 65; it must be a whole number from 1 to 64"):
        occlusion(pretrained, prediction, 0, 65)
    with pytest.raises(UserError, match="stride is 11; it must be a whole number from 1 to 10"):
        occlusion(pretrained, prediction, 0, 10, 11)
    with pytest.raises(UserError, match="steps is 0"):
        integrated_gradients(pretrained, prediction, 0, 0)
    for explain in (occlusion, integrated_gradients):
        with pytest.raises(ExplanationError, match="numbered 0 to 4"):
            explain(pretrained, prediction, 5)
