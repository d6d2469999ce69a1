"""Shared fixtures and markers."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, expect

from benchmarks.browser import chromium
from benchmarks.peers import caffe_onnx
from inception.pretrained import zoo
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import Description
from inception.pretrained.hub import HubFile
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load
from inception.runtime.memory import share_freed
from support.hub import RequestHandler
from support.paths import EXAMPLES, SHARED
from support.stage_visitor import StageVisit
from support.visitor import ApiVisit

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# By default servers measure which engine is fastest; tests of engines choose one themselves.
os.environ["INCEPTION_ENGINE"] = "torch"
share_freed()  # as servers do: with the allocator's defaults, page faults take up to a tenth of the time
# The default of five seconds is too short when workers share two cores with servers and browsers.
expect.set_options(timeout=30_000)

TESTS = Path(__file__).parent
# Prefixes of the ids of tests with a marker; `make test-fast` leaves all of these out.
MARKED = {
    "browser": ("browser/",),
    "ray": ("service/ray/",),
    "training": ("training/",),
    # They start processes or servers, or compute for seconds.
    "slow": (
        "cli/",
        "docs/",
        "explain/test_explanations.py::test_grad_cam_is",
        "explain/test_receptive_field.py::test_a_cell_",
        "export/test_archive.py::test_a_figure_shows",
        "export/test_folder.py",
        "export/test_parquet.py",
        "network/test_anatomy.py::test_receptive_field_is",
        "pretrained/test_bad_checkpoints.py",
        "pretrained/test_rejection.py",
        "project/test_audit.py",
        "project/test_benchmarks.py",
        "project/test_container.py",
        "project/test_package.py",
        "project/test_quoting.py",
        "project/test_house.py::test_the_python_tour",
        "runtime/test_faults.py",
        "runtime/test_interrupt.py",
        "runtime/test_memory.py",
        "runtime/test_terminal.py",
        "service/test_background.py",
        "service/test_full_gpu.py",
        "service/test_zero_gpu.py",
        "vision/test_corpus.py",
        "vision/test_photo_fuzz.py",
        "web/api/",
        "web/http/",
        "web/mcp/",
        "web/stage/test_assets.py",
        "web/test_",
    ),
}
# Files that take minutes begin first, so that at the end no worker waits for another's.
BEGIN_FIRST = ("browser/", "service/ray/", "vision/test_corpus.py", "web/test_classroom.py", "web/test_soak.py")
# Markers of tests by fixture: Chromium, a server, or weights that take seconds to load.
MARKING_FIXTURES = {"browser": "browser", "shared": "slow", "random_onnx": "slow", "page_address": "slow"}

# Each worker has its own temporary files.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix=f"{worker}-")


def pytest_sessionfinish() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)


def name_of(item: pytest.Item) -> str:
    return f"{item.path.relative_to(TESTS).as_posix()}::{item.name}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not name_of(item).startswith(BEGIN_FIRST))
    for item in items:
        name = name_of(item)
        markers = {marker for marker, prefixes in MARKED.items() if name.startswith(prefixes)}
        markers |= {MARKING_FIXTURES[name] for name in getattr(item, "fixturenames", ()) if name in MARKING_FIXTURES}
        for marker in sorted(markers):
            item.add_marker(marker)


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the weights and caches of this machine, and the address that `serve` sets in the environment."""
    for name in ("INCEPTION_WEIGHTS_DIR", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seed torch before each test, so that random numbers do not depend on earlier tests."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def collectable_pages() -> Iterator[None]:
    """Clear FastAPI's caches of route handlers, which keep every page of this process alive, about 100 MB each."""
    yield
    models = sys.modules.get("fastapi.dependencies.models")
    for function in vars(models).values() if models else ():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder shared/ with the real ImageNet weights is not beside the project")
    return SHARED


@pytest.fixture(scope="session")
def embedded() -> PretrainedModel:
    return load("tiny-imagenet")


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory, embedded: PretrainedModel) -> Path:
    """A checkpoint of the embedded network for 64 pixels, where explanations take a sixth of the time."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    preprocessing = replace(embedded.preprocessing, resize=64, crop=64, size=64)
    description = Description(embedded.model.variant.name, embedded.labels, preprocessing, embedded.provenance)
    save_checkpoint(path, embedded.model.state_dict(), description, embedded.means)
    return path


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    return Image.open(EXAMPLES / "espresso.jpg").convert("RGB")


@pytest.fixture(scope="session")
def random_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return caffe_onnx(tmp_path_factory.mktemp("onnx") / "googlenet-8.onnx")


@pytest.fixture
def http_server() -> Iterator[Callable[[RequestHandler], str]]:
    """Start local servers: `http_server(handle)` returns an address at which `handle` handles requests."""
    servers: list[ThreadingHTTPServer] = []

    def start(handle: RequestHandler) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                handle(self)

            do_HEAD = do_GET  # noqa: N815 - the standard library's name

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def published(random_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Replace the published file by the random one, with its size and checksum."""
    data = random_onnx.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    files = tuple(HubFile(file.repository, file.name, len(data), digest) for file in zoo.GOOGLENET_FILES)
    monkeypatch.setattr(zoo, "GOOGLENET_FILES", files)
    return data


@pytest.fixture(scope="session")
def page_address() -> Iterator[str]:
    """The address of the page, served on a free port."""
    from inception.pretrained.zoo import MODEL_NAMES
    from inception.runtime.device import choose_device
    from inception.service.service import InferenceService
    from inception.web.blocks import build
    from support.launched import launch

    page = build(InferenceService(MODEL_NAMES, choose_device("cpu")))
    address = launch(page)
    yield address
    page.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, page_address: str, request: pytest.FixtureRequest) -> Iterator[StageVisit]:
    """A visit to the stage in a new window; the test opens the page."""
    options = {"viewport": {"width": 1440, "height": 900}, "locale": "en-US", "reduced_motion": "reduce"}
    context = browser.new_context(**{**options, **getattr(request, "param", {})})
    visit = StageVisit(context, page_address)
    yield visit
    context.close()
    assert visit.foreign_requests == [], "the stage sends requests only to its own server"
    assert visit.errors == []


@pytest.fixture
def api_visit(browser: Browser, page_address: str) -> Iterator[ApiVisit]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-US")
    visit = ApiVisit(context, page_address)
    yield visit
    context.close()
    assert visit.foreign_requests == []
    assert visit.errors == []
