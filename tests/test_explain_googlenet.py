"""The sum checks with the real ImageNet weights, against onnxruntime's logits and the classifier's own numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inception.explain.evidence import evidence
from inception.explain.votes import votes
from inception.observation import Observation, observe_seen
from inception.weights import Pretrained, load


@pytest.fixture(scope="module")
def googlenet(shared: Path) -> Iterator[Pretrained]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
        yield load("googlenet")


@pytest.fixture(scope="module")
def looks(shared: Path, googlenet: Pretrained) -> list[tuple[Observation, int, float]]:
    """Each of the 24 photos: what was observed, and class and logit of onnxruntime's first answer."""
    rows = json.loads((shared / "reference" / "bvlc-top5.json").read_text())["images"]
    assert sorted(row["image"] for row in rows) == sorted(f"images/{p.name}" for p in (shared / "images").glob("*.jpg"))
    assert len(rows) == 24
    return [
        (observe_seen(googlenet, Image.open(shared / row["crop"])), row["top5"][0]["class"], row["top5"][0]["logit"])
        for row in rows
    ]


@pytest.mark.parametrize("block", ["3a", "4c", "5b"])
def test_the_votes_add_up_to_onnxruntimes_logit_for_all_photos(
    block: str, googlenet: Pretrained, looks: list[tuple[Observation, int, float]]
) -> None:
    for observation, index, logit in looks:
        told = votes(googlenet, observation, block)
        assert told.index == index
        assert told.baseline + sum(told.votes.values()) == pytest.approx(told.logit, abs=1e-3)
        assert told.total == pytest.approx(logit, abs=1e-3)
        assert max(abs(vote) for vote in told.votes.values()) > 0.1


def test_at_the_last_block_a_vote_is_the_evidence_and_the_baseline_the_bias(
    googlenet: Pretrained, looks: list[tuple[Observation, int, float]]
) -> None:
    head = googlenet.model.head.classifier
    for observation, index, _ in looks:
        told, split = votes(googlenet, observation, "5b", index), evidence(googlenet, observation, index)
        weights, pooled = head.weight[index].double().numpy(), observation.block("5b").mean(axis=(1, 2))
        for branch, where in observation.slices["5b"].items():
            by_hand = float(np.dot(weights[where], pooled[where]))
            assert told.votes[branch] == pytest.approx(by_hand, abs=1e-3)
            assert split.amounts[branch] == pytest.approx(by_hand, abs=1e-3)
        assert told.baseline == pytest.approx(float(head.bias[index]), abs=1e-3)
        assert split.rest == pytest.approx(float(head.bias[index]), abs=1e-3)
