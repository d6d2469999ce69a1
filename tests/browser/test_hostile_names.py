"""Names that would be a page's code, a spreadsheet's formula or a path: in a real browser nothing of them runs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint
from inception.pretrained.description import Description, Provenance
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.vision.preprocessing import IMAGENET
from inception.web.blocks import build, launch_options
from inception.web.explanations import Why
from support.networks import lively
from support.paths import EXAMPLES
from support.visitor import Visit

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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page with a network whose file, classes and provenance all mean harm."""
    path = tmp_path_factory.mktemp("hostile") / f"{IMAGE}.safetensors"
    described = Description("batchnorm", LABELS, IMAGENET, Provenance(*[IMAGE] * 5))
    checkpoint.save_checkpoint(path, lively(InceptionV1(classes=len(LABELS))).state_dict(), described)
    page = build(InferenceService((str(path),), choose_device("cpu")))
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield address
    page.close()


@pytest.fixture
def guest(browser: Browser, address: str) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-US")
    visit = Visit(context, address)
    yield visit
    assert visit.page.evaluate("typeof ran") == "undefined", "a name ran"
    assert visit.page.locator("img[src=x], svg[onload], [onerror], [href^=javascript]").count() == 0
    context.close()
    assert (visit.foreign, visit.complaints) == ([], [])


def settled(page: Page, place: str, text: str = "onerror") -> None:
    """The hostile text is there, as text."""
    expect(page.locator(place)).to_contain_text(text, timeout=60_000)


@pytest.mark.browser
def test_hostile_classes_are_shown_and_do_not_run(guest: Visit) -> None:
    page = guest.page
    guest.upload(EXAMPLES / "bison.jpg")
    guest.panels_of("Block 3a")
    settled(page, "#il-answer", "ran=1")
    settled(page, "#il-map", f"of {len(LABELS)} classes")  # beside the first of them, cut short
    guest.come_near()
    tabs = page.locator("#il-tabs").get_by_role("tab")
    for number, tab in enumerate(Why(InferenceService((), choose_device("cpu"))).tabs):
        tabs.nth(number).click()
        expect(page.locator(f"#il-{tab} > *").first).to_be_attached(timeout=60_000)
    page.locator("#il-switch input").nth(1).click()
    settled(page, "#il-switched", "ran=1")
    page.locator("#il-class input").click()
    expect(page.get_by_role("option").filter(has_text="onerror").first).to_be_visible(timeout=30_000)
    page.keyboard.press("Escape")
    for part, place in (("compare", "#il-compared"), ("about", "#il-about")):
        page.locator(f"#il-{part} button").first.click()
        expect(page.locator(place)).to_be_visible(timeout=30_000)
    settled(page, "#il-about")
    guest.choose("language", "中文")
    expect(page.locator("#il-keep-csv")).to_be_enabled(timeout=30_000)
    settled(page, "#il-answer", "ran=1")


@pytest.mark.browser
def test_what_is_taken_away_has_tame_names_and_no_formulas(guest: Visit, tmp_path: Path) -> None:
    guest.upload(EXAMPLES / "bison.jpg")
    guest.panels_of("Block 3a")
    files = {}
    for kind in ("sheet", "maps", "csv", "json"):
        button = guest.page.locator(f"#il-keep-{kind}")
        expect(button).to_be_enabled(timeout=30_000)
        with guest.page.expect_download(timeout=60_000) as made:
            button.click()
        files[kind] = tmp_path / kind
        made.value.save_as(files[kind])
        assert set(made.value.suggested_filename) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-."), kind
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text(encoding="utf-8-sig"))))
    labels = {int(row["class"]): row["label"] for row in rows if row["kind"] == "class"}
    assert {labels[number].lstrip("'") for number in range(4, 8)} == {label for label in LABELS if label[0] in "=+-@"}
    assert not [label for label in labels.values() if label[0] in "=+-@"]
    told = json.loads(files["json"].read_text(encoding="utf-8"))
    assert {row["label"] for row in told["classes"]} == set(LABELS), "where nothing computes, names stay what they are"
    names = zipfile.ZipFile(files["maps"]).namelist()
    assert len(names) > 70
    assert not [name for name in names if name.startswith(("/", "\\")) or ".." in name or "<" in name]


@pytest.mark.browser
def test_a_hostile_file_name_and_link_do_not_run(guest: Visit, address: str, tmp_path: Path) -> None:
    hostile = tmp_path / f"{IMAGE}.jpg"
    hostile.write_bytes(b"no photo")
    guest.upload(hostile)
    expect(guest.page.locator("#il-alarm [role=alert]")).to_be_visible(timeout=30_000)
    harm = dict.fromkeys(("model", "example", "block", "view", "scale", "colours", "class", "lang"), LABELS[1])
    for more in ({}, {"lesson": IMAGE}, {"__theme": IMAGE}, {"view": IMAGE}, {"deep_link": "../../x"}):
        guest.page.goto(f"{address}?{urlencode({**harm, **more})}")
        expect(guest.page.locator("#il-photo")).to_be_visible(timeout=60_000)
        assert guest.page.evaluate("typeof ran") == "undefined"
