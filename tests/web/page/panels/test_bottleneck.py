"""The bottleneck's panel: its numbers are those of the network, in both languages, and its calculator calculates."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from inception import PretrainedModel, predict
from inception.errors import ChoiceError
from inception.network.blocks import BLOCKS
from inception.network.cost import network_size, published_size
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, intermediates
from inception.pretrained.description import Provenance
from inception.render.maps import mosaic, scale_limits
from inception.vision.preprocessing import IMAGENET
from inception.web.panels.block import short
from inception.web.panels.bottleneck import COLUMNS, bottleneck_html, calculator_html
from inception.web.text import TEXT
from support.networks import lively


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel, photo: Image.Image) -> Prediction:
    return predict(embedded, photo)


@pytest.fixture(scope="module")
def panel(embedded: PretrainedModel, seen: Prediction) -> str:
    return bottleneck_html(embedded, seen, "3a", "en")


def tree(html: str) -> ElementTree.Element:
    """Parsed as XML, which fails where a tag or a quotation mark is left open."""
    return ElementTree.fromstring(re.sub(r"(<img[^>]*)>", r"\1/>", html))


def words(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def cells(element: ElementTree.Element) -> list[list[str]]:
    """The numbers of a table's rows, without the names at their beginning."""
    rows = [[words(cell) for cell in row.findall("td")] for row in element.iter("tr")]
    return [row for row in rows if row]


def tables(html: str) -> list[ElementTree.Element]:
    """Of the two reductions, the nine blocks, the network, and the ways of counting."""
    return list(tree(html).iter("table"))


def made_up(variant: str, classes: int, side: int, photo: Image.Image) -> tuple[PretrainedModel, Prediction]:
    model = lively(InceptionV1(variant=variant, classes=classes, input_shape=(3, side, side)))
    how = replace(IMAGENET, resize=side, crop=side, size=side)
    labels = tuple(f'<script>alert("{index}")</script>' for index in range(classes))
    pretrained = PretrainedModel("<made up>", model, how, labels, Provenance("", "", "", ""))
    return pretrained, predict(pretrained, photo)


def millions(number: float) -> str:
    return f"{number / 1e6:,.1f}"


# ---------------------------------------------------------------- the reductions of the chosen block


@pytest.mark.parametrize(
    ("branch", "direct", "reduction", "convolution"),
    [("3x3", 9 * 192 * 128, 192 * 96, 9 * 96 * 128), ("5x5", 25 * 192 * 32, 192 * 16, 25 * 16 * 32)],
)
def test_the_costs_of_3a_by_hand(panel: str, branch: str, direct: int, reduction: int, convolution: int) -> None:
    article = tree(panel).find(f".//article[@data-step='{branch}']")
    assert article is not None
    amounts = (direct, reduction + convolution, reduction, convolution)
    # The embedded network's photos have 128 pixels, so 3a's maps have 16x16 cells.
    assert cells(article) == [[f"{amount:,}", millions(amount * 256)] for amount in amounts]
    verdict = article.find("p[@class='il-bn-verdict']")
    assert verdict is not None
    assert words(verdict).startswith(f"{short(direct / (reduction + convolution))} times fewer")


def test_the_5x5_of_3a_has_the_papers_numbers(panel: str) -> None:
    wide = words(tables(panel)[1])
    assert "153,600" in wide
    assert "15,872" in wide


def test_torchvisions_5x5_is_counted_as_the_3x3_that_it_runs(photo: Image.Image) -> None:
    html = bottleneck_html(*made_up("torchvision", 7, 64, photo), "3a", "en")
    article = tree(html).find(".//article[@data-step='5x5']")
    assert article is not None
    assert "5×5 (runs 3×3)" in words(article)
    assert [row[0] for row in cells(article)[:2]] == [f"{9 * 192 * 32:,}", f"{192 * 16 + 9 * 16 * 32:,}"]


@pytest.mark.parametrize("scale", ["shared", "branch", "channel"])
def test_the_pictures_are_the_maps_before_and_after(embedded: PretrainedModel, seen: Prediction, scale: str) -> None:
    inside = intermediates(embedded, seen, "4a")
    maps = {"before": seen.stages["pool3"], "3x3": inside["3x3_reduce"], "5x5": inside["5x5_reduce"]}
    limits = scale_limits(maps, scale)
    root = tree(bottleneck_html(embedded, seen, "4a", "en", scale=scale, colours="viridis"))
    for step, values in maps.items():
        article = root.find(f".//article[@data-step='{step}']")
        assert article is not None
        image = article.find("img")
        assert image is not None
        drawn = Image.open(io.BytesIO(b64decode(image.attrib["src"].split(",")[1])))
        expected = mosaic(values, limits[step], "viridis", COLUMNS)
        assert np.array_equal(np.asarray(drawn.convert("RGBA")), np.asarray(expected.convert("RGBA")))
        assert (int(image.attrib["width"]), int(image.attrib["height"])) == expected.size
        assert str(len(values)) in image.attrib["alt"]
        assert "4a" in image.attrib["alt"]


# ---------------------------------------------------------------- blocks and networks


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_nine_blocks_have_the_numbers_of_the_papers_table(
    embedded: PretrainedModel, seen: Prediction, language: str
) -> None:
    root = tree(bottleneck_html(embedded, seen, "4c", language))
    side = {"3": 16, "4": 8, "5": 4}
    sums = np.zeros(4)
    for block, (given, one, (reduce3, three), (reduce5, five), pool) in BLOCKS.items():
        naive = given * (one + 9 * three + 25 * five)
        reduced = given * (one + reduce3 + reduce5 + pool) + 9 * reduce3 * three + 25 * reduce5 * five
        work = [amount * side[block[0]] ** 2 for amount in (naive, reduced)]
        sums += (naive, work[0], reduced, work[1])
        body = root.find(f".//tbody[@data-block='{block}']")
        assert body is not None
        assert ("il-bn-chosen" in body.attrib.get("class", "")) is (block == "4c")
        assert cells(body) == [
            [f"{naive:,}", millions(work[0]), short(naive / reduced)],
            [f"{reduced:,}", millions(work[1])],
        ]
        assert f"{given + one + three + five:,}" in words(body)  # the naive block's channels
    total = root.find(".//tbody[@data-block='all']")
    assert total is not None
    assert cells(total) == [
        [f"{sums[0]:,.0f}", millions(sums[1]), short(sums[0] / sums[2])],
        [f"{sums[2]:,.0f}", millions(sums[3])],
    ]


def test_the_network_stands_beside_vgg16_and_the_published_one(embedded: PretrainedModel, panel: str) -> None:
    own, beside, published, vgg = cells(tables(panel)[3])
    model = embedded.model
    parameters = sum(one.numel() for one in model.parameters())
    without = sum(one.numel() for name, one in model.named_parameters() if not name.startswith("head."))
    assert own[:2] == beside[:2] == [f"{parameters:,}", f"{without:,}"]
    assert own[2:] == [millions(network_size(model, (3, 128, 128)).multiplications), "23"]
    assert beside[2:] == [millions(network_size(model, (3, 224, 224)).multiplications), "23"]
    assert published == ["6,998,552", "5,973,552", millions(published_size().multiplications), "22"]
    assert vgg == ["138,357,544", "14,714,688", "15,470.3", "16"]
    assert re.search(r"22 layers.*3 convolutions in the stem, 18 in the nine blocks.*make 22.*27", words(tree(panel)))
    assert "3 + 18 + 2 = 23 layers" in words(tree(panel))


def test_the_ways_of_counting_are_told_with_the_nearest_to_five_million(embedded: PretrainedModel, panel: str) -> None:
    table = tables(panel)[4]
    numbers = cells(table)
    assert [row[0] for row in numbers] == ["13,378,280", "6,998,552", "6,990,272", "5,973,552", "5,966,272"]
    own = dict(embedded.model.named_parameters())
    weights = sum(one.numel() for one in own.values() if one.dim() > 1)
    # It has no auxiliary classifiers, and says so with a dash.
    assert [row[1] for row in numbers[:3]] == ["–", f"{sum(one.numel() for one in own.values()):,}", f"{weights:,}"]
    marked = [row.attrib.get("class") == "il-bn-chosen" for row in table.iter("tr") if row.find("td") is not None]
    assert marked == [False, False, False, False, True]


def test_what_is_the_published_network_itself_is_told_once(photo: Image.Image) -> None:
    html = bottleneck_html(*made_up("googlenet", 1000, 224, photo), "5b", "en")
    *_, network, counting = tables(html)
    assert [row[0] for row in cells(network)] == ["6,998,552", "138,357,544"]
    assert all(len(row) == 1 for row in cells(counting))
    assert "This network:" not in words(tree(html))


# ---------------------------------------------------------------- languages, choices, escapes


def test_both_languages_show_the_same_numbers(embedded: PretrainedModel, seen: Prediction, panel: str) -> None:
    chinese = bottleneck_html(embedded, seen, "3a", "zh")
    assert [cells(table) for table in tables(chinese)] == [cells(table) for table in tables(panel)]
    assert "模块 3a 的瓶颈" in chinese
    for html, other in ((panel, "zh"), (chinese, "en")):
        said = {element.text for element in tree(html).iter() if element.text}
        assert not said & {text for key, text in TEXT[other].items() if key.startswith("bottleneck_")}
        assert "{" not in words(tree(html))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"block": "9z"}, "3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"),
        ({"scale": "log"}, "shared, branch, channel"),
        ({"colours": "jet"}, "magma, viridis, cividis, gray"),
    ],
)
def test_a_wrong_choice_names_those_that_exist(
    wish: dict[str, str], said: str, embedded: PretrainedModel, seen: Prediction
) -> None:
    with pytest.raises(ChoiceError, match=said):
        bottleneck_html(embedded, seen, **{"block": "3a", "language": "en", **wish})


def test_names_of_a_users_file_bring_no_html(photo: Image.Image) -> None:
    html = bottleneck_html(*made_up("batchnorm", 3, 64, photo), "4b", "en")
    assert "<script" not in html
    assert "<made up>" not in html


def test_every_sentence_is_escaped(
    embedded: PretrainedModel, seen: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, text in TEXT["en"].items():
        monkeypatch.setitem(TEXT["en"], key, f"{text}<x>\"'&")
    for html in (
        bottleneck_html(embedded, seen, "3a", "en"),
        bottleneck_html(embedded, seen, "3a", "en", scale="branch"),
        calculator_html(128, 32, 256, 3, 784, "en"),
        calculator_html(1, 1, 1, 3, 1, "en"),
        calculator_html(None, 32, 256, 3, 784, "en"),
    ):
        root = tree(html)
        assert list(root.iter("x")) == []
        assert "<x>\"'&" in words(root)


# ---------------------------------------------------------------- the calculator


@pytest.mark.parametrize(
    ("kernel", "direct", "sums", "verdict", "work"),
    [
        (3, "294,912", "4,096 + 73,728 = 77,824", "3.79 times fewer", ("231.2", "61.0")),
        (5, "819,200", "4,096 + 204,800 = 208,896", "3.92 times fewer", ("642.3", "163.8")),
    ],
)
def test_the_calculator_works_out_the_example(
    kernel: int, direct: str, sums: str, verdict: str, work: tuple[str, str]
) -> None:
    html = calculator_html(128.0, 32.0, 256.0, float(kernel), 784.0, "en")
    told = words(tree(html))
    assert f"{kernel}×{kernel}×128×256 = {direct}" in told
    assert sums in told
    assert verdict in told
    assert f"784 cells: {work[0]} million multiplications directly, {work[1]} million" in told
    rows = {row.attrib["data-kernel"]: row for row in tree(html).iter("tr") if "data-kernel" in row.attrib}
    assert {side: [words(cell) for cell in row.findall("td")] for side, row in rows.items()} == {
        "3": ["294,912", "77,824", "3.79", "121"],
        "5": ["819,200", "208,896", "3.92", "125"],
    }
    assert [side for side, row in rows.items() if "class" in row.attrib] == [str(kernel)]


def test_another_window_has_a_row_of_its_own() -> None:
    rows = [row for row in tree(calculator_html(8, 4, 8, 7, 1, "zh")).iter("tr") if "data-kernel" in row.attrib]
    assert [row.attrib["data-kernel"] for row in rows] == ["3", "5", "7"]
    assert [words(cell) for cell in rows[2].findall("td")] == ["3,136", "1,600", "1.96", "7"]


@pytest.mark.parametrize(
    ("numbers", "english", "chinese"),
    [
        ((16, 64, 16, 3), "4.44 times more weights", "反而是原来的 4.44 倍"),  # 10,240 against 2,304
        ((2, 1, 2, 1), "as many weights", "一样多"),  # 4 against 4
        ((128, 32, 256, 3), "3.79 times fewer weights", "1/3.79"),
    ],
)
def test_a_reduction_that_saves_nothing_is_told_so(
    numbers: tuple[int, int, int, int], english: str, chinese: str
) -> None:
    assert english in words(tree(calculator_html(*numbers, 1, "en")))
    assert chinese in words(tree(calculator_html(*numbers, 1, "zh")))


def test_where_no_reduction_can_save_the_limit_says_never() -> None:
    assert "never saves" in words(tree(calculator_html(1, 1, 1, 3, 1, "en")))
    assert "从不省" in words(tree(calculator_html(1, 1, 1, 3, 1, "zh")))


@pytest.mark.parametrize(
    "numbers",
    [
        (None, 32, 256, 3, 784),
        (0, 32, 256, 3, 784),
        (128, -32, 256, 3, 784),
        (128, 32, 4097, 3, 784),
        (128, 32, 256, 12, 784),
        (128, 32, 256, 2.5, 784),
        (128, 32, 256, 3, 224 * 224 + 1),
        (128, 32, 256, 3, float("nan")),
        (float("inf"), 32, 256, 3, 784),
    ],
)
@pytest.mark.parametrize(("language", "said"), [("en", "Please enter whole numbers"), ("zh", "请输入整数")])
def test_what_cannot_be_calculated_is_answered_with_what_can(
    numbers: tuple[float | None, ...], language: str, said: str
) -> None:
    answer = tree(calculator_html(*numbers, language))  # type: ignore[arg-type]
    assert answer.attrib["role"] == "alert"
    assert said in words(answer)
    for limit in ("4,096", "11", "50,176"):
        assert limit in words(answer)


def test_the_largest_that_may_be_entered_is_calculated() -> None:
    told = words(tree(calculator_html(4096, 4096, 4096, 11, 224 * 224, "en")))
    assert f"{11 * 11 * 4096 * 4096:,}" in told
