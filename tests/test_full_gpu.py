"""A GPU whose memory is full: the CPU answers, the page says so, and nobody loses an answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from test_ending import in_a_thread, photos

from benchmarks.visitors import Visitor
from inception import observe, open_photo
from inception.cli import main
from inception.device import Device, choose_device
from inception.explain.votes import single_logits
from inception.page.build import build, launch_options
from inception.page.handlers import Handlers
from inception.page.studio import Studio
from inception.pictures import Picture
from inception.weights import Pretrained, load


def full_gpu() -> Device:
    """A device that is not the CPU and that every machine has; it holds shapes and no numbers."""
    return Device(torch.device("meta"), "GPU")


def exhaust(studio: Studio, name: str = "tiny-imagenet") -> list[str]:
    """Let the engine's memory end in the midst of each forward pass; returns the devices on which that happened."""
    ended: list[str] = []

    def no_more(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        ended.append(given[0].device.type)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    studio.pretrained(name).engine.block("4c").register_forward_pre_hook(no_more)
    return ended


def test_a_full_gpu_is_left_for_the_cpu_and_the_page_says_so(
    embedded: Pretrained, caplog: pytest.LogCaptureFixture
) -> None:
    studio = Studio(("tiny-imagenet",), full_gpu())
    ended = exhaust(studio)
    handlers = Handlers(studio)
    assert handlers.device_notice("en") == ""
    photo = str(EXAMPLES / "bison.jpg")
    shown = handlers.answer(photo, "tiny-imagenet", 3, Picture("4c", "mean", "shared", "viridis"), "en")
    assert ended == ["meta"]
    assert shown.alarm == ""
    best = observe(embedded, open_photo(photo)).top(3)
    assert shown.answer == pytest.approx({guess.label: guess.probability for guess in best}, abs=1e-5)
    assert "CPU" in shown.seen
    assert "The memory of the meta device is full; the network runs on the CPU" in handlers.device_notice("en")
    assert "内存已满" in handlers.device_notice("zh")
    assert caplog.text.count("The memory of the meta device is full") == 1, "the operator is told, once"

    # It stays there, and explains there too.
    assert_alike(studio.explained(studio.look("tiny-imagenet", photo), single_logits, "zero"), embedded, photo)
    assert ended == ["meta"]


def assert_alike(told: dict[str, np.ndarray], embedded: Pretrained, photo: str) -> None:
    wanted = single_logits(embedded, observe(embedded, open_photo(photo)), "zero")
    for block, logits in wanted.items():
        np.testing.assert_allclose(told[block], logits, atol=1e-3)


def test_an_open_page_tells_it_in_the_visitors_language() -> None:
    studio = Studio(("tiny-imagenet",), full_gpu())
    exhaust(studio)
    page = build(studio)
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)

    async def visit() -> None:
        async with Visitor(address.rstrip("/")) as guest:
            assert not guest.holds("il-notice")
            await guest.photo(photos(1)[0])
            assert "ox" in str(guest.holds("il-answer"))
            assert not guest.holds("il-alarm"), "the visitor has done nothing wrong"
            assert "The memory of the meta device is full" in guest.holds("il-notice")
            await guest.change("il-language", "zh")
            assert "内存已满" in guest.holds("il-notice")

    try:
        in_a_thread(visit())
    finally:
        page.close()


def test_a_class_whose_gpu_is_full_loses_no_answer(embedded: Pretrained) -> None:
    studio = Studio(("tiny-imagenet",), full_gpu())
    exhaust(studio)
    taken = photos(12)
    with ThreadPoolExecutor(12) as threads:
        looks = list(threads.map(lambda photo: studio.look("tiny-imagenet", photo), taken))
        seen = list(threads.map(studio.observation, looks))
    for photo, one in zip(taken, seen, strict=True):
        alone = observe(embedded, open_photo(photo))
        np.testing.assert_allclose(one.logits, alone.logits, atol=1e-3)


def test_memory_that_is_missing_for_an_explanation_is_found_on_the_cpu(embedded: Pretrained) -> None:
    studio = Studio(("tiny-imagenet",), choose_device("cpu"))
    photo = str(EXAMPLES / "bison.jpg")
    look = studio.look("tiny-imagenet", photo)
    studio.observation(look)  # while there was memory
    studio._loaded.clear()
    studio.device = full_gpu()
    ended = exhaust(studio)
    told = studio.explained(look, single_logits, "zero")
    assert ended == ["meta"], "it was tried there"
    assert studio.device.fell_back_from == "meta"
    assert_alike(told, embedded, photo)


def test_other_errors_of_a_device_are_no_reason_to_leave_it() -> None:
    studio = Studio(("tiny-imagenet",), full_gpu())

    def broken(*_: object) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    studio.pretrained("tiny-imagenet").engine.block("4c").register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        studio.observation(studio.look("tiny-imagenet", str(EXAMPLES / "bison.jpg")))
    assert studio.device.fell_back_from == ""


@pytest.fixture
def full_after_one(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU whose memory ends with the second photo; the list tells on which devices photos were seen."""
    seen: list[str] = []

    def choose(wish: str) -> Device:
        return choose_device("cpu") if wish == "cpu" else full_gpu()

    def see(pretrained: Pretrained, photo: object) -> object:
        seen.append(pretrained.device.type)
        if pretrained.device.type != "cpu" and len(seen) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        # What a GPU would say: a meta tensor holds no numbers.
        return observe(load("tiny-imagenet"), photo)

    monkeypatch.setattr("inception.device.choose_device", choose)
    monkeypatch.setattr("inception.observation.observe", see)
    return seen


def test_the_command_line_goes_on_with_the_cpu_where_the_gpu_was_full(
    full_after_one: list[str], embedded: Pretrained, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    photos = [tmp_path / "bad.jpg", *(EXAMPLES / f"{name}.jpg" for name in ("bison", "espresso", "macaw"))]
    assert main(["predict", *map(str, photos), "--top", "1", "--json"]) == 1, "one of them was refused"
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert [Path(line["photo"]) for line in lines] == photos, "none is told twice"
    for photo, line in zip(photos[1:], lines[1:], strict=True):
        assert line["top"][0]["label"] == observe(embedded, open_photo(photo)).top(1)[0].label
    assert full_after_one == ["meta", "meta", "cpu", "cpu"]
    assert told.err.count("The memory of the meta device is full; the network runs on the CPU from now on.") == 1


def test_a_training_that_a_gpu_has_no_memory_for_says_what_to_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(_: object) -> int:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    monkeypatch.setattr("inception.training.command.run", full)
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "choose a larger --accumulate, a smaller --batch or --device cpu" in capsys.readouterr().err
