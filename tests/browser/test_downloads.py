"""Links and downloads in a real browser: a link brings another browser to the same view, files open."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit
from zipfile import ZipFile

import huggingface_hub.constants
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from inception import load, open_photo, predict
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.prediction import statistics
from inception.pretrained import checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.vision.preprocessing import IMAGENET
from inception.web.blocks import build, launch_options
from support.networks import lively
from support.paths import EXAMPLES
from support.photos import HOPPER
from support.visitor import Visit

pytestmark = pytest.mark.browser

CLASSES = ("=1+1", "dog & cat", "Katze?#%", "<b>")
OWN = "pets & co.safetensors"
HOSTILE = {
    "model": "../../../etc/passwd",
    "example": "../../weights/tiny-imagenet",
    "block": "<img src=x onerror=alert(1)>",
    "view": "'; DROP TABLE maps; --",
    "scale": "${7*7}",
    "colours": "jet",
    "class": "99999999999999999999",
    "lang": "en\u0000",
    "photo": "http://example.org/cat.jpg",
}


@pytest.fixture(scope="module")
def page_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with a second network, whose file and classes have names that an address must not stumble over."""
    path = tmp_path_factory.mktemp("weights") / OWN
    model = lively(InceptionV1(classes=len(CLASSES), input_shape=(3, 64, 64)))
    description = Description("batchnorm", CLASSES, IMAGENET, UNKNOWN_PROVENANCE)
    checkpoint.save_checkpoint(path, model.state_dict(), description)
    page = build(InferenceService(("tiny-imagenet", str(path), "googlenet"), choose_device("cpu")))
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield address
    page.close()


def link_of(visit: Visit) -> str:
    return visit.page.locator("#il-link").locator("textarea, input").first.input_value()


def asked(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def expect_link(visit: Visit, **wanted: str | None) -> str:
    """The link, once it holds these values; None for what it must not hold."""
    for _ in range(100):
        told = asked(link_of(visit))
        if all(told.get(name) == value for name, value in wanted.items()):
            return link_of(visit)
        visit.page.wait_for_timeout(100)
    raise AssertionError((asked(link_of(visit)), wanted))


def option(visit: Visit, dropdown: str, name: str) -> None:
    visit.page.locator(f"#il-{dropdown} input").click()
    visit.page.get_by_role("option", name=name).first.click()


def shown(visit: Visit, title: str) -> None:
    """As `Visit.panels_of`, where each panel has a colour scale of its own below its picture."""
    expect(visit.page.locator(f'.il-block[aria-label="{title}"] .il-panel > img')).to_have_count(4, timeout=30_000)


def saved(visit: Visit, kind: str) -> tuple[str, bytes]:
    with visit.page.expect_download(timeout=30_000) as download:
        visit.page.locator(f"#il-keep-{kind}").click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_a_link_brings_another_visitor_to_the_same_view(visit: Visit, browser: Browser, page_address: str) -> None:
    page = visit.page
    option(visit, "model", "Your own")
    expect(page.locator("#il-map")).to_contain_text(f"{len(CLASSES)} classes", timeout=15_000)
    page.locator("#il-examples button.gallery-item").nth(6).click()
    visit.panels_of("Block 3a")
    visit.choose("block", "4c")
    visit.choose("view", "their mean")
    visit.choose("scale", "each branch")
    option(visit, "colours", "viridis")
    option(visit, "class", "Katze?#%")
    visit.choose("language", "中文")
    shown(visit, "模块 4c")
    wanted = {
        "model": OWN,
        "example": "red_panda",
        "block": "4c",
        "view": "mean",
        "scale": "branch",
        "colours": "viridis",
        "class": "2",
        "lang": "zh",
    }
    link = expect_link(visit, **wanted)
    assert asked(link) == wanted
    assert link.startswith(f"{page_address}?")

    context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-US")
    other = Visit(context, page_address)
    other.page.goto(link)
    shown(other, "模块 4c")
    assert asked(expect_link(other, **wanted)) == wanted
    expect(other.page.locator("#il-header")).to_contain_text("每条分支")
    expect(other.page.locator("#il-class input")).to_have_value("Katze?#%")
    answers = page.locator("#il-answer .confidence-set").all_inner_texts()
    assert len(answers) == len(CLASSES)
    assert other.page.locator("#il-answer .confidence-set").all_inner_texts() == answers
    assert other.pictures() == visit.pictures()
    expect(other.page.locator("#il-about")).to_be_visible()
    other.page.locator("#il-about button").first.click()
    expect(other.page.locator(".il-about").first).to_contain_text("Katze?#%")
    context.close()
    assert other.complaints == []


def test_a_link_without_a_photo_brings_its_network_and_classes(visit: Visit, page_address: str) -> None:
    visit.page.goto(f"{page_address}?{urlencode({'model': OWN, 'class': 1, 'block': '5b'})}")
    expect(visit.page.locator("#il-class input")).to_have_value("dog & cat", timeout=30_000)
    expect(visit.page.locator("#il-model input")).to_have_value(
        "Your own (pets & co.safetensors): " + ", ".join(CLASSES)
    )
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 5b")
    expect_link(visit, model=OWN, example="bison", block="5b")


def test_a_class_that_the_network_does_not_have_is_ignored(visit: Visit, page_address: str) -> None:
    visit.page.goto(f"{page_address}?{urlencode({'model': OWN, 'class': 4, 'example': 'bison'})}")
    visit.panels_of("Block 3a")
    expect(visit.page.locator("#il-class input")).to_have_value("the answer itself")
    expect_link(visit, model=OWN, **{"class": None})


def test_hostile_parameters_change_nothing(
    visit: Visit, page_address: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    visit.page.goto(f"{page_address}?{urlencode(HOSTILE)}&block=3a&block[]=4c&%00=%ff&=&&model=%E0%A4%A")
    expect(visit.page.locator("#il-panels")).to_contain_text("Choose a photo", timeout=30_000)
    visit.page.wait_for_timeout(500)
    defaults = {"model": "tiny-imagenet", "block": "3a", "view": "channels", "scale": "shared", "colours": "magma"}
    assert asked(link_of(visit)) == {**defaults, "lang": "en"}
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a")
    expect_link(visit, example="bison")
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


def test_a_network_that_cannot_be_had_is_said_and_not_replaced(
    visit: Visit, page_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    asks = {"model": "googlenet", "example": "bison", "block": "4d", "lang": "zh"}
    visit.page.goto(f"{page_address}?{urlencode(asks)}")
    expect(visit.page.get_by_test_id("toast-body")).to_contain_text("无法", timeout=60_000)
    expect(visit.page.locator("#il-block input:checked")).to_have_value("4d")
    expect(visit.page.locator("#il-panels img")).to_have_count(0)
    expect_link(visit, model="tiny-imagenet", example=None)


@pytest.mark.parametrize(
    "visit", [{"permissions": ["clipboard-read", "clipboard-write"]}, {"locale": "zh-CN"}], indirect=True
)
def test_a_visitors_own_photo_is_in_no_link(visit: Visit) -> None:
    english = visit.page.evaluate("navigator.language") == "en-US"
    visit.upload(HOPPER)
    visit.panels_of("Block 3a" if english else "模块 3a")
    note = visit.page.locator("#il-keep-note")
    expect(note).to_contain_text("own photo is not in the link" if english else "你自己的照片不在链接里")
    expect_link(visit, example=None)
    assert "hopper" not in link_of(visit)
    visit.page.locator("#il-copy").click()
    expect(visit.page.locator("#il-keep-said")).to_contain_text("Copied" if english else "已复制")
    if english:
        assert visit.page.evaluate("navigator.clipboard.readText()") == link_of(visit)


def test_what_is_downloaded_is_what_is_shown(visit: Visit) -> None:
    page = visit.page
    for kind in ("sheet", "maps", "csv", "json"):
        expect(page.locator(f"#il-keep-{kind}")).to_be_disabled()
    visit.upload(EXAMPLES / "espresso.jpg")
    visit.panels_of("Block 3a")
    visit.choose("block", "4c")
    visit.panels_of("Block 4c")
    expect(page.locator("#il-keep-sheet")).to_be_enabled()
    before = _files_of_the_server()
    seen = predict(load(), open_photo(EXAMPLES / "espresso.jpg"))

    name, data = saved(visit, "sheet")
    assert name == "tiny-imagenet-espresso-4c-channels.png"
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert image.width > 2000
    expect(page.locator("#il-keep-said")).to_contain_text(f"{name} was made")

    name, data = saved(visit, "maps")
    assert name == "tiny-imagenet-espresso-maps.zip"
    with ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert len(file.namelist()) == 2 * 36 + 2
        assert "tiny-imagenet" in file.read("README.txt").decode()

    name, data = saved(visit, "csv")
    assert name == "tiny-imagenet-espresso.csv"
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert rows[0]["label"] == seen.top(1)[0].label == "espresso"
    assert len(rows) == 200 + 36

    name, data = saved(visit, "json")
    told = json.loads(data)
    assert (name, told["model"], told["photo"]) == ("tiny-imagenet-espresso.json", "tiny-imagenet", "espresso")
    for block in BLOCKS:
        for branch, values in seen.branches(block).items():
            assert told["blocks"][block][branch]["mean"] == pytest.approx(statistics(values).mean, rel=1e-4)

    # Asked for again, it is made again.
    assert saved(visit, "json")[1] == data
    assert _files_of_the_server() == before, "nothing of it lies on the server"


def _files_of_the_server() -> set[str]:
    return {str(path) for path in (Path(tempfile.gettempdir()) / "gradio").rglob("*") if path.is_file()}


def test_names_of_classes_are_no_formulas_in_the_downloaded_table(visit: Visit, page_address: str) -> None:
    visit.page.goto(f"{page_address}?{urlencode({'model': OWN, 'example': 'bison'})}")
    visit.panels_of("Block 3a")
    name, data = saved(visit, "csv")
    assert name == "pets_co.safetensors-bison.csv"
    labels = [row["label"] for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))]
    assert set(labels[:4]) == {"'=1+1", *CLASSES[1:]}


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_has_it_all_within_its_width(visit: Visit) -> None:
    visit.page.locator("#il-keep").scroll_into_view_if_needed()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    for part in ("link", "copy", "keep-sheet", "keep-json"):
        box = visit.page.locator(f"#il-{part}").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
