"""When a network says "probably none of my classes": the rule by hand, and where its figures come from."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image

from inception.errors import WeightsError
from inception.export.report import answer_report
from inception.prediction import predict
from inception.pretrained.checkpoint import rejection_file
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.rejection import MIN_PHOTOS, SCORES, RejectionRule, auroc, measure_rejection
from inception.pretrained.zoo import EMBEDDED_WEIGHTS, load
from inception.training.datasets import DataError, labelled_photos, unlabelled_photos
from inception.vision.photo import open_photo
from support.command import inception
from support.paths import EXAMPLES, ROOT

RULE = RejectionRule(
    threshold=0.25, inside=300, outside=40, doubted=0.112, caught=0.375, auroc=0.7, outside_photos="cars"
)
MACAW = str(EXAMPLES / "macaw.jpg")  # none of the 200 classes, on purpose


def test_a_photo_is_doubted_below_the_threshold_and_not_at_it() -> None:
    assert RULE.rejects(np.array([0.2, 0.24, 0.1], np.float32))
    assert not RULE.rejects(np.array([0.25, 0.1], np.float32))
    assert not replace(RULE, threshold=0.0).rejects(np.array([0.1]))


def test_auroc_counts_pairs() -> None:
    inside, outside = np.array([3.0, 2.0, 1.0]), np.array([2.0, 0.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    assert auroc(inside, outside) == pytest.approx(sum(pairs) / 6)
    assert auroc(outside, inside) == pytest.approx(1 - sum(pairs) / 6)


def test_the_scores_are_what_their_names_say() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    p = np.exp(np.array([2, 1, 0]) / 0.5)
    p /= p.sum()
    told = {name: float(score(logits, 0.5)[0]) for name, score in SCORES.items()}
    assert told["probability"] == pytest.approx(p.max(), rel=1e-5)
    assert told["logit"] == 2.0
    assert told["energy"] == pytest.approx(np.log(np.exp([2, 1, 0]).sum()), rel=1e-5)
    assert told["entropy"] == pytest.approx((p * np.log(p)).sum(), rel=1e-4)


def binary(probabilities: np.ndarray) -> torch.Tensor:
    """Logits of two classes, the first of them with these probabilities (all above a half)."""
    return torch.tensor(np.stack([np.log(probabilities), np.log(1 - probabilities)], axis=1))


def test_the_threshold_is_chosen_on_one_half_and_measured_on_the_other() -> None:
    known, unknown = np.linspace(0.6, 0.9, 201), np.linspace(0.55, 0.75, 101)
    told = measure_rejection(binary(known), binary(unknown), 1.0, "made up").rejection
    # A tenth of the way through the first half's probabilities, rounded down.
    assert told.threshold == pytest.approx(0.63, abs=0.0011)
    assert (told.inside, told.outside, told.outside_photos) == (100, 50, "made up")
    assert told.doubted == pytest.approx((known[1::2] < told.threshold).mean())
    assert told.caught == pytest.approx((unknown[1::2] < told.threshold).mean())
    assert told.auroc == pytest.approx(auroc(known[1::2], unknown[1::2]))
    # What the second half is like does not move the threshold.
    surer = known.copy()
    surer[1::2] = 0.99
    assert measure_rejection(binary(surer), binary(unknown), 1.0).rejection.threshold == told.threshold


def test_too_few_photos_are_refused() -> None:
    logits = torch.zeros(MIN_PHOTOS, 3)
    measure_rejection(logits, logits, 1.0)
    with pytest.raises(ValueError, match="at least"):
        measure_rejection(logits, logits[1:], 1.0)


def test_the_embedded_network_carries_its_measurement(embedded: PretrainedModel) -> None:
    stored = json.loads(rejection_file(EMBEDDED_WEIGHTS).read_text(encoding="utf-8"))
    assert embedded.rejection is not None
    assert asdict(embedded.rejection) == stored
    assert embedded.rejection.doubted < 0.12, "about a tenth of the photos inside"
    assert embedded.rejection.caught > embedded.rejection.doubted, "the rule is better than chance"
    assert embedded.rejection.auroc > 0.6


def test_a_network_without_a_rule_never_doubts(embedded: PretrainedModel) -> None:
    seen = predict(replace(embedded, rejection=None), open_photo(MACAW))
    assert seen.rejection is None
    assert not seen.rejected
    report = answer_report("mine", seen, 1)
    assert (report["probably_none"], report["rule"]) == (None, None)


def test_a_rule_beside_a_checkpoint_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, path)
    assert load(path).rejection is None
    rejection_file(path).write_text(RULE.to_json(), encoding="utf-8")
    assert load(path).rejection == RULE


@pytest.mark.parametrize("text", ["{", "[]", '{"threshold": 0.2}', RULE.to_json().replace("0.25", "25")])
def test_a_rule_that_cannot_be_used_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, path)
    rejection_file(path).write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"mine\.unknown\.json cannot be used") as refused:
        load(path)
    assert str(tmp_path) not in str(refused.value)


def test_the_embedded_rule_is_right_more_often_than_not(embedded: PretrainedModel) -> None:
    rule = embedded.rejection
    assert rule is not None
    assert rule.caught / (rule.caught + rule.doubted) > 0.5, "only then may it be said that it is probably none"


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A photo of nothing, which the embedded network doubts."""
    path = tmp_path / "nothing.png"
    Image.new("RGB", (300, 300), (128, 128, 128)).save(path)
    return path


def test_the_api_tells_it_too(page_address: str, embedded: PretrainedModel, nothing: Path) -> None:
    client = Client(page_address, verbose=False)
    told = client.predict(handle_file(nothing), "tiny-imagenet", 3, api_name="/predict")
    assert embedded.rejection is not None
    assert told["probably_none"] is True
    assert told["rule"] == asdict(embedded.rejection)
    assert not client.predict(handle_file(str(EXAMPLES / "espresso.jpg")), "tiny-imagenet", 3, api_name="/predict")[
        "probably_none"
    ]


def test_the_command_line_says_it_and_json_has_it(nothing: Path) -> None:
    told = inception("predict", nothing, EXAMPLES / "espresso.jpg").stdout
    assert told.count("probably none of the classes") == 1
    row = json.loads(inception("predict", nothing, "--json").stdout)
    assert row["probably_none"] is True


def test_evaluate_measures_the_rule_and_keeps_it_if_asked(tmp_path: Path, nothing: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, weights)
    for kind, file in (("bee", "honey_bee.jpg"), ("espresso", "espresso.jpg")):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(MIN_PHOTOS):
            shutil.copy(EXAMPLES / file, tmp_path / "data" / kind / f"{number}.jpg")
    (tmp_path / "strange" / "deep").mkdir(parents=True)
    for number in range(MIN_PHOTOS):
        shutil.copy(nothing, tmp_path / "strange" / "deep" / f"{number}.png")
    command = ("evaluate", weights, "--data", tmp_path / "data", "--unknown", tmp_path / "strange")
    told = json.loads(inception(*command, "--json", "--limit", 30).stdout)
    assert told["images"] == 30
    assert told["unknown"]["doubt"]["inside"] == 15
    assert set(told["unknown"]["scores"]) == set(SCORES)
    assert not rejection_file(weights).exists()
    run = inception(*command, "--outside", "grey photos", "--keep")
    assert "probability" in run.stdout
    kept = load(weights).rejection
    assert kept is not None
    assert (kept.inside, kept.outside, kept.outside_photos) == (20, 10, "grey photos")
    assert (kept.caught, kept.auroc) == (1.0, 1.0), "the score separates bees and coffee from plain grey"
    wrong = inception("evaluate", weights, "--data", tmp_path / "data", "--keep")
    assert wrong.returncode == 2
    assert "--unknown" in wrong.stderr
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no photos"):
        unlabelled_photos(tmp_path / "empty")


# Everyday things that are, or look like, classes of Tiny ImageNet of another name: neither inside nor outside.
ALIKE = {
    *("crayfish", "car", "crocodile", "lamp", "chair", "hat"),
    *("skirt", "shorts", "watch", "potato", "pitcher", "juice"),
    *("milk", "yoghurt", "jacket", "shirt", "sweatshirt", "dress"),
    *("T-shirt", "cup", "chandelier", "grapefruit", "lime", "pyramid"),
    *("minaret", "ferry", "euphonium", "langur", "macaque", "house"),
    *("church", "running shoe", "cassette player", "sailing boat", "garbage truck", "patas monkey"),
}
# Everyday things of which several classes are kinds.
KINDS = ("cat", "dog", "lobster", "butterfly", "penguin", "elephant")


def test_the_kept_figures_are_those_of_the_photos_that_the_card_names(shared: Path, embedded: PretrainedModel) -> None:
    photos = labelled_photos(shared / "data" / "everyday", "val")
    names = [photos.classes[target] for target in photos.targets]
    known = {*embedded.labels, *KINDS}
    inside, outside = (
        logits_of(embedded, photos, [number for number, name in enumerate(names) if wanted(name)])
        for wanted in (lambda name: name in known, lambda name: name not in known and name not in ALIKE)
    )
    told = measure_rejection(inside, outside, embedded.temperature).rejection
    assert embedded.rejection is not None
    assert (told.inside, told.outside) == (embedded.rejection.inside, embedded.rejection.outside)
    assert told.threshold == pytest.approx(embedded.rejection.threshold, abs=0.002)
    assert told.auroc == pytest.approx(embedded.rejection.auroc, abs=0.01)
    assert told.doubted == pytest.approx(embedded.rejection.doubted, abs=0.02)
    assert told.caught == pytest.approx(embedded.rejection.caught, abs=0.02)


@torch.inference_mode()
def logits_of(pretrained: PretrainedModel, photos: Any, numbers: list[int]) -> torch.Tensor:
    images = (pretrained.preprocessing.apply(photos.photo(number)) for number in numbers)
    return torch.cat([pretrained.engine.logits(pretrained.preprocessing.to_tensor(image)) for image in images])


@pytest.mark.parametrize(
    ("data", "every", "doubted", "wrong", "wrong_others"),
    [("wild", 1, "doubts 22 %", "77 %", "42 %"), ("tiny-imagenet", 10, "24 %", "83 %", "38 %")],
)
def test_the_card_says_how_many_photos_of_known_classes_are_doubted_and_how_often_rightly(
    shared: Path, embedded: PretrainedModel, data: str, every: int, doubted: str, wrong: str, wrong_others: str
) -> None:
    assert embedded.rejection is not None
    photos = labelled_photos(shared / "data" / data, "val")
    numbers = list(range(1, len(photos), every))
    probabilities = embedded.probabilities(logits_of(embedded, photos, numbers)).numpy()
    is_doubted = np.array([embedded.rejection.rejects(row) for row in probabilities])
    is_wrong = probabilities.argmax(axis=1) != np.array([photos.targets[number] for number in numbers])
    card = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    # A thousand photos measure a quarter to within twice 1.4 %, and of the quarter that is doubted a share to within
    # twice 2.4 %; of `wild`, nearly all are used.
    for measured, figure, within in (
        (is_doubted, doubted, 3),
        (is_wrong[is_doubted], wrong, 5),
        (is_wrong[~is_doubted], wrong_others, 4),
    ):
        assert 100 * measured.mean() == pytest.approx(float(figure.split()[-2]), abs=within)
        assert figure in card


def test_the_card_says_the_kept_figures(embedded: PretrainedModel) -> None:
    card = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    rejection = embedded.rejection
    assert rejection is not None
    for figure in (
        f"{rejection.threshold:.3f}",
        f"{rejection.auroc:.3f}",
        f"{rejection.doubted:.1%}",
        f"{rejection.caught:.1%}",
    ):
        assert figure in card
