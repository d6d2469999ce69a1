"""Insertion and deletion curves, compared with painting pixel by pixel; randomised weights, compared with SciPy."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from scipy.special import softmax
from scipy.stats import spearmanr

from inception import open_photo
from inception.errors import ChoiceError
from inception.explain import randomised
from inception.explain.attribution import evidence, grad_cam
from inception.explain.attribution_maps import AttributionMap, attribution_map
from inception.explain.catalogue import EXPLANATIONS
from inception.explain.catalogue.faithfulness import Faithfulness
from inception.explain.faithfulness import CONTROLS, STEPS, PixelCurves, PixelOrder, pixel_curves
from inception.explain.integrated_gradients import integrated_gradients
from inception.explain.masking import ExplanationError
from inception.explain.occlusion import occlusion
from inception.explain.randomised import (
    LEVELS,
    NETWORKS,
    RandomisedLevel,
    displaced_correlations,
    randomised_levels,
    randomised_networks,
)
from inception.explain.registry import ATTRIBUTIONS
from inception.network.inception_v1 import HEAD, STAGES, InceptionV1
from inception.prediction import Prediction, predict, predict_crop
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import IMAGENET
from support.networks import randomise
from support.paths import EXAMPLES

SIDE = 64


@pytest.fixture(scope="module")
def pretrained() -> PretrainedModel:
    model = InceptionV1(variant="torchvision", classes=5, input_shape=(3, SIDE, SIDE), classifier_activation=None)
    preprocessing = replace(IMAGENET, resize=SIDE, crop=SIDE, size=SIDE)
    return PretrainedModel(
        "made up",
        randomise(model).requires_grad_(False),
        preprocessing,
        tuple("abcde"),
        Provenance("", "", "", ""),
        temperature=2.0,
    )


@pytest.fixture(scope="module")
def prediction(pretrained: PretrainedModel) -> Prediction:
    return predict(pretrained, open_photo(EXAMPLES / "espresso.jpg"))


# ---------------------------------------------------------------- the maps


def test_attribution_map_returns_each_methods_own_map(pretrained: PretrainedModel, prediction: Prediction) -> None:
    occluded = occlusion(pretrained, prediction, 3, 12, 12)  # 12 pixels are the default window; here without overlap
    expected = {
        "grad_cam": grad_cam(pretrained, prediction, "4a", 3).signed,
        "evidence": evidence(pretrained, prediction, 3).map,
        "occlusion": occluded.drops,
        "integrated_gradients": integrated_gradients(pretrained, prediction, 3, 16).map,
    }
    assert tuple(expected) == ATTRIBUTIONS
    maps = {name: attribution_map(pretrained, prediction, name, 3, "4a", quick=True) for name in expected}
    for name, cells in expected.items():
        assert np.array_equal(maps[name].cells, cells)
        shuffled = maps[name].shuffled(np.random.default_rng(0)).cells
        assert not np.array_equal(shuffled, cells)
        assert np.array_equal(np.sort(shuffled, axis=None), np.sort(cells, axis=None))
    pixels = {name: attribution.pixels(SIDE, SIDE) for name, attribution in maps.items()}
    for name in ("grad_cam", "evidence"):
        assert np.allclose(pixels[name], cv2.resize(expected[name].astype(np.float64), (SIDE, SIDE)), atol=1e-6)
    assert np.array_equal(pixels["occlusion"], occluded.map)
    assert np.array_equal(pixels["integrated_gradients"], expected["integrated_gradients"])


# ---------------------------------------------------------------- insertion and deletion


def paint_pixel_by_pixel(
    pretrained: PretrainedModel, start: Image.Image, end: Image.Image, values: np.ndarray, index: int
) -> list[float]:
    """Probabilities by the plain network as pixels of `end` replace those of `start`, highest values first."""
    canvas, other = np.array(start), np.array(end)
    order = sorted(range(values.size), key=lambda pixel: -values.flat[pixel])
    probabilities, done = [], 0
    for step in range(STEPS + 1):
        count = round(step * len(order) / STEPS)
        for pixel in order[done:count]:
            canvas[divmod(pixel, values.shape[1])] = other[divmod(pixel, values.shape[1])]
        done = count
        with torch.no_grad():
            logits = pretrained.model.logits(pretrained.preprocessing.to_tensor(Image.fromarray(canvas)))
        probabilities.append(float(softmax(logits[0].double().numpy() / pretrained.temperature)[index]))
    return probabilities


@pytest.mark.parametrize("method", ["grad_cam", "occlusion"])
def test_curves_match_photos_painted_pixel_by_pixel(
    method: str, pretrained: PretrainedModel, prediction: Prediction
) -> None:
    curves = pixel_curves(pretrained, prediction, method, "4a", 2)
    values = attribution_map(pretrained, prediction, method, 2, "4a").pixels(SIDE, SIDE)
    blurred = prediction.image.filter(ImageFilter.GaussianBlur(SIDE / 16))
    grey = Image.new("RGB", prediction.image.size, (128, 128, 128))
    inserted = paint_pixel_by_pixel(pretrained, blurred, prediction.image, values, 2)
    deleted = paint_pixel_by_pixel(pretrained, prediction.image, grey, values, 2)
    assert curves.ordered.insertion == pytest.approx(inserted, abs=1e-4)
    assert curves.ordered.deletion == pytest.approx(deleted, abs=1e-4)
    assert np.ptp(inserted) > 1e-2
    areas = [sum((a + b) / 2 for a, b in itertools.pairwise(curve)) / STEPS for curve in (inserted, deleted)]
    assert (curves.ordered.insertion_auc, curves.ordered.deletion_auc) == pytest.approx(tuple(areas), abs=1e-4)


def test_random_orders_depend_on_the_seed_and_share_the_curves_ends(
    pretrained: PretrainedModel, prediction: Prediction
) -> None:
    curves = pixel_curves(pretrained, prediction, "grad_cam", "4a")
    assert len(curves.random) == CONTROLS
    assert len({curves.ordered, *curves.random}) == CONTROLS + 1
    for order in curves.random:
        for curve, ordered in ((order.insertion, curves.ordered.insertion), (order.deletion, curves.ordered.deletion)):
            assert (curve[0], curve[-1]) == pytest.approx((ordered[0], ordered[-1]), abs=1e-6)
    other = pixel_curves(pretrained, prediction, "grad_cam", "4a", seed=1)
    assert curves.ordered == other.ordered
    assert not set(curves.random) & set(other.random)
    attribution = attribution_map(pretrained, prediction, "grad_cam", curves.index, "4a")
    shuffled = [attribution.shuffled(np.random.default_rng(seed)).cells for seed in (0, 0, 1)]
    assert np.array_equal(shuffled[0], shuffled[1])
    assert not np.array_equal(shuffled[0], shuffled[2])
    assert curves.ordered.deletion[0] == pytest.approx(float(prediction.probabilities[curves.index]), abs=1e-5)


def test_a_map_beats_random_only_if_it_beats_every_random_order() -> None:
    flat, early, late = (0.5, 0.5, 0.5), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0)
    assert (PixelOrder(early, late).insertion_auc, PixelOrder(late, flat).deletion_auc) == (0.75, 0.5)
    good = PixelCurves(0, "a", "evidence", PixelOrder(early, flat), (PixelOrder(flat, late), PixelOrder(flat, late)))
    assert good.insertion_beats_random
    assert good.deletion_beats_random
    poor = replace(good, random=(PixelOrder(flat, late), PixelOrder(early, flat)))
    assert not poor.insertion_beats_random
    assert not poor.deletion_beats_random


# ---------------------------------------------------------------- random weights


def test_networks_are_randomised_from_the_head_down_and_trained_below(pretrained: PretrainedModel) -> None:
    before = {name: tensor.clone() for name, tensor in pretrained.model.state_dict().items()}
    downwards = [HEAD, *reversed(STAGES)]
    networks = dict(randomised_networks(pretrained, seed=3))
    assert tuple(networks) == LEVELS
    for level, network in networks.items():
        fresh = downwards[: downwards.index(level) + 1]
        assert not network.model.training
        for name, tensor in network.model.state_dict().items():
            is_fresh = name.split(".")[0] in fresh
            if tensor.dim() > 1:
                assert torch.equal(tensor, before[name]) is not is_fresh, name
            elif not is_fresh:
                assert torch.equal(tensor, before[name]), name
    for name, tensor in pretrained.model.state_dict().items():
        assert torch.equal(tensor, before[name])
    again, other = (next(randomised_networks(pretrained, seed))[1].model.state_dict() for seed in (3, 4))
    for name, tensor in networks[HEAD].model.state_dict().items():
        assert torch.equal(tensor, again[name])
        assert torch.equal(tensor, other[name]) is (tensor.dim() < 2 or not name.startswith(HEAD))


def test_the_callers_mode_is_the_same_between_random_networks(pretrained: PretrainedModel) -> None:
    with torch.inference_mode():
        modes = [torch.is_inference_mode_enabled() for _ in randomised_networks(pretrained)]
    assert modes == [True] * len(LEVELS)


def test_correlations_are_spearmans_with_several_networks_and_chance_that_of_displaced_maps(
    pretrained: PretrainedModel, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(randomised, "LEVELS", (HEAD, "inception_4a"))
    levels = randomised_levels(pretrained, prediction, "grad_cam", "3b", 4)
    assert tuple(level.stage for level in levels) == (HEAD, "inception_4a")
    trained = grad_cam(pretrained, prediction, "3b", 4).signed
    networks = [dict(randomised_networks(pretrained, seed)) for seed in range(NETWORKS)]
    rows, columns = trained.shape
    for level in levels:
        random = [by_stage[level.stage].unfused() for by_stage in networks]
        maps = [grad_cam(one, predict_crop(one, prediction.image), "3b", 4).signed for one in random]
        found = {
            (row, column): [
                float(spearmanr(np.roll(trained, (row, column), (0, 1)).ravel(), other.ravel()).statistic)
                for other in maps
            ]
            for row, column in np.ndindex(rows, columns)
        }
        assert level.correlations == pytest.approx(found.pop((0, 0)), abs=1e-6)
        assert level.correlation == pytest.approx(np.mean(np.abs(level.correlations)))
        displaced = [np.mean(np.abs(values)) for values in found.values()]
        assert level.chance == pytest.approx(np.quantile(displaced, 0.99), abs=1e-6)
        assert max(level.correlations) < 0.9


def test_a_class_with_the_opposite_random_weights_has_the_opposite_map(
    pretrained: PretrainedModel, prediction: Prediction
) -> None:
    _, network = next(randomised_networks(pretrained))
    seen = predict_crop(network, prediction.image)
    before = evidence(network, seen, 1).map
    for layer in network.model.required_head.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data[1] *= -1
    assert np.allclose(evidence(network, predict_crop(network, prediction.image), 1).map, -before, atol=1e-6)


def test_a_level_exceeds_chance_by_the_size_of_its_correlations_whatever_their_signs() -> None:
    level = RandomisedLevel(HEAD, (-0.6, 0.4), 0.4)
    assert level.correlation == pytest.approx(0.5)
    assert level.exceeds_chance
    assert not replace(level, chance=0.5).exceeds_chance
    empty = RandomisedLevel(HEAD, (), None)
    assert (empty.correlation, empty.exceeds_chance) == (None, False)


def test_displaced_correlations_average_ties_and_are_none_for_constants() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 4, (5, 6)).astype(float), rng.integers(0, 4, (5, 6)).astype(float)
    found = displaced_correlations(one, other)
    assert found is not None
    for row, column in np.ndindex(one.shape):
        displaced = np.roll(one, (row, column), (0, 1))
        assert found[row, column] == pytest.approx(spearmanr(displaced.ravel(), other.ravel()).statistic)
    itself = displaced_correlations(one, one**3)
    assert itself is not None
    assert itself[0, 0] == pytest.approx(1)
    assert displaced_correlations(one, np.zeros((5, 6))) is None


def test_a_network_with_a_constant_map_does_not_count(
    pretrained: PretrainedModel, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(randomised, "LEVELS", (HEAD,))
    maps = iter([np.eye(3), np.zeros((3, 3)), *[np.eye(3)] * (NETWORKS - 1)])
    monkeypatch.setattr(randomised, "attribution_map", lambda *_, **__: AttributionMap(next(maps)))
    (level,) = randomised_levels(pretrained, prediction, "evidence", "5b", 1)
    assert level.correlations == pytest.approx([1] * (NETWORKS - 1))


# ---------------------------------------------------------------- reports and invalid arguments


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_report_is_plain_data_for_every_method(
    method: str, pretrained: PretrainedModel, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(randomised, "LEVELS", (HEAD,))
    ordered, other = PixelOrder((0.1, 0.2), (0.2, 0.1)), PixelOrder((0.1, 0.1), (0.2, 0.2))
    curves = PixelCurves(1, "b", method, ordered, (other,))
    levels = randomised_levels(pretrained, prediction, method, "3a", 1)
    report = Faithfulness("3a", curves, levels).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["block"] == ("3a" if method == "grad_cam" else None)
    assert (report["insertion"], report["random"][0]["deletion_auc"]) == ([0.1, 0.2], 0.2)
    assert [row["stage"] for row in report["randomised"]] == [HEAD]
    (row,) = report["randomised"]
    assert 0 <= row["correlation"] < 1
    assert len(row["correlations"]) == (3 if method in ("occlusion", "integrated_gradients") else 5)
    assert row["exceeds_chance"] is (row["correlation"] > row["chance"])
    assert not any(parameter.requires_grad for parameter in pretrained.model.parameters())


def test_invalid_arguments_are_rejected_with_the_valid_choices(
    pretrained: PretrainedModel, prediction: Prediction
) -> None:
    for function in (pixel_curves, randomised_levels):
        with pytest.raises(ChoiceError, match="grad_cam, evidence, occlusion, integrated_gradients"):
            function(pretrained, prediction, "lime", "3a")
        with pytest.raises(ChoiceError, match="3a, 3b, 4a"):
            function(pretrained, prediction, "grad_cam", "6a")
        with pytest.raises(ExplanationError, match="numbered 0 to 4"):
            function(pretrained, prediction, "evidence", "3a", 5)
    assert AttributionMap(np.zeros((2, 2))).pixels(4, 4).shape == (4, 4)


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_only_grad_cam_is_cached_by_block(method: str) -> None:
    keys: set[tuple[object, ...]] = set()

    class Recorder:
        def cached(self, function: Callable[..., object], *arguments: object) -> None:
            keys.add((function.__name__, *arguments))

    for block in ("3a", "4c"):
        EXPLANATIONS["faithfulness"](Recorder(), method=method, block=block)
    assert len(keys) == (4 if method == "grad_cam" else 2)
