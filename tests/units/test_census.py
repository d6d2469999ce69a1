"""Census: its numbers from tuning and photos, its sentences from data made to differ, and its false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from inception.errors import UserError
from inception.explain.shapley import branch_votes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import predict_crop
from inception.pretrained.pretrained import PretrainedModel
from inception.units.census import MEASURES, Census, branch_differences, census
from inception.units.photo_statistics import PhotoStatistics, photo_statistics
from inception.units.selectivity import sparseness
from inception.units.tuning import layer_tunings, stimulus_grid
from support.narrow import CHANNELS, narrow

FEW = stimulus_grid(64, orientations=4, wavelengths=2, phases=2, diameters=2, hues=3)
PERMUTATIONS = 299
GROUPS = [0, 0, 1, 2]


@pytest.fixture(scope="module")
def network() -> PretrainedModel:
    return narrow()


@pytest.fixture(scope="module")
def images(network: PretrainedModel, photo: Image.Image) -> list[Image.Image]:
    crops = (photo.crop((left, 0, left + 200, 200)) for left in (0, 60, 120, 180))
    return [network.preprocessing.apply(crop) for crop in crops]


@pytest.fixture(scope="module")
def seen(network: PretrainedModel, images: list[Image.Image]) -> dict[str, PhotoStatistics]:
    return photo_statistics(network, images, GROUPS, worth_photos=2)


@pytest.fixture(scope="module")
def taken(network: PretrainedModel, images: list[Image.Image]) -> Census:
    return census(network, images, grid=FEW, permutations=PERMUTATIONS)


@pytest.mark.parametrize("block", ["3a", "4d", "5b"])
def test_photo_statistics_are_means_over_predictions(
    block: str, network: PretrainedModel, images: list[Image.Image], seen: dict[str, PhotoStatistics]
) -> None:
    predictions = [predict_crop(network, image) for image in images]
    means = np.array([prediction.block(block).mean(axis=(1, 2)) for prediction in predictions])
    grouped = np.stack([means[:2].mean(axis=0), means[2], means[3]], axis=1)
    told = seen[block]
    assert told.responses == pytest.approx(grouped, rel=1e-5)
    responds = grouped.max(axis=1) > 0
    assert told.selectivity[responds] == pytest.approx(sparseness(grouped[responds]), abs=1e-5)
    assert np.isnan(told.selectivity[~responds]).all()
    votes = [branch_votes(network, predictions[number], block).votes for number in (0, 2)]
    for branch in BRANCHES:
        assert told.worth[branch] == pytest.approx(np.mean([abs(vote[branch]) for vote in votes]), rel=1e-4)


def test_photos_of_one_class_are_too_few(network: PretrainedModel, images: list[Image.Image]) -> None:
    with pytest.raises(UserError, match="At least two photos of two classes"):
        photo_statistics(network, images, [1, 1, 1, 1])
    with pytest.raises(UserError, match="permutations is 0"):
        census(network, images, permutations=0)


def test_the_census_joins_tuning_and_photos(network: PretrainedModel, images: list[Image.Image], taken: Census) -> None:
    tuned, photos = layer_tunings(network, ["3b", "4c"], FEW), photo_statistics(network, images)
    for block, measured in tuned.items():
        for branch, part in network.model.block(block).slices.items():
            row = taken.blocks[block][branch]
            assert row.channels == part.stop - part.start
            assert row.silent == measured.silent[part].mean()
            assert row.worth == photos[block].worth[branch]
            for told, values, typical in (
                (row.orientation, measured.curves["orientation"].selectivity, np.nanmedian),
                (row.wavelength, measured.curves["wavelength"].preferred, np.nanmean),
                (row.size, measured.curves["size"].preferred, np.nanmean),
                (row.colour, measured.curves["colour"].selectivity, np.nanmedian),
                (row.photos, photos[block].selectivity, np.nanmedian),
            ):
                assert told == pytest.approx(typical(values[part]))


def test_the_census_is_the_same_for_a_seed_and_plain_data(
    network: PretrainedModel, images: list[Image.Image], taken: Census
) -> None:
    again = census(network, images, grid=FEW, permutations=PERMUTATIONS).to_dict()
    assert again == taken.to_dict()
    assert list(again) == ["model", "photos", "permutations", "blocks", "differences", "sentences"]
    assert [(one["measure"], one["block"]) for one in again["differences"]] == [
        (measure, block) for measure in MEASURES for block in BLOCKS
    ]
    # Every block of every measure is in a sentence, either with what follows or among those of which nothing does.
    for one in taken.differences:
        assert (one.sentence in taken.sentences) == one.is_clear
    assert sum("Nothing follows" in sentence for sentence in taken.sentences) <= len(MEASURES)


def slices() -> dict[str, dict[str, slice]]:
    own = narrow().model.block("3a").slices
    return dict.fromkeys(BLOCKS, own)


def test_what_follows_is_a_sentence() -> None:
    generator = np.random.default_rng(0)
    numbers = {block: generator.uniform(0.1, 0.3, CHANNELS) for block in BLOCKS}
    numbers["3b"][slices()["3b"]["5x5"]] = 0.95
    numbers["3b"][slices()["3b"]["pool"]] = [0.1, 0.05, np.nan, 0.15]
    first, second, *others = branch_differences("orientation", numbers, slices(), 4999)
    assert second.sentence == (
        "In block 3b the 5x5 branch holds the orientation-selective channels: 0.95 against 0.10 in pool (p = "
        f"{second.p:.3f})."
    )
    assert second.p < 0.05
    assert not any(one.is_clear for one in (first, *others))
    lengths = {block: np.where(values > 0.9, 32.0, 8.0) for block, values in numbers.items()}
    told = branch_differences("wavelength", lengths, slices(), 4999)[1]
    assert told.sentence.startswith(
        "In block 3b the 5x5 branch prefers the widest stripes: 32.0 pixels against 8.0 in "
    )


def test_a_block_without_responses_says_nothing() -> None:
    numbers = {block: np.full(CHANNELS, np.nan) for block in BLOCKS}
    for one in branch_differences("size", numbers, slices(), 99):
        assert (one.p, one.highest, one.is_clear) == (1, "", False)


def test_false_alarms_at_shuffled_labels_are_at_most_five_in_a_hundred() -> None:
    """Skewed numbers with ties, dealt out at random: how often any of the nine blocks is said to differ."""
    generator = np.random.default_rng(0)
    alarms, trials, parts = 0, 300, slices()
    for trial in range(trials):
        numbers = {block: np.round(generator.exponential(size=CHANNELS), 1) for block in BLOCKS}
        alarms += any(one.is_clear for one in branch_differences("size", numbers, parts, PERMUTATIONS, seed=trial))
    assert alarms <= 0.05 * trials + 2 * np.sqrt(0.05 * 0.95 * trials)
