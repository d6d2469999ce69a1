"""Thirty visitors at once, through the stage's events and with photos of their own."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from threading import Event
from typing import Any

import numpy as np
import pytest

from benchmarks.classroom import BLOCKS, CLASS, photos
from benchmarks.visitors import Visitor, visitors
from inception import open_photo, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.backend import LocalBackend
from inception.service.service import InferenceService
from inception.web.blocks import build, launch_options
from support.event_loop import in_a_thread

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def service() -> InferenceService:
    return InferenceService(("tiny-imagenet",), choose_device("cpu"))


@pytest.fixture(scope="module")
def address(service: InferenceService) -> Iterator[str]:
    page = build(service)
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield address.rstrip("/")
    page.close()


async def lesson(visitor: Visitor, photo: bytes) -> tuple[np.ndarray, list[str]]:
    """What a student does: a photo, five blocks, a switch, and which evidence it was. Returns what was shown."""
    await visitor.photo(photo)
    shown = [json.dumps(visitor.scene["maps"])]
    for block in BLOCKS:
        await visitor.unfold(block)
        assert visitor.shown["block"]["block"] == visitor.shown["votes"]["block"] == block
        shown.append(json.dumps(visitor.shown["block"]["branches"]))
    switched = await visitor.switch({BLOCKS[-1]: ["3x3"]})
    assert switched["logits"] != visitor.scene["logits"]
    evidence = await visitor.ask("evidence", visitor.subject, None)
    assert evidence["class"] == visitor.logits.argmax()
    return visitor.logits, [*shown, json.dumps(evidence["map"])]


def test_a_class_of_thirty_each_gets_their_own_lesson(
    address: str, service: InferenceService, embedded: PretrainedModel
) -> None:
    async def at_once(taken: list[bytes]) -> list[tuple[np.ndarray, list[str]]]:
        guests = await visitors(address, CLASS)
        lessons = await asyncio.gather(*(lesson(*pair) for pair in zip(guests, taken, strict=True)))
        for guest in guests:
            await guest.__aexit__(None, None, None)
        return lessons

    taken = list(itertools.islice(photos(), CLASS))
    lessons = in_a_thread(at_once(taken))
    assert len(lessons) == CLASS
    for photo, (logits, shown) in zip(taken, lessons, strict=True):
        assert logits == pytest.approx(predict(embedded, open_photo(photo)).logits, abs=1e-3)
        assert len(set(shown)) == len(shown), "each block looks different"
    # Thirty different photos: what somebody saw was nobody else's.
    assert len({shown[0] for _, shown in lessons}) == len({shown[-1] for _, shown in lessons}) == CLASS
    assert service.backend.at_once >= 16


class HeldBackend(LocalBackend):
    """Explains nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_explain = Event()

    def explain(self, *arguments: Any) -> Any:
        self.may_explain.wait()
        return super().explain(*arguments)


def test_explanations_that_wait_keep_nobody_from_an_answer() -> None:
    backend = HeldBackend()
    page = build(InferenceService(("tiny-imagenet",), choose_device("cpu"), backend))
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)

    camera = photos()

    async def answered(count: int) -> list[Visitor]:
        """New visitors, each of whom has an answer and waits for worth and votes, which are requested with it."""
        guests = await visitors(address.rstrip("/"), count)
        await asyncio.gather(*(guest.answer(next(camera)) for guest in guests))
        return guests

    async def visit() -> None:
        try:
            guests = await asyncio.wait_for(answered(CLASS), PATIENCE_SECONDS)
            guests += await asyncio.wait_for(answered(1), PATIENCE_SECONDS)
            assert not any(guest.ahead is None or guest.ahead.done() for guest in guests)
        finally:
            backend.may_explain.set()
        await asyncio.gather(*(guest.unfold(guest.block) for guest in guests))
        assert all(guest.shown["votes"]["block"] == guest.block for guest in guests)
        for guest in guests:
            await guest.__aexit__(None, None, None)

    in_a_thread(visit())
    page.close()
