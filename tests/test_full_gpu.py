"""A GPU whose memory is full: the CPU answers, the page says so, and nobody loses an answer."""

from __future__ import annotations

import inspect
import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import gradio as gr
import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from PIL import Image
from test_ending import in_a_thread, photos

from benchmarks.visitors import Visitor
from inception import observe, open_photo
from inception.cli import main
from inception.device import Device, choose_device
from inception.explain.votes import single_logits
from inception.page.build import build, launch_options
from inception.page.handlers import Handlers
from inception.page.live_section import LiveSection
from inception.page.studio import Studio
from inception.page.why import Cell, Question, Why
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


def exhaust_everywhere(studio: Studio, monkeypatch: pytest.MonkeyPatch, name: str = "tiny-imagenet") -> list[str]:
    """The same for each layer by itself, and for arithmetic with weights; returns what could not be computed."""
    ended: list[str] = []

    def no_more(what: str) -> NoReturn:
        ended.append(what)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    for layer in studio.pretrained(name).engine.modules():
        layer.register_forward_pre_hook(lambda module, _: no_more(type(module).__name__))
    usual = torch.Tensor.square

    def square(tensor: torch.Tensor) -> torch.Tensor:
        return usual(tensor) if tensor.device.type == "cpu" else no_more("square")

    monkeypatch.setattr(torch.Tensor, "square", square)
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


ARGUMENTS: dict[str, object] = {
    "photo": str(EXAMPLES / "bison.jpg"),
    "other_photo": str(EXAMPLES / "espresso.jpg"),
    "model": "tiny-imagenet",
    "other_model": "tiny-imagenet",
    "block": "4c",
    "branch": "3x3",
    "branches": ["pool"],
    "channels": [3],
    "channel": 1,
    "row": 2,
    "column": 3,
    "view": "mean",
    "scale": "shared",
    "colours": "viridis",
    "class_name": "",
    "off": "zero",
    "top_k": 3,
    "language": "en",
    "kind": "json",
    "step": 10,
    **{"in_channels": 64, "reduced_to": 8, "out_channels": 32, "kernel": 5, "cells": 784},
}
ENDPOINTS = [
    *("predict", "maps", "channel", "bottleneck", "compare", "branch_votes", "network_table", "switch_off"),
    *("class_evidence", "grad_cam", "overlays", "cell", "keep", "classes", "anatomy", "reading", "bottleneck_cost"),
    *("network_size", "lesson_step", "models"),
]


@pytest.fixture(scope="module")
def served() -> tuple[Studio, gr.Blocks]:
    studio = Studio(("tiny-imagenet",), choose_device("cpu"))
    return studio, build(studio)


def on_the_cpu(studio: Studio) -> None:
    """All forgotten but the photo's observation, which was computed while there was memory."""
    studio._loaded.clear()
    studio._facts.clear()
    studio._readings.clear()
    studio._explanations._kept.clear()
    studio.device = choose_device("cpu")


def on_a_full_gpu(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The same, and no memory is left; returns what could not be computed there."""
    on_the_cpu(studio)
    studio.device = full_gpu()
    return exhaust_everywhere(studio, monkeypatch)


def asked(page: gr.Blocks, name: str) -> list[object]:
    """What an endpoint answers to `ARGUMENTS`, with pictures as arrays."""
    function = next(fn.fn for fn in page.fns.values() if fn.api_name == name)
    assert function
    told = function(*(ARGUMENTS[argument] for argument in inspect.signature(function).parameters))
    parts = told if isinstance(told, tuple) else (told,)
    return [np.asarray(part) if isinstance(part, Image.Image) else part for part in parts]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_endpoint_goes_on_with_the_cpu_where_the_gpu_is_full(
    name: str, monkeypatch: pytest.MonkeyPatch, served: tuple[Studio, gr.Blocks]
) -> None:
    studio, page = served
    on_the_cpu(studio)
    expected = asked(page, name)
    ended = on_a_full_gpu(studio, monkeypatch)
    for part, wanted in zip(asked(page, name), expected, strict=True):
        if isinstance(wanted, np.ndarray):
            assert np.array_equal(part, wanted)
        elif name != "keep":  # whose file lies elsewhere
            assert part == wanted
    assert bool(studio.device.fell_back_from) == bool(ended)


def test_no_endpoint_is_left_out(served: tuple[Studio, gr.Blocks]) -> None:
    public = {fn.api_name for fn in served[1].fns.values() if fn.api_visibility == "public"}
    assert public == {*ENDPOINTS, "lesson_check"}, "lesson_check needs a choice of lesson_step's"


@pytest.mark.parametrize("explanation", ["votes", "network", "evidence", "cam", "cell", "bottleneck"])
def test_the_page_explains_with_the_cpu_where_the_gpu_is_full(
    explanation: str, monkeypatch: pytest.MonkeyPatch, served: tuple[Studio, gr.Blocks]
) -> None:
    studio, _ = served
    on_the_cpu(studio)
    question = Question(Picture("4c", "mean", "shared", "viridis"), cell=Cell("3x3", 1, 2, 3))
    look = studio.look("tiny-imagenet", str(EXAMPLES / "bison.jpg"))
    expected = Why(studio).tab(explanation, look, question, "en")
    assert "alert" not in expected
    ended = on_a_full_gpu(studio, monkeypatch)
    assert Why(studio).tab(explanation, look, question, "en") == expected
    assert ended
    assert studio.device.fell_back_from == "meta"


def test_the_camera_goes_on_with_the_cpu_where_the_gpu_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = "data:image/jpeg;base64," + b64encode((EXAMPLES / "bison.jpg").read_bytes()).decode()

    def shown(studio: Studio) -> str:
        with gr.Blocks():
            return LiveSection(studio, gr.Dropdown(), gr.Radio(), gr.Radio()).frame(frame, "tiny-imagenet", "4c", "en")

    expected = shown(Studio(("tiny-imagenet",), choose_device("cpu")))
    studio = Studio(("tiny-imagenet",), full_gpu())
    ended = exhaust(studio)
    assert shown(studio) == expected
    assert ended == ["meta"]
    assert studio.device.fell_back_from == "meta"


def test_a_replica_and_a_lent_gpu_go_on_with_the_cpu_too(monkeypatch: pytest.MonkeyPatch, embedded: Pretrained) -> None:
    from inception.serving import zero_gpu
    from inception.serving.replica import Replica
    from inception.serving.scale import Scale

    photo = str(EXAMPLES / "bison.jpg")
    replica = Replica(("tiny-imagenet",), Scale(cpus=torch.get_num_threads()), "exact")
    replica._studio.device = full_gpu()
    replica._studio._loaded.clear()
    ended = exhaust(replica._studio)
    (seen,) = replica._pass([replica._studio.look("tiny-imagenet", photo)])
    assert_alike(replica._explained("tiny-imagenet", seen, single_logits, ("zero",)), embedded, photo)
    assert ended == ["meta"]

    studio = Studio(("tiny-imagenet",), full_gpu())
    ended = exhaust(studio)
    monkeypatch.setattr(zero_gpu, "_studio", lambda models: studio)
    looks = (studio.look("tiny-imagenet", photo),)
    (seen,) = zero_gpu.computed(studio.models, "observe", looks)
    np.testing.assert_allclose(seen.logits, observe(embedded, open_photo(photo)).logits, atol=1e-3)
    assert_alike(zero_gpu.computed(studio.models, "explain", looks, single_logits, ("zero",)), embedded, photo)
    assert ended == ["meta"]


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
