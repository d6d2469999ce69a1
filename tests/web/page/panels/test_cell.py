"""A cell's page: frames lie where the cell looks, and the convolution by hand can be added up from what is shown."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from dataclasses import replace
from decimal import Decimal
from html import unescape

import numpy as np
import pytest
from PIL import Image

from inception.explain.convolution import ConvolutionTrace, trace_convolution
from inception.explain.receptive_field import EffectiveField, Square, cell_square, effective_field
from inception.network.blocks import BRANCHES
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, predict
from inception.pretrained.description import UNKNOWN_PROVENANCE
from inception.pretrained.pretrained import PretrainedModel
from inception.render import maps as render
from inception.render.frames import DARK, DIMMED, LIGHT, LIGHT_DASHED, dimmed, framed, marked_map
from inception.vision.preprocessing import IMAGENET
from inception.web.panels.cell import cell_html
from inception.web.text import say
from support.networks import lively

NAMES = {"1x1": "1×1", "3x3": "3×3", "5x5": "5×5 (the wide one)", "pool": "the pool"}
NETWORKS = {
    "batchnorm": {},
    "googlenet": {"variant": "googlenet"},
    "torchvision": {"variant": "torchvision"},
    "preact": {"preact": True},
    "no bias": {"use_bias": False},
}
LAYERS = [(branch, layer) for branch, layers in BRANCHES.items() for layer in layers if layer != "pool"]
Looked = tuple[PretrainedModel, Prediction]


def query(photo: Image.Image, **options: object) -> Looked:
    model = lively(InceptionV1(classes=3, input_shape=(3, 96, 96), **options))  # type: ignore[arg-type]
    net = PretrainedModel("test", model, replace(IMAGENET, size=96), ("a", "b", "c"), UNKNOWN_PROVENANCE)
    return net, predict(net, photo)


@pytest.fixture(scope="module", params=NETWORKS)
def looked(request: pytest.FixtureRequest, photo: Image.Image) -> Looked:
    return query(photo, **NETWORKS[request.param])


@pytest.fixture(scope="module")
def real(embedded: PretrainedModel, photo: Image.Image) -> Looked:
    return embedded, predict(embedded, photo)


def liveliest(seen: Prediction, block: str, branch: str) -> tuple[int, int, int]:
    maps = seen.branch(block, branch)
    channel, row, column = np.unravel_index(maps.argmax(), maps.shape)
    return int(channel), int(row), int(column)


def shown(
    told: ConvolutionTrace, field: EffectiveField, seen: Prediction, language: str = "en", names: dict[str, str] = NAMES
) -> str:
    return cell_html(told, field, field.square, seen, names, language)


def blank_field(told: ConvolutionTrace, seen: Prediction) -> EffectiveField:
    """No influence at all, for tests of the arithmetic."""
    energy = np.zeros((seen.image.height, seen.image.width), np.float32)
    return EffectiveField(told.block, told.branch, told.row, told.column, Square(0, 0, 10, 10), energy)


def plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def decimal(text: str) -> Decimal:
    return Decimal(text.replace("−", "-").replace(" ", ""))


def unit(number: Decimal) -> float:
    return float(Decimal(1).scaleb(int(number.as_tuple().exponent)))


def table(html: str) -> tuple[list[list[Decimal]], list[Decimal], Decimal]:
    """The rows of products, the further terms, and the sum."""
    (box,) = re.findall(r'<div class="il-cell-scroll".*?</div>', html)
    body = box.split("<tbody>")[1]
    products, further, total = [], [], Decimal(0)
    for kind, row in re.findall(r'<tr(?: class="([^"]*)")?>(.*?)</tr>', body):
        numbers = [
            decimal(cell.lstrip("×=+ "))
            for cell in map(plain, re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row))
            if re.fullmatch(r"[×=+ −\d.]+", cell)
        ]
        if not kind:
            products.append(numbers)
        elif "total" in kind:
            total = numbers[-1]
        else:
            further.append(numbers[-1])
    return products, further, total


def steps(html: str) -> list[str]:
    return [plain(step) for step in re.findall(r"<dd>(.*?)</dd>", html)]


def picture(html: str, figure: str) -> Image.Image:
    (data,) = re.findall(rf'<figure data-figure="{figure}">.*?<img src="data:image/\w+;base64,([^"]+)"', html)
    return Image.open(io.BytesIO(b64decode(data)))


# ---------------------------------------------------------------- by hand


def test_what_is_shown_adds_up_from_the_products_to_the_map(looked: Looked) -> None:
    net, seen = looked
    for block in ("3a", "4c"):
        for number, (branch, layer) in enumerate(LAYERS):
            places = {liveliest(seen, block, branch)[1:], (0, 0)}
            for row, column in sorted(places):
                told = trace_convolution(net, seen, block, branch, number, row, column, layer)
                html = shown(told, blank_field(told, seen), seen)
                products, further, total = table(html)
                assert sum(row[-1] for row in products) + sum(further) == total
                assert float(total) == pytest.approx(told.sum, abs=unit(total))
                check_products(products, told)
                check_steps(steps(html), told, total)


def check_products(products: list[list[Decimal]], told: ConvolutionTrace) -> None:
    """Each row is one product, and multiplying what is shown gives what is shown."""
    assert len(products) == 10
    for row, product in zip(products, told.products, strict=True):
        assert int(row[0]) == product.input_channel
        if told.kernel_side > 1:
            assert (int(row[1]), int(row[2])) == (product.row, product.column)
        *_, value, weight, shown_product = row
        assert float(shown_product) == pytest.approx(product.product, abs=unit(shown_product))
        assert float(value * weight) == pytest.approx(float(shown_product), abs=2 * unit(shown_product))


def check_steps(lines: list[str], told: ConvolutionTrace, total: Decimal) -> None:
    """BatchNorm's sum and the ReLU are right as they are shown, and end at the map's number."""
    in_map = decimal(lines[-1])
    assert in_map == decimal(f"{told.value:.{-int(in_map.as_tuple().exponent)}f}")
    before = total
    if told.affine is not None:
        number = r"−?[\d.]+"
        parts = re.fullmatch(
            rf"({number}) × ({number}) ([+−]) ({number}) = ({number}) [+−] ({number}) = ({number})", lines[0]
        )
        assert parts is not None
        given, scale, sign, shift, scaled, again, before = (
            part if part in "+−" else decimal(part) for part in parts.groups()
        )
        assert given == total
        assert shift == again
        assert scaled + (shift if sign == "+" else -shift) == before
        assert float(given * scale) == pytest.approx(float(scaled), abs=1.6 * unit(scaled))
    if told.preact:
        assert len(lines) == 1
        assert in_map == total
    else:
        assert lines[-2] == f"max(0, {str(before).replace('-', '−')}) = {lines[-1]}"
        assert in_map == max(before, Decimal(0))


def test_the_embedded_networks_liveliest_cells_come_to_their_map(real: Looked) -> None:
    net, seen = real
    for branch in BRANCHES:
        told = trace_convolution(net, seen, "4a", branch, *liveliest(seen, "4a", branch))
        html = shown(told, blank_field(told, seen), seen)
        products, further, total = table(html)
        assert sum(row[-1] for row in products) + sum(further) == total
        check_steps(steps(html), told, total)
        check_products(products, told)
        assert decimal(steps(html)[-1]) > 0


def test_a_map_that_was_computed_with_fewer_digits_is_told(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "4a", "3x3", *liveliest(seen, "4a", "3x3"))
    field = blank_field(told, seen)
    assert say("en", "cell_float32") not in shown(told, field, seen)
    assert say("en", "cell_rounded") in shown(told, field, seen)
    off = shown(replace(told, value=told.value * 1.01), field, seen)
    assert say("en", "cell_float32") in off
    assert steps(off)[-1] != steps(off)[-2].split(" = ")[1]


def test_the_grids_hold_the_channels_that_weigh_most_and_add_up(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "4a", "5x5", *liveliest(seen, "4a", "5x5"))
    html = shown(told, blank_field(told, seen), seen)
    weights = {channel: float((told.patch[channel] * told.kernel[channel]).sum()) for channel in range(len(told.patch))}
    strongest = sorted(weights, key=lambda channel: -abs(weights[channel]))[:3]
    parts = re.split(r'<div class="il-cell-grids" data-channel="(\d+)">', html.split('<div class="il-cell-scroll"')[0])
    assert [int(channel) for channel in parts[1::2]] == strongest
    for channel, part in zip(strongest, parts[2::2], strict=True):
        grids = [
            np.array([[float(decimal(cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows])
            for rows in (re.findall(r"<tr>(.*?)</tr>", grid) for grid in re.findall(r"<table.*?</table>", part))
        ]
        assert [grid.shape for grid in grids] == [(5, 5)] * 3
        assert np.allclose(grids[0], told.patch[channel], atol=0.01)
        assert np.allclose(grids[1], told.kernel[channel], atol=0.001)
        total = decimal(re.search(r"add up to (−?[\d.]+)", part).group(1))  # type: ignore[union-attr]
        cells = re.findall(r"<td[^>]*>(.*?)</td>", re.findall(r"<table.*?</table>", part)[2])
        assert sum(decimal(cell) for cell in cells) == total
        assert float(total) == pytest.approx(weights[channel], abs=0.01)


def test_places_beyond_the_map_are_marked_and_not_counted(real: Looked) -> None:
    net, seen = real
    corner = trace_convolution(net, seen, "4a", "3x3", 0, 0, 0)
    html = shown(corner, blank_field(corner, seen), seen)
    grid = re.findall(r'<table class="il-cell-grid">.*?</table>', html)[0]
    beside = ["il-cell-beside" in cell for cell in re.findall(r"<td[^>]*>", grid)]
    assert beside == [True, True, True, True, False, False, True, False, False]
    assert say("en", "cell_border") in html
    assert f"4 places × 96 channels = {4 * 96} products" in html
    middle = trace_convolution(net, seen, "4a", "3x3", 0, 3, 3)
    assert say("en", "cell_border") not in shown(middle, blank_field(middle, seen), seen)


def test_a_1x1_kernel_is_a_list_and_no_grid(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "4a", "pool", 0, 3, 3)
    html = shown(told, blank_field(told, seen), seen)
    assert "il-cell-grid" not in html
    assert say("en", "cell_from_pool") in unescape(html)
    assert say("en", "cell_head_row") not in re.findall(r'<th scope="col">(.*?)</th>', html)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_only_a_5x5_that_runs_3x3_needs_a_word_about_it(photo: Image.Image, real: Looked, language: str) -> None:
    sentence = say(language, "cell_other_kernel", branch="5×5", side=3)
    for (net, seen), wide in ((query(photo, variant="torchvision"), True), (real, False)):
        for branch in BRANCHES:
            told = trace_convolution(net, seen, "4a", branch, 0, 1, 1)
            html = shown(told, blank_field(told, seen), seen, language)
            assert (sentence in html) == (wide and branch == "5x5")


def test_preact_layers_are_said_to_end_with_the_sum(photo: Image.Image) -> None:
    net, seen = query(photo, preact=True)
    told = trace_convolution(net, seen, "4a", "3x3", 0, 1, 1)
    html = shown(told, blank_field(told, seen), seen)
    assert say("en", "cell_preact") in html
    assert "max(0" not in html


# ---------------------------------------------------------------- what it sees


def test_the_numbers_of_square_and_field_are_told(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "3a", "3x3", *liveliest(seen, "3a", "3x3"))
    field = effective_field(net, seen, "3a", "3x3", told.row, told.column)
    square = cell_square(net.model, "3a", "3x3", told.row, told.column)
    html = plain(shown(told, field, seen))
    core = field.core(0.9)
    assert 0 < core.width < square.width
    assert f"This cell can see {square.width}×{square.height} pixels" in html
    assert f"90% of the influence comes from {core.width}×{core.height} pixels" in html


@pytest.mark.parametrize(("square", "ends"), [(Square(0, 5, 20, 25), True), (Square(5, 5, 25, 25), False)])
def test_a_frame_at_the_photos_border_is_told(real: Looked, square: Square, ends: bool) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "3a", "3x3", 0, 1, 1)
    html = cell_html(told, blank_field(told, seen), square, seen, NAMES, "en")
    assert (say("en", "cell_exact_border") in unescape(html)) == ends


def test_the_photo_is_bright_inside_the_square_and_dark_around_it(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "3a", "3x3", 0, 1, 1)
    white = replace(seen, image=Image.new("RGB", (128, 128), "white"))
    html = cell_html(told, blank_field(told, seen), Square(32, 32, 64, 64), white, NAMES, "en")
    exact = np.asarray(picture(html, "exact").convert("L")).astype(int)
    assert exact.shape == (320, 320)
    assert exact[90:150, 90:150].min() > 240
    assert np.abs(exact[200:300, 200:300] - 255 * DIMMED).max() < 6


def test_the_effective_field_is_bright_where_the_gradient_is_and_framed(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "3a", "3x3", 0, 1, 1)
    energy = np.zeros((128, 128), np.float32)
    energy[60:68, 60:68] = 4
    black = replace(seen, image=Image.new("RGB", (128, 128)))
    field = EffectiveField("3a", "3x3", 1, 1, Square(32, 32, 96, 96), energy)
    html = shown(told, field, black)
    heat = np.asarray(picture(html, "field")).astype(int)
    assert heat[158:162, 158:162].sum(axis=-1).min() > 500
    assert heat[100:140, 100:140].sum(axis=-1).max() < 60, "inside the solid frame, outside the dashed one"
    core = field.core(0.9)
    assert f"{core.width}×{core.height} pixels" in plain(html)
    around = heat[round(core.top * 2.5) - 4 : round(core.top * 2.5), 150:170].reshape(-1, 3)
    assert around.max() > 150, "the dashed frame"
    assert heat[80 - 4 : 80, 100:220].max() > 200, "the solid frame"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_cell_that_nothing_influences_is_told_in_a_sentence(real: Looked, language: str) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "3a", "3x3", 0, 1, 1)
    html = shown(told, blank_field(told, seen), seen, language)
    assert say(language, "cell_no_field", branch=NAMES["3x3"]) in html
    assert 'data-figure="field"' not in html


def test_the_map_has_a_frame_around_the_cell_and_keeps_every_value(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "3a", "3x3", *liveliest(seen, "3a", "3x3"))
    html = shown(told, blank_field(told, seen), seen)
    values = seen.branch("3a", "3x3")[told.channel]
    expected = render.heat_map(values, render.Limits(0, float(values.max())), size=320)
    zoom = expected.width // values.shape[1]
    marked, unmarked = (np.asarray(image.convert("RGB")) for image in (picture(html, "map"), expected))
    centres = np.s_[zoom // 2 :: zoom, zoom // 2 :: zoom]
    assert np.array_equal(marked[centres], unmarked[centres])
    changed = np.argwhere((marked != unmarked).any(axis=-1))
    top, left = told.row * zoom, told.column * zoom
    assert changed.min(axis=0).tolist() == [max(top - 4, 0), max(left - 4, 0)]
    assert changed.max(axis=0).tolist() == [min(top + zoom + 4, 320) - 1, min(left + zoom + 4, 320) - 1]


def test_a_reduction_has_no_map_here_and_says_whose_pictures_these_are(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "4a", "5x5", 3, 2, 2, "5x5_reduce")
    html = shown(told, blank_field(told, seen), seen)
    assert 'data-figure="map"' not in html
    assert say("en", "cell_reduction_note") in unescape(html)
    last = trace_convolution(net, seen, "4a", "5x5", 3, 2, 2)
    assert say("en", "cell_reduction_note") not in unescape(shown(last, blank_field(last, seen), seen))


# ---------------------------------------------------------------- frames


def test_a_frame_runs_around_its_box_and_changes_nothing_else() -> None:
    picture = Image.new("RGB", (100, 100), (90, 90, 90))
    pixels = np.asarray(framed(picture, (50, 50), [(10, 15, 30, 40)]))
    # In the picture's own pixels the box is 20 to 60 across and 30 to 80 down, the line 4 pixels around it.
    assert (pixels[30:80, 20:60] == 90).all()
    assert pixels[50, 16:20].tolist() == [[*DARK], [*LIGHT], [*LIGHT], [*DARK]]
    assert pixels[80:84, 40].tolist() == [[*DARK], [*LIGHT], [*LIGHT], [*DARK]]
    outside = np.ones((100, 100), bool)
    outside[26:84, 16:64] = False
    assert (pixels[outside] == 90).all()


def test_at_the_pictures_border_a_frame_stays_visible() -> None:
    pixels = np.asarray(framed(Image.new("RGB", (40, 40), (90, 90, 90)), (40, 40), [(0, 0, 40, 40)]))
    assert pixels[20, :4].tolist() == [[*DARK], [*LIGHT], [*LIGHT], [*DARK]]
    assert (pixels[4:36, 4:36] == 90).all()


def test_a_dashed_frame_has_gaps_and_a_solid_one_none() -> None:
    grey = Image.new("RGB", (100, 100), (90, 90, 90))
    solid, dashed = framed(grey, (100, 100), [(20, 20, 80, 80)]), framed(grey, (100, 100), [], [(20, 20, 80, 80)])
    row = np.asarray(dashed)[18, 20:80]
    assert set(map(tuple, row.tolist())) == {LIGHT_DASHED, DARK}
    assert (np.asarray(solid)[18, 20:80] == LIGHT).all()


def test_dimming_keeps_the_inside_as_it_is() -> None:
    pixels = np.asarray(dimmed(Image.new("RGB", (20, 20), (200, 100, 40)), (10, 10), (2, 3, 5, 6)))
    assert (pixels[6:12, 4:10] == (200, 100, 40)).all()
    assert pixels[0, 0].tolist() == [70, 35, 14]
    assert pixels[12, 4].tolist() == [70, 35, 14]


def test_a_marked_cell_in_a_corner_is_framed_inside_the_map() -> None:
    values = np.ones((4, 4), np.float32)
    marked = np.asarray(marked_map(values, render.Limits(0, 1), (3, 0), size=80).convert("RGB"))
    assert marked.shape == (80, 80, 3)
    assert marked[70, :4].tolist() == [[*DARK], [*LIGHT], [*LIGHT], [*DARK]]
    assert len({tuple(pixel) for pixel in marked[:50].reshape(-1, 3).tolist()}) == 1


# ---------------------------------------------------------------- the page


def test_names_from_outside_cannot_become_html(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "4a", "3x3", 0, 1, 1)
    html = shown(told, blank_field(told, seen), seen, names=dict.fromkeys(BRANCHES, '<b title="x">'))
    assert "<b title" not in html
    assert "&lt;b title=&quot;x&quot;&gt;" in html


def test_every_picture_has_words_and_comes_small_with_the_page(real: Looked) -> None:
    net, seen = real
    told = trace_convolution(net, seen, "4a", "3x3", 0, 1, 1)
    html = shown(told, effective_field(net, seen, "4a", "3x3", 1, 1), seen, "zh")
    source = r'src="data:image/\w+;base64,[^"]+" width="(\d+)" height="(\d+)" alt="([^"]+)"'
    figures = re.findall(rf'<figure data-figure="(\w+)">.*?<img {source}', html)
    assert [name for name, *_ in figures] == ["map", "exact", "field"]
    assert all(int(width) <= 320 and int(height) <= 320 and alt for _, width, height, alt in figures)
    assert "http" not in html
