"""Thirty visitors at once, through the page's own protocol and with photos of their own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.classroom import BLOCKS, CLASS, photos
from benchmarks.visitors import Visitor, visitors
from inception import open_photo, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.blocks import build, launch_options


@pytest.fixture(scope="module")
def service() -> InferenceService:
    return InferenceService(("tiny-imagenet",), choose_device("cpu"))


@pytest.fixture(scope="module")
def address(service: InferenceService) -> Iterator[str]:
    page = build(service)
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield address.rstrip("/")
    page.close()


async def lesson(visitor: Visitor, photo: bytes) -> list[str]:
    """What a student does: a photo, five blocks, and which evidence it was. Returns what was shown."""
    await visitor.photo(photo)
    shown = [str(visitor.holds("il-answer")), visitor.holds("il-panels")]
    for block in BLOCKS:
        await visitor.change("il-block", block)
        shown.append(visitor.holds("il-panels"))
    await visitor.open_tab("evidence")
    return [*shown, visitor.holds("il-evidence")]


def test_a_class_of_thirty_each_gets_their_own_lesson(
    address: str, service: InferenceService, embedded: PretrainedModel
) -> None:
    async def at_once(taken: list[bytes]) -> list[list[str]]:
        guests = await visitors(address, CLASS)
        lessons = await asyncio.gather(*(lesson(*pair) for pair in zip(guests, taken, strict=True)))
        for guest in guests:
            await guest.__aexit__(None, None, None)
        return lessons

    taken = list(itertools.islice(photos(), CLASS))
    # In a thread of its own: other tests may have left an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        lessons = thread.submit(asyncio.run, at_once(taken)).result()
    assert len(lessons) == CLASS
    for photo, shown in zip(taken, lessons, strict=True):
        best = predict(embedded, open_photo(photo)).top(1)[0]
        assert best.label in shown[0]
        assert len(set(shown[1:])) == len(shown) - 1, "each block looks different"
        assert all(f"Block {block}" in panels for block, panels in zip(BLOCKS, shown[2:-1], strict=True))
        assert "il-message" not in shown[-1]
    # Thirty different photos: what somebody saw was nobody else's.
    assert len({shown[1] for shown in lessons}) == CLASS
    assert service.backend.at_once >= 16
