"""The file of a first visit, requested by many visitors simultaneously."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from inception.prediction import Prediction
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.backend import LocalBackend
from inception.service.query import Query
from inception.service.service import InferenceService
from inception.web.stage.assets import CODINGS, Asset, example_photos
from inception.web.stage.first import FirstVisit

VISITORS = 8


class CountingBackend(LocalBackend):
    """Local back end that counts predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.predictions = 0

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        self.predictions += 1
        return super().predict(pretrained, query)


def test_simultaneous_visitors_share_one_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, barrier = CountingBackend(), Barrier(VISITORS)
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"), backend)
    first = FirstVisit(service, example_photos())
    compressed: list[int] = []
    gzip = CODINGS["gzip"]
    monkeypatch.setitem(CODINGS, "gzip", lambda data: compressed.append(len(data)) or gzip(data))

    def visit(_: int) -> tuple[Asset | None, bytes]:
        barrier.wait(60)
        asset = first.asset()
        assert asset is not None
        return asset, asset.compressed("gzip")

    with ThreadPoolExecutor(VISITORS) as pool:
        responses = list(pool.map(visit, range(VISITORS)))
    assert backend.predictions == 2, "expected one warm-up and one timed prediction"
    assert len(compressed) == 1
    assert all(asset is responses[0][0] for asset, _ in responses)
    assert [event for event, _, _ in json.loads(responses[0][0].data)["answers"]][:3] == ["start", "network", "scene"]
