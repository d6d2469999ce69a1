"""The drawn network: a well-formed picture with a way to every block and branch, whose widths are the model's."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from inception.explain.readout import channel_readout
from inception.network.anatomy import network_facts
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.render.maps import SHADES, SMALL_TILE, ribbon, sprite
from inception.web.panels.channel import channel_html, ribbon_html
from inception.web.panels.network_map import _broken, network_html

NAMES = {"1x1": "1×1", "3x3": "3×3", "5x5": "5×5", "pool": "pool"}


def drawing(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("with_photo", [False, True])
def test_every_block_and_branch_is_a_named_button(
    embedded: PretrainedModel, photo: Image.Image, with_photo: bool, language: str
) -> None:
    seen = predict(embedded, photo) if with_photo else None
    root = drawing(network_html(network_facts(embedded.model), seen, "4c", embedded.labels, language))
    buttons = [node for node in root.iter() if node.get("role") == "button"]
    assert len(buttons) == 9 + 36
    assert all(node.get("tabindex") == "0" and node.get("aria-label") for node in buttons)
    assert len({node.get("aria-label") for node in buttons}) == 45
    pressed = [node.get("data-block") for node in buttons if node.get("aria-pressed") == "true"]
    assert pressed == ["4c"]
    assert ("data:image" in ElementTree.tostring(root, "unicode")) == with_photo


def test_lines_are_as_thick_as_branches_are_wide(embedded: PretrainedModel) -> None:
    root = drawing(network_html(network_facts(embedded.model), None, "3a", embedded.labels, "en"))
    for block, widths in BLOCKS.items():
        ways = [node for node in root.iter() if node.get("data-branch") and node.get("data-block") == block]
        thick = [float(path.get("stroke-width") or 0) for way in ways for path in way if path.tag == "path"]
        channels = [widths.n1x1, widths.n3x3[1], widths.n5x5[1], widths.pool_proj]
        assert np.argsort(thick, kind="stable").tolist() == np.argsort(channels, kind="stable").tolist()
        # A line of nothing would still be 1.5 wide; beyond that it grows with the share of channels.
        shares = (np.array(thick) - 1.5) / (13 - 1.5)
        assert shares == pytest.approx(np.array(channels) / sum(channels), abs=0.01)


def test_each_branch_shows_its_own_part_of_the_sprite() -> None:
    maps = [np.full((2, 2), 0.0) for _ in range(8)]
    for number, values in enumerate(maps):
        values[number % 2, number // 2 % 2] = 1 + number
    sheet = np.asarray(sprite([np.stack(maps[:4]), np.stack(maps[4:])]))
    assert sheet.shape == (2 * SMALL_TILE, 4 * SMALL_TILE)
    for number, values in enumerate(maps):
        top, left = number // 4 * SMALL_TILE, number % 4 * SMALL_TILE
        part = sheet[top : top + SMALL_TILE, left : left + SMALL_TILE]
        half = SMALL_TILE // 2
        assert part[::half, ::half].tolist() == (values > 0).astype(int).__mul__(252).tolist(), "own scale each"


def test_a_ribbon_has_a_pixel_for_each_channel_in_its_branchs_colour() -> None:
    image = ribbon([(np.array([0.0, 2.0]), (0, 100, 200)), (np.array([1.0]), (200, 0, 0))]).convert("RGB")
    assert image.size == (3, 1)
    pale, full, other = image.getpixel((0, 0)), image.getpixel((1, 0)), image.getpixel((2, 0))
    assert pale == (232, 232, 232)
    assert full == (0, 100, 200)
    assert other[0] == pytest.approx(216, abs=3)
    assert other[1] == pytest.approx(116, abs=232 / SHADES + 1)


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words = ""

    def handle_data(self, data: str) -> None:
        self.words += data + " "


def words(html: str) -> str:
    parser = Text()
    parser.feed(html)
    return re.sub(r"\s+", " ", parser.words)


def test_an_enlarged_channel_tells_its_numbers(embedded: PretrainedModel, photo: Image.Image) -> None:
    seen, read = predict(embedded, photo), channel_readout(embedded.model, "4c")
    values = seen.branch("4c", "3x3")[17]
    html = channel_html(seen, read, "3x3", 17, (2, 5), name="3×3", colours="magma", language="en")
    told = words(html)
    assert "Channel 17 of the 3×3 branch, block 4c" in told
    assert f"number {128 + 17} of the block's 512 channels" in told
    assert f"to {values.max():.2f}, mean {values.mean():.2f}" in told
    assert f"{(values == 0).mean():.0%} of its cells are zero" in told or "silent" in told
    assert f"(row 2, column 5): {values[2, 5]:.2f}" in told
    order = np.argsort(-read.strengths, kind="stable").tolist()
    assert f"rank {order.index(145) + 1} of 512" in told
    assert "left:62.500%;top:25.000%;width:12.500%;height:12.500%" in html


def test_the_ribbon_says_who_reads_how_much(embedded: PretrainedModel, photo: Image.Image) -> None:
    read = channel_readout(embedded.model, "5b")
    told = words(ribbon_html(predict(embedded, photo), read, NAMES, "en"))
    assert "what the classifier receives" in told
    for branch in BRANCHES:
        assert f"{read.shares[branch]:.0%} read {NAMES[branch]}" in told
    assert "pool 896–1023" in told


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("ox", ["ox"]),
        ("lesser panda", ["lesser", "panda"]),
        ("Labrador retriever", ["Labrador", "retriever"]),
        ("拉布拉多寻回犬", ["拉布拉多寻", "回犬"]),
        ("supercalifragilisticexpialidocious", ["supercalifr", "agilistice…"]),
    ],
)
def test_a_name_is_broken_into_two_lines_at_most(label: str, lines: list[str]) -> None:
    assert _broken(label) == lines
