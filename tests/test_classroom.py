"""Thirty visitors at once, through the page's own protocol and with photos of their own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.classroom import BLOCKS, CLASS, photos
from benchmarks.visitors import Visitor, visitors
from inception import observe, open_photo
from inception.device import choose_device
from inception.page.build import build, launch_options
from inception.page.studio import Studio
from inception.weights import Pretrained


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(("tiny-imagenet",), choose_device("cpu"))


@pytest.fixture(scope="module")
def address(studio: Studio) -> Iterator[str]:
    page = build(studio)
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


def test_a_class_of_thirty_each_gets_their_own_lesson(address: str, studio: Studio, embedded: Pretrained) -> None:
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
        best = observe(embedded, open_photo(photo)).top(1)[0]
        assert best.label in shown[0]
        assert len(set(shown[1:])) == len(shown) - 1, "each block looks different"
        assert all(f"Block {block}" in panels for block, panels in zip(BLOCKS, shown[2:-1], strict=True))
        assert "il-message" not in shown[-1]
    # Thirty different photos: what somebody saw was nobody else's.
    assert len({shown[1] for shown in lessons}) == CLASS
    assert studio.runner.at_once >= 16
