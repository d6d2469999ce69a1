"""Thirty simultaneous visitors of the stage, each with their own photos."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from threading import Event
from typing import Any

import numpy as np
import pytest

from benchmarks.classroom import CLASS_SIZE, random_photos
from benchmarks.visitors import Visitor, open_visitors
from inception import open_photo, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.backend import LocalBackend
from inception.service.service import InferenceService
from inception.web.blocks import build
from support.event_loop import run_coroutine
from support.launched import launch

TIMEOUT_SECONDS = 60
BLOCKS = ("3b", "4c", "5b")


@pytest.fixture(scope="module")
def service() -> InferenceService:
    return InferenceService(("tiny-imagenet",), choose_device("cpu"))


@pytest.fixture(scope="module")
def address(service: InferenceService) -> Iterator[str]:
    page = build(service)
    address = launch(page)
    yield address.rstrip("/")
    page.close()


async def lesson(visitor: Visitor, photo: bytes) -> tuple[np.ndarray, list[str]]:
    """Send a photo, choose three blocks, ablate a branch, open the evidence; return the logits and all maps as JSON."""
    await visitor.show_photo(photo)
    shown = [json.dumps(visitor.scene["maps"])]
    for block in BLOCKS:
        await visitor.unfold(block)
        assert visitor.shown["block"]["block"] == visitor.shown["votes"]["block"] == block
        shown.append(json.dumps(visitor.shown["block"]["branches"]))
    switched = await visitor.switch({BLOCKS[-1]: ["3x3"]})
    assert switched["logits"] != visitor.scene["logits"]
    evidence = await visitor.request("evidence", visitor.subject, None)
    assert evidence["class"] == visitor.logits.argmax()
    return visitor.logits, [*shown, json.dumps(evidence["map"])]


def test_thirty_simultaneous_visitors_each_see_their_own_photo(
    address: str, service: InferenceService, embedded: PretrainedModel
) -> None:
    async def simultaneous_lessons(photos: list[bytes]) -> list[tuple[np.ndarray, list[str]]]:
        visitors = await open_visitors(address, CLASS_SIZE)
        lessons = await asyncio.gather(*(lesson(*pair) for pair in zip(visitors, photos, strict=True)))
        for visitor in visitors:
            await visitor.__aexit__(None, None, None)
        return lessons

    photos = list(itertools.islice(random_photos(), CLASS_SIZE))
    lessons = run_coroutine(simultaneous_lessons(photos))
    assert len(lessons) == CLASS_SIZE
    for photo, (logits, shown) in zip(photos, lessons, strict=True):
        assert logits == pytest.approx(predict(embedded, open_photo(photo)).logits, abs=1e-3)
        assert len(set(shown)) == len(shown), "all maps differ"
    # As the photos differ, so do the maps of any two visitors.
    assert len({shown[0] for _, shown in lessons}) == len({shown[-1] for _, shown in lessons}) == CLASS_SIZE
    assert service.backend.at_once >= 16


class BlockedBackend(LocalBackend):
    """Local back end whose explanations wait until `may_explain` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.may_explain = Event()

    def explain(self, *arguments: Any) -> Any:
        self.may_explain.wait()
        return super().explain(*arguments)


def test_waiting_explanations_do_not_block_answers() -> None:
    backend = BlockedBackend()
    page = build(InferenceService(("tiny-imagenet",), choose_device("cpu"), backend))
    address = launch(page)

    photos = random_photos()

    async def answered(count: int) -> list[Visitor]:
        """Open visitors who have their answers, and whose simultaneous requests for worth and votes are waiting."""
        visitors = await open_visitors(address.rstrip("/"), count)
        await asyncio.gather(*(visitor.predict(next(photos)) for visitor in visitors))
        return visitors

    async def visit() -> None:
        try:
            visitors = await asyncio.wait_for(answered(CLASS_SIZE), TIMEOUT_SECONDS)
            visitors += await asyncio.wait_for(answered(1), TIMEOUT_SECONDS)
            assert not any(visitor.prefetched is None or visitor.prefetched.done() for visitor in visitors)
        finally:
            backend.may_explain.set()
        await asyncio.gather(*(visitor.unfold(visitor.block) for visitor in visitors))
        assert all(visitor.shown["votes"]["block"] == visitor.block for visitor in visitors)
        for visitor in visitors:
            await visitor.__aexit__(None, None, None)

    run_coroutine(visit())
    page.close()
