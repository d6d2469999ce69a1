"""Feature visualization: its images, their activations in the plain network, and side effects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from inception.errors import UserError
from inception.network.inception_v1 import InceptionV1
from inception.prediction import input_batch
from inception.pretrained.pretrained import PretrainedModel
from inception.units.feature_visualization import (
    VisualizationSettings,
    VisualizationStep,
    shown_after,
    similarity,
    transformed,
    visualize,
    visualize_channels,
)
from inception.units.tuning import stimulus_grid
from inception.units.unit import Unit
from inception.vision.preprocessing import CAFFE
from support.networks import randomise
from support.paths import EXAMPLES

QUICK = VisualizationSettings(steps=24, side=64)


def last_step(pretrained: PretrainedModel, unit: Unit, settings: VisualizationSettings = QUICK) -> VisualizationStep:
    *_, last = visualize(pretrained, unit, settings)
    return last


@torch.inference_mode()
def maps_of(pretrained: PretrainedModel, images: list[Image.Image], block: str, branch: str) -> torch.Tensor:
    """The branch's output (N, C, H, W) by the plain network."""
    output = pretrained.model.trace(input_batch(pretrained, images)).stages[f"inception_{block}"]
    return output[:, pretrained.model.block(block).slices[branch]]


def test_image_excites_its_channel_more_than_any_photo(embedded: PretrainedModel) -> None:
    steps = list(visualize(embedded, Unit("3b", "3x3", 5), replace(QUICK, side=96)))
    photos = [embedded.preprocessing.apply(Image.open(path).convert("RGB")) for path in EXAMPLES.glob("*.jpg")]
    highest_in_photos = float(maps_of(embedded, photos, "3b", "3x3")[:, 5].max())
    assert steps[-1].activation[0] > 1.5 * highest_in_photos
    assert steps[-1].activation[0] > steps[0].activation[0]
    assert [step.step for step in steps] == [3, 6, 9, 12, 15, 18, 21, 24]
    assert {step.image.shape for step in steps} == {(1, 75, 75, 3)}, "not the size of the receptive field"


def test_activation_matches_the_plain_network(embedded: PretrainedModel) -> None:
    step = last_step(embedded, Unit("4b", "5x5", 7))
    assert step.image.shape == (1, 64, 64, 3)
    image = Image.fromarray(step.image[0])
    assert step.activation[0] == pytest.approx(float(maps_of(embedded, [image], "4b", "5x5")[0, 7].max()), rel=0.05)
    step = last_step(embedded, Unit("4b", "5x5"))
    expected = maps_of(embedded, [Image.fromarray(step.image[0])], "4b", "5x5").square().mean()
    assert step.activation[0] == pytest.approx(float(expected), rel=0.05)


def test_activation_matches_a_network_with_bgr_input(embedded: PretrainedModel) -> None:
    model = randomise(InceptionV1(variant="googlenet", classes=5, input_shape=(3, 224, 224)))
    caffe = replace(embedded, model=model, preprocessing=CAFFE)
    step = last_step(caffe, Unit("3b", "1x1", 3), replace(QUICK, side=48))
    image = Image.fromarray(step.image[0])
    assert step.activation[0] == pytest.approx(float(maps_of(caffe, [image], "3b", "1x1")[0, 3].max()), rel=0.05)


def test_negative_image_drives_the_channel_below_zero(embedded: PretrainedModel) -> None:
    unit = Unit("4a", "1x1", 3)
    assert (
        last_step(embedded, unit, replace(QUICK, sign=-1)).activation[0] < 0 < last_step(embedded, unit).activation[0]
    )


def test_the_same_seed_gives_the_same_bytes(embedded: PretrainedModel) -> None:
    settings = replace(QUICK, steps=4)
    first, again, other = (
        last_step(embedded, Unit("3b", "pool", 2, 4, 19), replace(settings, seed=seed)).image for seed in (1, 1, 2)
    )
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert first.shape == (1, 70, 45, 3), "not the cell's field, clipped at the right border"


def test_batch_of_channels_gives_one_image_each(embedded: PretrainedModel) -> None:
    batch = visualize_channels(embedded, "3a", "3x3", [4, 9, 30], QUICK)
    assert batch.image.shape == (3, 43, 43, 3)
    assert len(batch.activation) == 3
    reordered = visualize_channels(embedded, "3a", "3x3", [9, 4, 30], QUICK)
    assert batch.image[2].tobytes() == reordered.image[2].tobytes()
    assert batch.image[0].tobytes() != reordered.image[0].tobytes()


def test_diverse_images_differ_more_and_still_excite_the_channel(embedded: PretrainedModel) -> None:
    unit, settings = Unit("4a", "3x3", 11), replace(QUICK, steps=40)
    diverse = last_step(embedded, unit, replace(settings, count=3))
    alike = visualize_channels(embedded, "4a", "3x3", [11] * 3, settings)

    def likeness(step: VisualizationStep) -> float:
        return float(similarity(maps_of(embedded, [Image.fromarray(image) for image in step.image], "4a", "3x3")))

    assert likeness(diverse) < likeness(alike)
    assert min(diverse.activation) > 0.5 * min(alike.activation)


def test_similarity_is_the_mean_cosine_of_gram_matrices() -> None:
    maps = torch.rand(3, 4, 2, 5, generator=torch.Generator().manual_seed(0))
    grams = [np.einsum("chw,dhw->cd", image_maps, image_maps).ravel() for image_maps in maps.double().numpy()]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([grams[i] @ grams[j] / np.linalg.norm(grams[i]) / np.linalg.norm(grams[j]) for i, j in pairs])
    assert float(similarity(maps)) == pytest.approx(expected, rel=1e-5)


def test_transformations_shift_within_their_bounds() -> None:
    images = torch.rand(4, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    still = VisualizationSettings(jitter=0, scale=0, rotation=0)
    assert torch.allclose(transformed(images, still, generator), images, atol=1e-4)
    # A white spot in the middle stays within the shift.
    spot = F.pad(torch.ones(64, 3, 2, 2), (19, 19, 19, 19))
    moved = transformed(spot, replace(still, jitter=0.1), generator)
    positions = (torch.arange(40) + 0.5).view(1, 1, 1, 40)
    across = (moved * positions).sum(dim=(1, 2, 3)) / moved.sum(dim=(1, 2, 3)) - 20
    assert 3 < float(across.abs().max()) <= 4.01
    assert float(across.min()) < -2 < 2 < float(across.max())


def test_silent_channels_still_get_a_gradient(embedded: PretrainedModel) -> None:
    """The reduction of this branch is silent for every grey image; only a redirected gradient reaches the image."""
    model = randomise(InceptionV1(include_top=False, input_shape=(3, 64, 64)))
    model.block("3a")["3x3_reduce"][1].bias.data -= 1.5
    silent = replace(embedded, model=model)
    first, *_, last = visualize(silent, Unit("3a", "3x3", 0), replace(QUICK, steps=16))
    assert last.activation[0] > first.activation[0]


def test_network_is_unchanged_even_in_inference_mode(embedded: PretrainedModel) -> None:
    before = {name: value.clone() for name, value in embedded.model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in embedded.model.parameters()]
    with torch.inference_mode():
        steps = visualize(embedded, Unit("3a", "1x1", 1), replace(QUICK, steps=8))
        next(steps)
        assert torch.is_inference_mode_enabled(), "the caller's mode is not restored between images"
        list(steps)
    assert flags == [parameter.requires_grad for parameter in embedded.model.parameters()]
    assert all(torch.equal(before[name], value) for name, value in embedded.model.state_dict().items())
    assert not any(module._forward_hooks or module._backward_hooks for module in embedded.model.modules())
    assert all(parameter.grad is None for parameter in embedded.model.parameters())


def test_invalid_units_and_settings_are_rejected_before_the_first_image(embedded: PretrainedModel) -> None:
    with pytest.raises(UserError, match="channels are numbered 0 to 127"):
        visualize(embedded, Unit("3a", "3x3", 128))
    with pytest.raises(UserError, match="channels are numbered 0 to 127"):
        visualize_channels(embedded, "3a", "3x3", [1, 128])
    for wrong in ({"steps": 0}, {"side": 31}, {"seed": -1}, {"count": 17}, {"sign": 0}):
        (name,) = wrong
        with pytest.raises(UserError, match=f"{name} is"):
            VisualizationSettings(**wrong)


def test_few_steps_are_shown_once_each() -> None:
    assert shown_after(1) == (1,)
    assert shown_after(3) == (1, 2, 3)
    assert shown_after(128) == tuple(range(16, 129, 16))


@pytest.mark.parametrize(("height", "width"), [(60, 120), (120, 60)])
def test_turning_keeps_shapes_in_images_that_are_not_square(height: int, width: int) -> None:
    # A disc stays a disc: turned in the grid's own coordinates it would be sheared into an ellipse.
    down, across = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    disc = (torch.hypot(down, across) < 25).float().expand(1, 3, -1, -1)
    settings = VisualizationSettings(jitter=0, scale=0, rotation=40)
    turned = transformed(disc, settings, torch.Generator().manual_seed(1))
    assert (turned - disc).abs().mean() < 0.01
    line = (down.abs() < 3).float().expand(1, 3, -1, -1)
    assert (transformed(line, settings, torch.Generator().manual_seed(1)) - line).abs().mean() > 0.02, "not turned"


def test_counts_with_a_point_are_whole_numbers() -> None:
    settings = VisualizationSettings(steps=3.0, side=64.0, seed=1.0, count=2.0)
    assert [type(value) for value in (settings.steps, settings.side, settings.seed, settings.count)] == [int] * 4
    assert len(stimulus_grid(64, orientations=4.0, phases=2.0)) == len(stimulus_grid(64, orientations=4, phases=2))
