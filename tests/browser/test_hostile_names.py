"""Names that contain HTML, scripts, spreadsheet formulas or paths."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint
from inception.pretrained.description import Description, Provenance
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.vision.preprocessing import IMAGENET
from inception.web.blocks import build
from support.launched import launch
from support.networks import randomise
from support.stage_visitor import VIEWS, StageVisit

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=ran=1>"
LABELS = (
    IMAGE,
    "'\"><svg onload=ran=1>",
    "</script><script>ran=1</script>",
    "</text></svg><svg onload=ran=1>",
    '=HYPERLINK("http://127.0.0.1:9/"&A1)',
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "{{ran}} ${ran=1} [a](javascript:ran=1)",
)
KINDS = ("maps", "sheet", "zip", "csv", "json")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stage with a network whose file name, classes and provenance are hostile."""
    path = tmp_path_factory.mktemp("hostile") / f"{IMAGE}.safetensors"
    small = replace(IMAGENET, resize=64, crop=64, size=64)
    description = Description("batchnorm", LABELS, small, Provenance(*[IMAGE] * 5))
    checkpoint.save_checkpoint(path, randomise(InceptionV1(classes=len(LABELS))).state_dict(), description)
    page = build(InferenceService((str(path),), choose_device("cpu")))
    address = launch(page)
    yield address
    page.close()


@pytest.fixture
def hostile_visit(browser: Browser, address: str) -> Iterator[StageVisit]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US", reduced_motion="reduce")
    visit = StageVisit(context, address)
    yield visit
    assert visit.page.evaluate("typeof ran") == "undefined", "a name was executed"
    assert visit.page.locator("img[src=x], svg[onload], [onerror], [href^=javascript]").count() == 0
    context.close()
    assert (visit.foreign_requests, visit.errors) == ([], [])


def test_hostile_class_names_are_shown_but_not_executed(hostile_visit: StageVisit) -> None:
    hostile_visit.open("?photo=bison")
    page = hostile_visit.page
    expect(page.locator("[data-stage=answer]")).to_contain_text("ran=1")
    hostile_visit.switch("3x3")
    expect(page.locator("[data-stage=answer] .was").first).to_be_visible(timeout=30_000)
    rows = page.locator("[data-stage=answer] .rows button")
    for number in range(rows.count()):
        rows.nth(number).hover()
    rows.last.click()
    for view in VIEWS:
        hostile_visit.open(f"?photo=bison&deeper={view}")
        page.wait_for_load_state("networkidle", timeout=120_000)
        expect(page.locator("#deeper h2")).to_be_visible()
    expect(page.locator("#deeper")).to_contain_text("onerror")
    page.get_by_role("button", name="中文", exact=True).click()
    expect(page.locator("[data-stage=answer]")).to_contain_text("ran=1")


def test_names_in_the_lesson_are_not_executed(hostile_visit: StageVisit) -> None:
    for step in (2, 3, 7, 8):
        hostile_visit.open(f"?photo=bison&step={step}")
        expect(hostile_visit.page.locator("[data-stage=lesson]")).to_be_visible()
        assert hostile_visit.page.evaluate("typeof ran") == "undefined"


def test_downloads_have_safe_file_names_and_no_formulas(hostile_visit: StageVisit, tmp_path: Path) -> None:
    hostile_visit.open("?photo=bison&deeper=numbers")
    files = {}
    for kind in KINDS:
        button = hostile_visit.page.locator(f"[data-keep={kind}]")
        expect(button).to_be_enabled(timeout=30_000)
        with hostile_visit.page.expect_download(timeout=60_000) as download:
            button.click()
        files[kind] = tmp_path / kind
        download.value.save_as(files[kind])
        assert set(download.value.suggested_filename) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-."), kind
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text(encoding="utf-8-sig"))))
    labels = {int(row["class"]): row["label"] for row in rows if row["kind"] == "class"}
    assert {labels[number].lstrip("'") for number in range(4, 8)} == {label for label in LABELS if label[0] in "=+-@"}
    assert not [label for label in labels.values() if label[0] in "=+-@"]
    table = json.loads(files["json"].read_text(encoding="utf-8"))
    assert {row["label"] for row in table["classes"]} == set(LABELS), "names are unchanged in JSON"
    names = zipfile.ZipFile(files["zip"]).namelist()
    assert len(names) > 70
    assert not [name for name in names if name.startswith(("/", "\\")) or ".." in name or "<" in name]


def test_a_hostile_file_name_and_link_are_not_executed(hostile_visit: StageVisit, tmp_path: Path) -> None:
    hostile = tmp_path / f"{IMAGE}.jpg"
    hostile.write_bytes(b"no photo")
    hostile_visit.open("?photo=bison")
    hostile_visit.expects_rejections = True
    hostile_visit.upload(hostile)
    expect(hostile_visit.page.locator("#notice")).to_be_visible(timeout=30_000)
    names = ("photo", "model", "block", "off", "class", "lens", "crop", "view", "sort", "scale", "colours", "lang")
    parameters = dict.fromkeys((*names, "step", "deeper", "example", "lesson"), LABELS[1])
    for extra in ({}, {"off": IMAGE}, {"__theme": IMAGE}, {"lens": "1x1:9999:999:999"}, {"deep_link": "../../x"}):
        hostile_visit.open(f"?{urlencode({**parameters, **extra})}")
        assert hostile_visit.page.evaluate("typeof ran") == "undefined"
