"""Naturalness: paths through the blocks, compared with brute force and the plain network's trace."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from inception.errors import UserError
from inception.network.anatomy import receptive_field
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.prediction import input_batch
from inception.pretrained.pretrained import PretrainedModel
from inception.units.feature_visualization import VisualizationSettings, visualize
from inception.units.naturalness import BlockPath, Naturalness, block_path, example_photos, naturalness, spearman
from inception.units.unit import Unit
from support.networks import randomise
from support.no_float64 import NoFloat64


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return example_photos()


@pytest.fixture(scope="module")
def small(embedded: PretrainedModel) -> PretrainedModel:
    """A network with random weights and inputs of 96 pixels."""
    model = randomise(InceptionV1(include_top=False, input_shape=(3, 96, 96)))
    return replace(embedded, model=model, preprocessing=replace(embedded.preprocessing, size=96))


def noise(side: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def brute_force_spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of mean ranks, each counted by comparing all pairs of values."""
    first, second = ([(v > w).sum() + ((w == v).sum() - 1) / 2 for v in w] for w in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def test_spearman_matches_brute_force_with_ties() -> None:
    rows = np.random.default_rng(0).integers(0, 6, (5, 30)).astype(float)
    expected = [[brute_force_spearman(a, b) for b in rows] for a in rows]
    assert spearman(rows) == pytest.approx(np.array(expected))
    rows[1] = 3
    assert spearman(rows)[1].tolist() == [0, 1, 0, 0, 0], "a constant row correlates with itself alone"


def test_image_is_compared_in_a_block_as_each_photo_is() -> None:
    common = np.random.default_rng(1).normal(size=40)
    rows = common + np.random.default_rng(2).normal(size=(7, 40))
    path = block_path("4a", rows, np.array([4, 0, 2]))

    def likeness(number: int) -> float:
        return float(
            np.mean([brute_force_spearman(rows[number], rows[other]) for other in (0, 2, 4) if other != number])
        )

    assert path.similarity == pytest.approx(likeness(6))
    assert path.alike == pytest.approx(np.mean([likeness(number) for number in (0, 2, 4)]))
    assert path.others == pytest.approx(np.mean([likeness(number) for number in (1, 3, 5)]))
    single = [likeness(number) for number in range(6)]
    assert (path.low, path.high) == pytest.approx((min(single), max(single)))
    assert path.share == pytest.approx(path.similarity / path.alike)
    assert path.is_natural is (path.similarity >= path.low)


def test_unrelated_photos_give_no_result() -> None:
    shares = [
        block_path("3a", np.random.default_rng(seed).normal(size=(9, 64)), np.arange(4)).share for seed in range(100)
    ]
    assert sum(share is not None for share in shares) < 10
    result = Naturalness((BlockPath("3a", 0.1, (-0.1, 0.1), 0, 0, None),), 8, 1, False)
    assert result.is_natural is None
    assert "differ too much" in result.sentence


@torch.inference_mode()
def test_comparisons_of_full_inputs_match_the_plain_network(
    embedded: PretrainedModel, photos: list[Image.Image]
) -> None:
    image = noise(embedded.input_size)
    result = naturalness(embedded, Unit("4a", "3x3", 11), image, photos)
    inputs = [*(embedded.preprocessing.apply(photo) for photo in photos), image]
    stages = embedded.model.trace(input_batch(embedded, inputs)).stages
    maps = stages["inception_4a"][:, embedded.model.block("4a").slices["3x3"]][:, 11]
    exciting = np.argsort(-maps[:-1].amax(dim=(1, 2)).numpy())[:4]
    assert [path.block for path in result.blocks] == ["3a", "3b", "4a"]
    for path in result.blocks:
        expected = block_path(path.block, stages[f"inception_{path.block}"].amax(dim=(2, 3)).double().numpy(), exciting)
        assert path.similarity == pytest.approx(expected.similarity, abs=2e-3)
        assert (path.low, path.alike) == pytest.approx((expected.low, expected.alike), abs=2e-3)


def test_a_photo_is_natural_and_noise_is_not(embedded: PretrainedModel, photos: list[Image.Image]) -> None:
    unit = Unit("4c", "3x3", 12)
    photo_results = [
        naturalness(
            embedded, unit, embedded.preprocessing.apply(photos[number]), photos[:number] + photos[number + 1 :]
        )
        for number in (2, 6)
    ]
    assert all(result.is_natural for result in photo_results)
    assert np.mean([block.is_natural is False for result in photo_results for block in result.blocks]) <= 0.2
    of_noise = naturalness(embedded, unit, noise(128), photos)
    assert of_noise.is_natural is False
    assert [block.is_natural for block in of_noise.blocks[:3]] == [False] * 3
    assert "differently from all 8 photos" in of_noise.sentence
    for result in photo_results:
        assert all(block.share < other.share for block, other in zip(of_noise.blocks, result.blocks, strict=True))


def test_feature_visualization_is_more_natural_than_noise(embedded: PretrainedModel, photos: list[Image.Image]) -> None:
    unit = Unit("4c", "3x3", 12)
    *_, last = visualize(embedded, unit, VisualizationSettings(steps=32))
    of_image = naturalness(embedded, unit, Image.fromarray(last.image[0]), photos)
    assert [block.block for block in of_image.blocks] == list(BLOCKS)[:5]
    of_noise = naturalness(embedded, unit, noise(128), photos)
    assert all(a.share > b.share for a, b in zip(of_image.blocks[:3], of_noise.blocks[:3], strict=True))


@torch.inference_mode()
def test_field_sized_images_are_compared_with_receptive_fields(
    small: PretrainedModel, photos: list[Image.Image]
) -> None:
    """An image that is a photo's strongest field correlates perfectly with that photo."""
    unit, model = Unit("3a", "3x3", 5), small.model
    inputs = [small.preprocessing.apply(photo) for photo in photos]
    maps = model.trace(input_batch(small, inputs)).stages["inception_3a"][:, model.block("3a").slices["3x3"]][:, 5]
    number = int(maps.amax(dim=(1, 2)).argmax())
    row, column = divmod(int(maps[number].argmax()), maps.shape[2])
    field = receptive_field(model, "3a", "3x3")
    top, left = (min(max(0, field.start + cell * field.stride), 96 - 43) for cell in (row, column))
    assert field.size == 43
    piece = inputs[number].crop((left, top, left + 43, top + 43))
    path = naturalness(small, unit, piece, photos).blocks[0]
    # The photo is compared with the three other exciting photos, the image with these and with the photo.
    assert path.similarity == pytest.approx((3 * path.single[number] + 1) / 4)


def test_any_image_size_unit_and_sign_works(small: PretrainedModel, photos: list[Image.Image]) -> None:
    for unit in (Unit("3a", "1x1", 3), Unit("3b", "pool"), Unit("3b", "5x5", 2, 0, 11)):
        for side in (32, 160):
            result = naturalness(small, unit, noise(side), photos, sign=-1)
            assert np.isfinite([[path.similarity, path.low, path.high] for path in result.blocks]).all()
            assert all(-1 <= path.low <= path.alike <= path.high <= 1 for path in result.blocks)
    assert naturalness(small, Unit("3a", "1x1", 3), noise(96), photos[:4]).photos == 4
    wide = naturalness(small, Unit("3a", "1x1", 3), noise(96).resize((96, 40)), photos)
    assert wide.blocks[0].similarity < wide.blocks[0].high


def test_silent_unit_is_reported(small: PretrainedModel, photos: list[Image.Image]) -> None:
    model = randomise(InceptionV1(include_top=False, input_shape=(3, 96, 96)))
    model.block("3a")["1x1"][1].bias.data[4] = -100
    silent = replace(small, model=model)
    result = naturalness(silent, Unit("3a", "1x1", 4), noise(96), photos)
    assert result.silent
    assert result.sentence.startswith("None of the 8 photos excites it. ")
    assert not naturalness(silent, Unit("3a", "1x1", 4), noise(96), photos, sign=-1).silent
    assert not naturalness(silent, Unit("3a", "1x1", 3), noise(96), photos).silent
    assert not naturalness(silent, Unit("3a", "1x1"), noise(96), photos, sign=-1).silent


def test_results_are_reproducible_and_the_network_is_unchanged(
    small: PretrainedModel, photos: list[Image.Image]
) -> None:
    before = {name: value.clone() for name, value in small.model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in small.model.parameters()]
    first, again = (naturalness(small, Unit("3b", "3x3", 9), noise(80), photos) for _ in range(2))
    assert first == again
    assert json.loads(json.dumps(first.to_dict()))["blocks"][1]["share"] == first.blocks[1].share
    assert flags == [parameter.requires_grad for parameter in small.model.parameters()]
    assert all(torch.equal(before[name], value) for name, value in small.model.state_dict().items())
    assert not any(module._forward_hooks for module in small.model.modules())
    assert not small.model.training


def test_too_few_photos_and_unknown_units_are_rejected(small: PretrainedModel, photos: list[Image.Image]) -> None:
    with pytest.raises(UserError, match="At least 4 photos are needed to compare an image with, and there are 3"):
        naturalness(small, Unit("3a", "1x1", 3), noise(96), photos[:3])
    with pytest.raises(UserError, match="There is no channel 64"):
        naturalness(small, Unit("3a", "1x1", 64), noise(96), photos)


def test_sentence_names_the_blocks_that_differ() -> None:
    def path(block: str, similarity: float) -> BlockPath:
        return BlockPath(block, similarity, (0.2, 0.5), 0.4, 0.3, similarity / 0.4)

    mixed = Naturalness((path("3a", 0.3), path("3b", 0.1), path("4a", 0.3)), 2, 1, False)
    assert mixed.is_natural, "0.23 on average is above the lowest photo's 0.2"
    assert mixed.sentence == (
        "In 3a, 4a the network processes this image much as it does photos; in 3b, differently from all 2 photos. "
        "In any one block, one photo in 3 would be that different by chance."
    )
    unlike = Naturalness((path("3a", 0.1), path("3b", 0.15)), 2, 1, False)
    assert unlike.is_natural is False
    assert unlike.sentence.startswith("Up to block 3b the network processes this image differently from all 2 photos.")
    like = Naturalness((path("3a", 0.3),), 2, 1, False)
    assert like.sentence == "Up to block 3a the network processes this image much as it does photos."
    assert Naturalness((path("3a", 0.3),), 8, -1, True).sentence.startswith("None of the 8 photos inhibits it. ")


def test_device_without_float64_suffices(small: PretrainedModel, photos: list[Image.Image]) -> None:
    unit, image = Unit("3b", "3x3", 4), noise(64)
    with NoFloat64():
        path = naturalness(small, unit, image, photos)
    assert path == naturalness(small, unit, image, photos)


def test_sentence_claims_nothing_of_blocks_that_photos_cannot_tell() -> None:
    def path(block: str, similarity: float, share: float | None) -> BlockPath:
        return BlockPath(block, similarity, (0.2, 0.5), 0.4, 0.3, share)

    unknown = path("5b", 0.3, None)
    like = Naturalness((path("3a", 0.3, 0.7), path("3b", 0.3, 0.7), unknown), 2, 1, False)
    assert like.sentence == "In 3a, 3b the network processes this image much as it does photos."
    unlike = Naturalness((path("3a", 0.1, 0.2), unknown), 2, 1, False)
    assert unlike.sentence.startswith("In 3a the network processes this image differently from all 2 photos. In any")
