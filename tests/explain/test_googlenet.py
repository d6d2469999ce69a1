"""Sum checks with the real ImageNet weights, compared with onnxruntime's logits and the classifier's weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inception.explain.attribution import evidence
from inception.explain.shapley import branch_votes
from inception.prediction import Prediction, predict_crop
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load


@pytest.fixture(scope="module")
def googlenet(shared: Path) -> Iterator[PretrainedModel]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
        yield load("googlenet")


@pytest.fixture(scope="module")
def references(shared: Path, googlenet: PretrainedModel) -> list[tuple[Prediction, int, float]]:
    """The prediction for each of the 24 photos, and class and logit of onnxruntime's top answer."""
    rows = json.loads((shared / "reference" / "bvlc-top5.json").read_text())["images"]
    assert sorted(row["image"] for row in rows) == sorted(f"images/{p.name}" for p in (shared / "images").glob("*.jpg"))
    assert len(rows) == 24
    return [
        (predict_crop(googlenet, Image.open(shared / row["crop"])), row["top5"][0]["class"], row["top5"][0]["logit"])
        for row in rows
    ]


@pytest.mark.parametrize("block", ["3a", "4c", "5b"])
def test_votes_add_up_to_onnxruntimes_logit_for_all_photos(
    block: str, googlenet: PretrainedModel, references: list[tuple[Prediction, int, float]]
) -> None:
    for prediction, index, logit in references:
        votes = branch_votes(googlenet, prediction, block)
        assert votes.index == index
        assert votes.baseline + sum(votes.votes.values()) == pytest.approx(votes.logit, abs=1e-3)
        assert votes.total == pytest.approx(logit, abs=1e-3)
        assert max(abs(vote) for vote in votes.votes.values()) > 0.1


def test_votes_of_the_last_block_are_the_evidence_and_the_baseline_is_the_bias(
    googlenet: PretrainedModel, references: list[tuple[Prediction, int, float]]
) -> None:
    head = googlenet.model.head.classifier
    for prediction, index, _ in references:
        votes, split = branch_votes(googlenet, prediction, "5b", index), evidence(googlenet, prediction, index)
        weights, pooled = head.weight[index].double().numpy(), prediction.block("5b").mean(axis=(1, 2))
        for branch, channels in prediction.slices["5b"].items():
            by_hand = float(np.dot(weights[channels], pooled[channels]))
            assert votes.votes[branch] == pytest.approx(by_hand, abs=1e-3)
            assert split.amounts[branch] == pytest.approx(by_hand, abs=1e-3)
        assert votes.baseline == pytest.approx(float(head.bias[index]), abs=1e-3)
        assert split.rest == pytest.approx(float(head.bias[index]), abs=1e-3)
