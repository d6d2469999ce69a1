"""Rejection of photos ("not sure"): hand calculations, and the source of the stored figures."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

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
from inception.training.datasets import unlabelled_photos
from inception.training.photos import DataError
from inception.vision.photo import open_photo
from support.command import run_inception
from support.paths import EXAMPLES

RULE = RejectionRule(
    threshold=0.25, inside=300, outside=40, doubted=0.112, caught=0.375, auroc=0.7, outside_photos="cars"
)
MACAW = str(EXAMPLES / "macaw.jpg")  # not one of the 200 classes


def test_a_photo_is_rejected_only_below_the_threshold() -> None:
    assert RULE.rejects(np.array([0.2, 0.24, 0.1], np.float32))
    assert not RULE.rejects(np.array([0.25, 0.1], np.float32))
    assert not replace(RULE, threshold=0.0).rejects(np.array([0.1]))


def test_auroc_counts_pairs() -> None:
    inside, outside = np.array([3.0, 2.0, 1.0]), np.array([2.0, 0.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    assert auroc(inside, outside) == pytest.approx(sum(pairs) / 6)
    assert auroc(outside, inside) == pytest.approx(1 - sum(pairs) / 6)


def test_scores_match_hand_calculations() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    probabilities = np.exp(np.array([2, 1, 0]) / 0.5)
    probabilities /= probabilities.sum()
    scores = {name: float(score(logits, 0.5)[0]) for name, score in SCORES.items()}
    assert scores["probability"] == pytest.approx(probabilities.max(), rel=1e-5)
    assert scores["logit"] == 2.0
    assert scores["energy"] == pytest.approx(np.log(np.exp([2, 1, 0]).sum()), rel=1e-5)
    assert scores["entropy"] == pytest.approx((probabilities * np.log(probabilities)).sum(), rel=1e-4)


def binary(probabilities: np.ndarray) -> torch.Tensor:
    """Return logits of two classes, of which the first has these probabilities (all above a half)."""
    return torch.tensor(np.stack([np.log(probabilities), np.log(1 - probabilities)], axis=1))


def test_the_threshold_is_chosen_on_one_half_and_measured_on_the_other() -> None:
    known, unknown = np.linspace(0.6, 0.9, 201), np.linspace(0.55, 0.75, 101)
    rule = measure_rejection(binary(known), binary(unknown), 1.0, "made up").rejection
    # The first decile of the first half's probabilities, rounded down.
    assert rule.threshold == pytest.approx(0.63, abs=0.0011)
    assert (rule.inside, rule.outside, rule.outside_photos) == (100, 50, "made up")
    assert rule.doubted == pytest.approx((known[1::2] < rule.threshold).mean())
    assert rule.caught == pytest.approx((unknown[1::2] < rule.threshold).mean())
    assert rule.auroc == pytest.approx(auroc(known[1::2], unknown[1::2]))
    # The threshold does not depend on the second half.
    shifted = known.copy()
    shifted[1::2] = 0.99
    assert measure_rejection(binary(shifted), binary(unknown), 1.0).rejection.threshold == rule.threshold


def test_too_few_photos_are_an_error() -> None:
    logits = torch.zeros(MIN_PHOTOS, 3)
    measure_rejection(logits, logits, 1.0)
    with pytest.raises(ValueError, match="at least"):
        measure_rejection(logits, logits[1:], 1.0)


def test_the_embedded_network_has_its_measured_rule(embedded: PretrainedModel) -> None:
    stored = json.loads(rejection_file(EMBEDDED_WEIGHTS).read_text(encoding="utf-8"))
    assert embedded.rejection is not None
    assert asdict(embedded.rejection) == stored
    assert embedded.rejection.doubted < 0.12, "about a tenth of the photos of known classes"
    assert embedded.rejection.caught > embedded.rejection.doubted, "the rule is better than chance"
    assert embedded.rejection.auroc > 0.6


def test_a_network_without_a_rule_rejects_nothing(embedded: PretrainedModel) -> None:
    prediction = predict(replace(embedded, rejection=None), open_photo(MACAW))
    assert prediction.rejection is None
    assert not prediction.rejected
    report = answer_report("mine", prediction, 1)
    assert (report["not_sure"], report["rule"]) == (None, None)


def test_a_rule_beside_a_checkpoint_is_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, path)
    assert load(path).rejection is None
    rejection_file(path).write_text(RULE.to_json(), encoding="utf-8")
    assert load(path).rejection == RULE


@pytest.mark.parametrize("text", ["{", "[]", '{"threshold": 0.2}', RULE.to_json().replace("0.25", "25")])
def test_an_unusable_rule_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, path)
    rejection_file(path).write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"mine\.unknown\.json cannot be used") as error:
        load(path)
    assert str(tmp_path) not in str(error.value)


def test_the_embedded_rule_is_right_more_often_than_not(embedded: PretrainedModel) -> None:
    rule = embedded.rejection
    assert rule is not None
    assert rule.caught / (rule.caught + rule.doubted) > 0.5, "otherwise most rejected photos would be of a known class"


@pytest.fixture
def grey_photo(tmp_path: Path) -> Path:
    """A plain grey photo, which the embedded network rejects."""
    path = tmp_path / "nothing.png"
    Image.new("RGB", (300, 300), (128, 128, 128)).save(path)
    return path


def test_the_api_reports_rejection(page_address: str, embedded: PretrainedModel, grey_photo: Path) -> None:
    client = Client(page_address, verbose=False)
    answer = client.predict(handle_file(grey_photo), "tiny-imagenet", 3, api_name="/predict")
    assert embedded.rejection is not None
    assert answer["not_sure"] is True
    assert answer["rule"] == asdict(embedded.rejection)
    assert not client.predict(handle_file(str(EXAMPLES / "espresso.jpg")), "tiny-imagenet", 3, api_name="/predict")[
        "not_sure"
    ]


def test_the_command_line_reports_rejection(grey_photo: Path, embedded: PretrainedModel) -> None:
    rule = embedded.rejection
    assert rule is not None
    stdout = run_inception("predict", grey_photo, EXAMPLES / "espresso.jpg").stdout
    assert stdout.count(f"not sure: even the best class has less than {100 * rule.threshold:.1f} %") == 1
    doubted, caught = round(100 * rule.doubted), round(100 * rule.caught)
    assert f"of {doubted} % of photos of these classes, and of {caught} % of others" in stdout
    row = json.loads(run_inception("predict", grey_photo, "--json").stdout)
    assert row["not_sure"] is True


def test_evaluate_measures_the_rule_and_stores_it_on_request(tmp_path: Path, grey_photo: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, weights)
    for label, file in (("bee", "honey_bee.jpg"), ("espresso", "espresso.jpg")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(MIN_PHOTOS):
            shutil.copy(EXAMPLES / file, tmp_path / "data" / label / f"{number}.jpg")
    (tmp_path / "strange" / "deep").mkdir(parents=True)
    for number in range(MIN_PHOTOS):
        shutil.copy(grey_photo, tmp_path / "strange" / "deep" / f"{number}.png")
    command = ("evaluate", weights, "--data", tmp_path / "data", "--unknown", tmp_path / "strange")
    report = json.loads(run_inception(*command, "--json", "--limit", 30).stdout)
    assert report["images"] == 30
    assert report["unknown"]["doubt"]["inside"] == 15
    assert set(report["unknown"]["scores"]) == set(SCORES)
    assert not rejection_file(weights).exists()
    run = run_inception(*command, "--outside", "grey photos", "--keep")
    assert "probability" in run.stdout
    stored = load(weights).rejection
    assert stored is not None
    assert (stored.inside, stored.outside, stored.outside_photos) == (20, 10, "grey photos")
    assert (stored.caught, stored.auroc) == (1.0, 1.0), "the score separates bees and coffee from plain grey"
    failed = run_inception("evaluate", weights, "--data", tmp_path / "data", "--keep")
    assert failed.returncode == 2
    assert "--unknown" in failed.stderr
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no photos"):
        unlabelled_photos(tmp_path / "empty")
