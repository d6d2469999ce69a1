"""Occlusion and integrated gradients, compared with captum and with photos painted grey."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as CaptumGradients
from captum.attr import Occlusion as CaptumOcclusion
from PIL import Image

from inception import open_photo
from inception.errors import UserError
from inception.explain.integrated_gradients import integrated_gradients
from inception.explain.masking import ExplanationError
from inception.explain.occlusion import occlusion
from inception.explain.pixels import grey_input, logits_with, network_input
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, predict, predict_crop
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import CAFFE, IMAGENET
from support.networks import randomise
from support.paths import EXAMPLES

PHOTO = EXAMPLES / "espresso.jpg"
SIDE = 64
# With and without local response normalisation; BGR and RGB. Inputs are of order one, so that logits are too.
PREPROCESSING = {"googlenet": replace(CAFFE, std=(60.0, 60.0, 60.0)), "batchnorm": IMAGENET}


@pytest.fixture(scope="module", params=list(PREPROCESSING))
def subject(request: pytest.FixtureRequest) -> tuple[PretrainedModel, Prediction]:
    model = InceptionV1(variant=request.param, classes=5, input_shape=(3, SIDE, SIDE), classifier_activation=None)
    preprocessing = replace(PREPROCESSING[request.param], resize=SIDE, crop=SIDE, size=SIDE)
    pretrained = PretrainedModel(
        "made up", randomise(model).requires_grad_(False), preprocessing, tuple("abcde"), Provenance("", "", "", "")
    )
    return pretrained, predict(pretrained, open_photo(PHOTO))


def network_inputs(pretrained: PretrainedModel, prediction: Prediction) -> tuple[torch.Tensor, torch.Tensor]:
    """The photo and a plain grey image, preprocessed."""
    grey = Image.new("RGB", prediction.image.size, (128, 128, 128))
    return pretrained.preprocessing.to_tensor(prediction.image), pretrained.preprocessing.to_tensor(grey)


# A window that ends at the edge, and one that is clipped there.
@pytest.mark.parametrize(("window", "stride"), [(16, 16), (20, 13)])
def test_occlusion_matches_captum(window: int, stride: int, subject: tuple[PretrainedModel, Prediction]) -> None:
    pretrained, prediction = subject
    result = occlusion(pretrained, prediction, 2, window, stride)
    photo, grey = network_inputs(pretrained, prediction)
    size, step = (3, window, window), (3, stride, stride)
    expected = CaptumOcclusion(pretrained.model).attribute(photo, size, step, grey, 2, perturbations_per_eval=8)
    assert np.abs(result.map - expected[0, 0].numpy()).max() <= 1e-4
    assert np.abs(result.map).max() > 1e-2
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()


def test_drop_matches_the_photo_painted_grey(subject: tuple[PretrainedModel, Prediction]) -> None:
    pretrained, prediction = subject
    result = occlusion(pretrained, prediction)
    assert (result.window, result.stride) == (12, 6)
    assert result.index == prediction.top(1)[0].index
    for row, column in ((0, 0), (3, 5), (9, 9)):
        painted = prediction.image.copy()
        painted.paste((128, 128, 128), (column * 6, row * 6, column * 6 + 12, row * 6 + 12))
        logit = float(predict_crop(pretrained, painted).logits[result.index])
        assert result.drops[row, column] == pytest.approx(float(prediction.logits[result.index]) - logit, abs=1e-4)
    assert result.drops.shape == (10, 10)  # the last window, at 54, is clipped to 10 pixels


@pytest.mark.parametrize("steps", [5, 12])  # one partial batch; one full and one partial
def test_integrated_gradients_match_captum(steps: int, subject: tuple[PretrainedModel, Prediction]) -> None:
    pretrained, prediction = subject
    with torch.inference_mode():
        result = integrated_gradients(pretrained, prediction, 1, steps)
    photo, grey = network_inputs(pretrained, prediction)
    expected = CaptumGradients(pretrained.model).attribute(photo, grey, 1, n_steps=steps, method="gausslegendre")
    assert np.abs(result.map - expected[0].sum(dim=0).detach().numpy()).max() <= 1e-4
    assert np.abs(result.map).max() > 1e-2
    assert all(parameter.grad is None for parameter in pretrained.model.parameters())


def test_pixels_add_up_to_the_logits_difference_from_grey(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(PHOTO))
    result = integrated_gradients(embedded, prediction)
    grey = predict_crop(embedded, Image.new("RGB", prediction.image.size, (128, 128, 128)))
    assert result.baseline == pytest.approx(float(grey.logits[result.index]), abs=1e-3)
    assert result.map.sum() == pytest.approx(result.logit - result.baseline, rel=0.02)
    assert result.error == pytest.approx(abs(result.map.sum() - (result.logit - result.baseline)))
    report = result.to_dict()
    assert report["highest"] == result.map.max() == result.map[report["row"], report["column"]]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert not result.map.flags.writeable


def test_invalid_arguments_are_rejected_with_the_valid_range(subject: tuple[PretrainedModel, Prediction]) -> None:
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


def test_occlusion_of_many_places_takes_the_masks_of_one_batch(
    subject: tuple[PretrainedModel, Prediction], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained, prediction = subject
    shapes = []

    def counted(pretrained: PretrainedModel, photo: torch.Tensor, grey: torch.Tensor, masks: np.ndarray) -> np.ndarray:
        shapes.append(masks.shape)
        return logits_with(pretrained, photo, grey, masks)

    monkeypatch.setattr("inception.explain.occlusion.logits_with", counted)
    result = occlusion(pretrained, prediction, 2, 16, 8)
    assert shapes == [(8, SIDE, SIDE)] * 6 + [(1, SIDE, SIDE)]
    masks = np.zeros((7, 7, SIDE, SIDE), dtype=bool)
    for row, column in np.ndindex(7, 7):
        masks[row, column, 8 * row : 8 * row + 16, 8 * column : 8 * column + 16] = True
    photo, grey = network_input(pretrained, prediction.image), grey_input(pretrained)
    at_once = logits_with(pretrained, photo, grey, masks.reshape(-1, SIDE, SIDE))[:, 2]
    assert np.array_equal(result.drops.ravel(), result.logit - at_once.astype(np.float64)), "not bit for bit"
