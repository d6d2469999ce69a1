"""The file of a first visit, which a class opens at once."""

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


class Counting(LocalBackend):
    """Counts predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.predictions = 0

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        self.predictions += 1
        return super().predict(pretrained, query)


def test_visitors_who_come_at_once_share_one_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, barrier = Counting(), Barrier(VISITORS)
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
        files = list(pool.map(visit, range(VISITORS)))
    assert backend.predictions == 2, "one to warm up, and one whose time is shown"
    assert len(compressed) == 1
    assert all(asset is files[0][0] for asset, _ in files)
    assert [event for event, _, _ in json.loads(files[0][0].data)["answers"]][:3] == ["start", "network", "scene"]
