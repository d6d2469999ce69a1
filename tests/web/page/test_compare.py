"""Two photos, or two networks on one photo, side by side."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from inception import load, open_photo, predict
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import Description
from inception.render.maps import limits, overlay
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.sections.compare import CompareSection
from support.paths import EXAMPLES
from support.visitor import Visit

BISON, PANDA = str(EXAMPLES / "bison.jpg"), str(EXAMPLES / "giant_panda.jpg")


@pytest.fixture(scope="module")
def compare(tmp_path_factory: pytest.TempPathFactory) -> CompareSection:
    """With the embedded network and another one: the same with every second class gone by another name."""
    import gradio as gr

    tiny = load()
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    state = dict(tiny.model.state_dict())
    state = {name: tensor / 2 if name.endswith("classifier.weight") else tensor for name, tensor in state.items()}
    labels = tuple(f"thing {number}" for number in range(200))
    save_checkpoint(path, state, Description("batchnorm", labels, tiny.preprocessing, tiny.provenance))
    with gr.Blocks():
        return CompareSection(InferenceService(("tiny-imagenet", str(path)), choose_device("cpu")))


def pictures(html: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in re.findall(r"base64,([^\"]+)", html)]


def test_two_photos_stand_side_by_side_on_one_scale(compare: CompareSection) -> None:
    query = compare.service.query("tiny-imagenet", BISON)
    html = compare.compared(query, PANDA, "tiny-imagenet", "4c", "en")
    seen = [predict(load(), open_photo(photo)) for photo in (BISON, PANDA)]
    means = [maps.mean(axis=0) for one in seen for maps in one.branches("4c").values()]
    scale = limits(np.stack(means))
    assert f"0 to {scale.high:.2f}" in html
    shown = pictures(html)
    assert len(shown) == 8
    for number, (picture, mean) in enumerate(zip(shown, means, strict=True)):
        expected = np.asarray(overlay(seen[number // 4].image, mean, scale, size=224)).astype(int)
        assert np.abs(picture.astype(int) - expected).mean() < 3, "but for JPEG the same"
    for one in seen:
        assert one.top(1)[0].label in html


def test_two_networks_look_at_one_photo(compare: CompareSection) -> None:
    query = compare.service.query("tiny-imagenet", BISON)
    html = compare.compared(query, BISON, "own.safetensors", "5a", "en")
    expected = predict(compare.service.pretrained("own.safetensors"), open_photo(BISON)).top(1)[0]
    assert expected.label.startswith("thing")
    assert expected.label in html
    assert "own.safetensors" in html
    assert len(pictures(html)) == 8


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_cannot_be_compared_is_said(compare: CompareSection, language: str, tmp_path: Path) -> None:
    assert "<p" in compare.compared(None, PANDA, "tiny-imagenet", "3a", language)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    query = compare.service.query("tiny-imagenet", BISON)
    html = compare.compared(query, str(bad), "tiny-imagenet", "3a", language)
    assert 'role="alert"' in html
    assert str(tmp_path) not in html


@pytest.mark.browser
def test_another_photo_is_compared_on_the_page_and_follows_the_block(visit: Visit) -> None:
    page = visit.page
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a")
    page.locator("#il-compare").get_by_role("button", name=re.compile("^Compare")).click()
    expect(page.locator("#il-compared")).to_contain_text("Choose another photo or another network")
    page.locator("#il-other-photo input[type=file]").first.set_input_files(EXAMPLES / "giant_panda.jpg")
    expect(page.locator("#il-compared img")).to_have_count(8, timeout=30_000)
    expect(page.locator(".il-compare-title")).to_contain_text("Block 3a")
    visit.choose("block", "5b")
    expect(page.locator(".il-compare-title")).to_contain_text("Block 5b")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
