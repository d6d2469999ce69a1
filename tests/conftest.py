"""What several test files need: networks with lively weights, a GoogLeNet in ONNX, a hub on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import urllib.parse
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser
from torch import nn
from visitor import Visit

from benchmarks.browser import chromium
from benchmarks.peers import caffe_onnx
from inception.pretrained import zoo
from inception.pretrained.hub import HubFile
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
EXAMPLES = ROOT / "examples"

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


@pytest.fixture(autouse=True)
def quiet_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees this machine's weights or caches."""
    monkeypatch.delenv("INCEPTION_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder shared/ with the real ImageNet weights does not lie beside the project")
    return SHARED


@pytest.fixture(scope="session")
def embedded() -> PretrainedModel:
    return load("tiny-imagenet")


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    return Image.open(EXAMPLES / "espresso.jpg").convert("RGB")


def in_a_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """What comes of a coroutine. Playwright leaves its event loop running in the tests' own thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and BatchNorm statistics with which activations stay of order one and depend on the photo."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: torch.Tensor, low: float, high: float) -> None:
        tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5)
            if module.bias is not None:
                draw(module.bias, -0.1, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            draw(module.weight, 0.8, 1.2)
            draw(module.bias, -0.2, 0.2)
            draw(module.running_mean, -0.2, 0.2)
            draw(module.running_var, 0.7, 1.3)
    return model.eval()


@pytest.fixture(scope="session")
def random_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return caffe_onnx(tmp_path_factory.mktemp("onnx") / "googlenet-8.onnx")


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def http_server() -> Iterator[Callable[[Answer], str]]:
    """Start servers on this machine: `http_server(answer)` gives an address at which `answer` is asked."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

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


class Hub:
    """As much of the Hugging Face hub as `hf_hub_download` asks for."""

    def __init__(self, files: dict[str, bytes], *, cut_at: int | None = None) -> None:
        self.files, self.cut_at, self.asked = files, cut_at, 0

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        repository, _, name = urllib.parse.unquote(request.path).strip("/").partition("/resolve/main/")
        data = self.files.get(f"{repository}/{name}")
        if data is None:
            request.send_response(404)
            request.send_header("X-Error-Code", "RepoNotFound")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        digest, wanted = hashlib.sha256(data).hexdigest(), request.headers.get("Range")
        if wanted:
            # What was begun another time is gone on with: "bytes=1000-".
            start, whole = int(wanted.removeprefix("bytes=").partition("-")[0]), len(data)
            data = data[start:]
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        else:
            request.send_response(200)
        request.send_header("ETag", f'"{digest}"')
        request.send_header("X-Repo-Commit", "0" * 40)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(data[: self.cut_at])


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def published(random_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The random file takes the place of the published one: the checks run for real, on its own checksum."""
    data = random_onnx.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    files = tuple(HubFile(file.repository, file.name, len(data), digest) for file in zoo.GOOGLENET_FILES)
    monkeypatch.setattr(zoo, "GOOGLENET_FILES", files)
    return data


@pytest.fixture(scope="session")
def page_address() -> Iterator[str]:
    """The page, served for real on a free port."""
    from inception.pretrained.zoo import MODEL_NAMES
    from inception.runtime.device import choose_device
    from inception.service.service import InferenceService
    from inception.web.blocks import build, launch_options

    page = build(InferenceService(MODEL_NAMES, choose_device("cpu")))
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield address
    page.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, page_address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    options = {"viewport": {"width": 1440, "height": 1000}, "locale": "en-US", **getattr(request, "param", {})}
    context = browser.new_context(**options)
    visit = Visit(context, page_address)
    yield visit
    context.close()
    assert visit.foreign == [], "the page asks nobody but its own server"
    assert visit.complaints == []
