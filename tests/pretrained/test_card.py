"""The embedded network's card: its figures are those of the stored rule, and of the photos that it names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.rejection import measure_rejection
from inception.training.datasets import labelled_photos
from inception.training.evaluation import LabelledLogits, evaluate_logits, labelled_logits, unlabelled_logits
from inception.training.photos import LabelledPhotos
from support.paths import ROOT

# Everyday classes that are, or resemble, Tiny ImageNet classes of another name: neither inside nor outside.
AMBIGUOUS = {
    *("crayfish", "car", "crocodile", "lamp", "chair", "hat"),
    *("skirt", "shorts", "watch", "potato", "pitcher", "juice"),
    *("milk", "yoghurt", "jacket", "shirt", "sweatshirt", "dress"),
    *("T-shirt", "cup", "chandelier", "grapefruit", "lime", "pyramid"),
    *("minaret", "ferry", "euphonium", "langur", "macaque", "house"),
    *("church", "running shoe", "cassette player", "sailing boat", "garbage truck", "patas monkey"),
}
# Everyday classes that comprise several Tiny ImageNet classes.
SUPERCLASSES = ("cat", "dog", "lobster", "butterfly", "penguin", "elephant")


@pytest.fixture(scope="module")
def card() -> str:
    return (ROOT / "weights" / "README.md").read_text(encoding="utf-8")


def selected(photos: LabelledPhotos, numbers: list[int]) -> LabelledPhotos:
    return replace(
        photos,
        sources=[photos.sources[number] for number in numbers],
        targets=[photos.targets[number] for number in numbers],
    )


@pytest.fixture(scope="module")
def tenth(shared: Path) -> LabelledPhotos:
    """Every tenth validation photo of Tiny ImageNet."""
    photos = labelled_photos(shared / "data" / "tiny-imagenet")
    assert len(photos) == 10_000
    return selected(photos, list(range(0, 10_000, 10)))


@pytest.fixture(scope="module")
def answers(tenth: LabelledPhotos, embedded: PretrainedModel) -> LabelledLogits:
    return labelled_logits(embedded, tenth)


def test_the_accuracies_hold_on_a_tenth_of_the_validation_photos(
    card: str, tenth: LabelledPhotos, answers: LabelledLogits, embedded: PretrainedModel
) -> None:
    evaluation = evaluate_logits(embedded, tenth, answers)
    stated = re.search(r"([\d.]+) % top-1 and ([\d.]+) % top-5 on the 10,000", card)
    assert stated, "the card states both accuracies"
    # Three standard errors of an accuracy on 1,000 photos, 1.6 % each.
    assert evaluation.top1 == pytest.approx(float(stated[1]) / 100, abs=0.05)
    assert evaluation.top5 == pytest.approx(float(stated[2]) / 100, abs=0.05)
    assert evaluation.ece < 0.06, "at most 0.03 on all photos, and as much again for the error of a tenth"


def test_the_card_states_how_many_validation_photos_are_doubted_and_how_often_rightly(
    card: str, answers: LabelledLogits, embedded: PretrainedModel
) -> None:
    assert_doubts(card, embedded, answers, ("27 %", "81 %", "35 %"))


def test_the_card_states_how_many_full_size_photos_are_doubted_and_how_often_rightly(
    card: str, shared: Path, embedded: PretrainedModel
) -> None:
    answers = labelled_logits(embedded, labelled_photos(shared / "data" / "wild", "val"))
    assert_doubts(card, embedded, answers, ("doubts 26 %", "63 %", "37 %"))


def assert_doubts(card: str, embedded: PretrainedModel, answers: LabelledLogits, figures: tuple[str, str, str]) -> None:
    """Check how many answers are doubted, and how many of these and of the others are wrong."""
    assert embedded.rejection is not None
    probabilities = embedded.probabilities(answers.logits).numpy()
    is_doubted = np.array([embedded.rejection.rejects(row) for row in probabilities])
    is_wrong = probabilities.argmax(axis=1) != answers.targets.numpy()
    # Of a thousand photos, a share of a quarter has a standard error of 1.4 %; a share of the doubted quarter, 2.4 %.
    # The tolerance is about twice that. Of the full-size photos, all are used.
    samples = (is_doubted, is_wrong[is_doubted], is_wrong[~is_doubted])
    for sample, figure, tolerance in zip(samples, figures, (3, 5, 4), strict=True):
        assert 100 * sample.mean() == pytest.approx(float(figure.split()[-2]), abs=tolerance)
        assert figure in card


def test_the_stored_rule_matches_the_photos_named_in_the_card(shared: Path, embedded: PretrainedModel) -> None:
    photos = labelled_photos(shared / "data" / "everyday", "val")
    names = [photos.classes[target] for target in photos.targets]
    known = {*embedded.labels, *SUPERCLASSES}
    inside, outside = (
        unlabelled_logits(embedded, selected(photos, [number for number, name in enumerate(names) if is_in(name)]))[0]
        for is_in in (lambda name: name in known, lambda name: name not in known and name not in AMBIGUOUS)
    )
    rule = measure_rejection(inside, outside, embedded.temperature).rejection
    assert embedded.rejection is not None
    assert (rule.inside, rule.outside) == (embedded.rejection.inside, embedded.rejection.outside)
    assert rule.threshold == pytest.approx(embedded.rejection.threshold, abs=0.002)
    assert rule.auroc == pytest.approx(embedded.rejection.auroc, abs=0.01)
    assert rule.doubted == pytest.approx(embedded.rejection.doubted, abs=0.02)
    assert rule.caught == pytest.approx(embedded.rejection.caught, abs=0.02)


def test_the_card_states_the_stored_figures(card: str, embedded: PretrainedModel) -> None:
    rejection = embedded.rejection
    assert rejection is not None
    for figure in (
        f"{rejection.threshold:.3f}",
        f"{rejection.auroc:.3f}",
        f"{rejection.doubted:.1%}",
        f"{rejection.caught:.1%}",
    ):
        assert figure in card
