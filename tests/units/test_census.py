"""Census: its numbers, its sentences for constructed differences, and its rate of false alarms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from inception.errors import UserError
from inception.explain.shapley import branch_votes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.inception_v1 import InceptionV1
from inception.prediction import predict_crop
from inception.pretrained.description import UNKNOWN_PROVENANCE
from inception.pretrained.pretrained import PretrainedModel
from inception.units.census import MEASURES, Census, branch_differences, census
from inception.units.photo_statistics import PhotoStatistics, photo_statistics
from inception.units.selectivity import sparseness
from inception.units.tuning import layer_tunings, stimulus_grid
from inception.vision.preprocessing import IMAGENET
from support.narrow import CHANNELS, narrow_model
from support.networks import randomise

SMALL_GRID = stimulus_grid(64, orientations=4, wavelengths=2, phases=2, diameters=2, hues=3)
PERMUTATIONS = 299
GROUPS = [0, 0, 1, 2]


@pytest.fixture(scope="module")
def network() -> PretrainedModel:
    return narrow_model()


@pytest.fixture(scope="module")
def images(network: PretrainedModel, photo: Image.Image) -> list[Image.Image]:
    crops = (photo.crop((left, 0, left + 200, 200)) for left in (0, 60, 120, 180))
    return [network.preprocessing.apply(crop) for crop in crops]


@pytest.fixture(scope="module")
def statistics(network: PretrainedModel, images: list[Image.Image]) -> dict[str, PhotoStatistics]:
    return photo_statistics(network, images, GROUPS, worth_photos=2)


@pytest.fixture(scope="module")
def small_census(network: PretrainedModel, images: list[Image.Image]) -> Census:
    return census(network, images, grid=SMALL_GRID, permutations=PERMUTATIONS)


@pytest.mark.parametrize("block", ["3a", "4d", "5b"])
def test_photo_statistics_are_means_over_predictions(
    block: str, network: PretrainedModel, images: list[Image.Image], statistics: dict[str, PhotoStatistics]
) -> None:
    predictions = [predict_crop(network, image) for image in images]
    means = np.array([prediction.block(block).mean(axis=(1, 2)) for prediction in predictions])
    grouped = np.stack([means[:2].mean(axis=0), means[2], means[3]], axis=1)
    measured = statistics[block]
    assert measured.responses == pytest.approx(grouped, rel=1e-5)
    responds = grouped.max(axis=1) > 0
    assert measured.selectivity[responds] == pytest.approx(sparseness(grouped[responds]), abs=1e-5)
    assert np.isnan(measured.selectivity[~responds]).all()
    votes = [branch_votes(network, predictions[number], block).votes for number in (0, 2)]
    for branch in BRANCHES:
        assert measured.worth[branch] == pytest.approx(np.mean([abs(vote[branch]) for vote in votes]), rel=1e-4)


def test_photos_of_one_class_are_too_few(network: PretrainedModel, images: list[Image.Image]) -> None:
    with pytest.raises(UserError, match="At least two photos are needed, of different classes"):
        photo_statistics(network, images, [1, 1, 1, 1])
    with pytest.raises(UserError, match="permutations is 0"):
        census(network, images, permutations=0)


def test_census_combines_tuning_and_photos(
    network: PretrainedModel, images: list[Image.Image], small_census: Census
) -> None:
    tunings, photos = layer_tunings(network, ["3b", "4c"], SMALL_GRID), photo_statistics(network, images)
    for block, tuning in tunings.items():
        for branch, part in network.model.block(block).slices.items():
            row = small_census.blocks[block][branch]
            assert row.channels == part.stop - part.start
            assert row.silent == tuning.silent[part].mean()
            assert row.worth == photos[block].worth[branch]
            for value, values, average in (
                (row.orientation, tuning.curves["orientation"].selectivity, np.nanmedian),
                (row.wavelength, tuning.curves["wavelength"].preferred, np.nanmean),
                (row.size, tuning.curves["size"].preferred, np.nanmean),
                (row.colour, tuning.curves["colour"].selectivity, np.nanmedian),
                (row.photos, photos[block].selectivity, np.nanmedian),
            ):
                assert value == pytest.approx(average(values[part]))


def test_census_is_reproducible_and_plain_data(
    network: PretrainedModel, images: list[Image.Image], small_census: Census
) -> None:
    again = census(network, images, grid=SMALL_GRID, permutations=PERMUTATIONS).to_dict()
    assert again == small_census.to_dict()
    assert list(again) == ["model", "photos", "permutations", "blocks", "differences", "sentences"]
    assert [(difference["measure"], difference["block"]) for difference in again["differences"]] == [
        (measure, block) for measure in MEASURES for block in BLOCKS
    ]
    # A clear difference has its own sentence; the other blocks share one sentence per measure.
    for difference in small_census.differences:
        assert (difference.sentence in small_census.sentences) == difference.is_clear
    assert sum("Nothing follows" in sentence for sentence in small_census.sentences) <= len(MEASURES)


def block_slices() -> dict[str, dict[str, slice]]:
    slices = narrow_model().model.block("3a").slices
    return dict.fromkeys(BLOCKS, slices)


def test_clear_differences_are_stated_as_sentences() -> None:
    generator = np.random.default_rng(0)
    numbers = {block: generator.uniform(0.1, 0.3, CHANNELS) for block in BLOCKS}
    numbers["3b"][block_slices()["3b"]["5x5"]] = 0.95
    numbers["3b"][block_slices()["3b"]["pool"]] = [0.1, 0.05, np.nan, 0.15]
    first, second, *others = branch_differences("orientation", numbers, block_slices(), 4999)
    assert second.sentence == (
        "In block 3b the 5x5 branch holds the orientation-selective channels: 0.95 against 0.10 in pool (p = "
        f"{second.p:.3f})."
    )
    assert second.p < 0.05
    assert not any(difference.is_clear for difference in (first, *others))
    wavelengths = {block: np.where(values > 0.9, 32.0, 8.0) for block, values in numbers.items()}
    widest = branch_differences("wavelength", wavelengths, block_slices(), 4999)[1]
    assert widest.sentence.startswith(
        "In block 3b the 5x5 branch prefers the widest stripes: 32.0 pixels against 8.0 in "
    )


def test_blocks_without_responses_show_no_difference() -> None:
    numbers = {block: np.full(CHANNELS, np.nan) for block in BLOCKS}
    for difference in branch_differences("size", numbers, block_slices(), 99):
        assert (difference.p, difference.highest, difference.is_clear) == (1, "", False)


def test_at_most_five_percent_of_random_censuses_raise_a_false_alarm() -> None:
    """How often one of the nine blocks is reported to differ, for random skewed numbers with ties."""
    generator = np.random.default_rng(0)
    alarms, trials, slices = 0, 300, block_slices()
    for trial in range(trials):
        numbers = {block: np.round(generator.exponential(size=CHANNELS), 1) for block in BLOCKS}
        alarms += any(
            difference.is_clear for difference in branch_differences("size", numbers, slices, PERMUTATIONS, seed=trial)
        )
    assert alarms <= 0.05 * trials + 2 * np.sqrt(0.05 * 0.95 * trials)


def test_channels_that_are_negative_for_every_photo_have_no_selectivity() -> None:
    # With `preact` a block ends with convolutions, without ReLU.
    model = randomise(InceptionV1(preact=True, classes=4, input_shape=(3, 64, 64)))
    preprocessing = replace(IMAGENET, resize=64, crop=64, size=64)
    network = PretrainedModel("preact", model, preprocessing, tuple("abcd"), UNKNOWN_PROVENANCE)
    with torch.no_grad():
        conv = model.block("3a")["1x1"].conv
        conv.weight[0] = -conv.weight[0].abs()
        conv.bias[0] = -1
    images = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]
    assert all((predict_crop(network, image).block("3a")[0] < 0).all() for image in images)
    measured = photo_statistics(network, images, worth_photos=1)["3a"]
    assert not measured.responses[0].any()
    assert np.isnan(measured.selectivity[0])
    assert np.isfinite(measured.selectivity).any()
