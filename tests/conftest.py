"""What several test files need: networks with lively weights, a GoogLeNet in ONNX, a hub on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from torch import nn
from visitor import ARGUMENTS, CHROMIUM, Visit

from inception.model import BLOCKS
from inception.weights import Pretrained, load

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
def embedded() -> Pretrained:
    return load("tiny-imagenet")


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    return Image.open(EXAMPLES / "espresso.jpg").convert("RGB")


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


def caffe_onnx(path: Path, *, seed: int = 0, with_shape_constant: bool = True) -> Path:
    """A GoogLeNet with random weights, written as the ONNX model zoo names it, by code that knows nothing of ours."""
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []

    def tensor(name: str, values: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(x: str, name: str, cin: int, cout: int, kernel: int, stride: int = 1) -> str:
        scale = (2 / (cin * kernel * kernel)) ** 0.5
        weight = tensor(f"{name}_w_0", rng.standard_normal((cout, cin, kernel, kernel)) * scale)
        bias = tensor(f"{name}_b_0", rng.uniform(-0.1, 0.1, cout))
        pads = [kernel // 2] * 4
        nodes.append(
            helper.make_node(
                "Conv", [x, weight, bias], [f"{name}_1"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads
            )
        )
        nodes.append(helper.make_node("Relu", [f"{name}_1"], [f"{name}_2"]))
        return f"{name}_2"

    def pool(x: str, name: str, stride: int, pads: list[int]) -> str:
        nodes.append(helper.make_node("MaxPool", [x], [name], kernel_shape=[3, 3], strides=[stride] * 2, pads=pads))
        return name

    def norm(x: str, name: str) -> str:
        nodes.append(helper.make_node("LRN", [x], [name], size=5, alpha=1e-4, beta=0.75, bias=1.0))
        return name

    shrink = [0, 0, 1, 1]  # what ceil mode comes to on the even sizes of a 224 pixel photo
    x = conv("data_0", "conv1/7x7_s2", 3, 64, 7, 2)
    x = norm(pool(x, "pool1", 2, shrink), "norm1")
    x = conv(x, "conv2/3x3_reduce", 64, 64, 1)
    x = norm(conv(x, "conv2/3x3", 64, 192, 3), "norm2")
    x = pool(x, "pool2", 2, shrink)
    outputs = []
    for block, (cin, n1, (r3, n3), (r5, n5), proj) in BLOCKS.items():
        if block in ("4a", "5a"):
            x = pool(x, f"pool_before_{block}", 2, shrink)
        at = f"inception_{block}"
        branches = [
            conv(x, f"{at}/1x1", cin, n1, 1),
            conv(conv(x, f"{at}/3x3_reduce", cin, r3, 1), f"{at}/3x3", r3, n3, 3),
            conv(conv(x, f"{at}/5x5_reduce", cin, r5, 1), f"{at}/5x5", r5, n5, 5),
            conv(pool(x, f"{at}/pool", 1, [1] * 4), f"{at}/pool_proj", cin, proj, 1),
        ]
        x = f"{at}/output_1"
        nodes.append(helper.make_node("Concat", branches, [x], axis=1))
        outputs.append(x)
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["average"]))
    nodes.append(helper.make_node("Flatten", ["average"], ["flat"]))
    weight = tensor("loss3/classifier_w_0", rng.standard_normal((1000, 1024)) * (1 / 1024) ** 0.5)
    bias = tensor("loss3/classifier_b_0", rng.uniform(-0.1, 0.1, 1000))
    nodes.append(helper.make_node("Gemm", ["flat", weight, bias], ["loss3/classifier_1"], transB=1))
    outputs.append("loss3/classifier_1")
    if with_shape_constant:
        tensors.append(numpy_helper.from_array(np.array([-1, 1024], dtype=np.int64), "OC2_DUMMY_1"))
    graph = helper.make_graph(
        nodes,
        "googlenet",
        [helper.make_tensor_value_info("data_0", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8), path)
    return path


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


@pytest.fixture(scope="session")
def page_address() -> Iterator[str]:
    """The page, served for real on a free port."""
    from inception.device import choose_device
    from inception.page.build import build, launch_options
    from inception.page.studio import Studio
    from inception.weights import NAMES

    page = build(Studio(NAMES, choose_device("cpu")))
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield address
    page.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, page_address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    options = {"viewport": {"width": 1440, "height": 1000}, "locale": "en-US", **getattr(request, "param", {})}
    context = browser.new_context(**options)
    visit = Visit(context, page_address)
    yield visit
    context.close()
    assert visit.foreign == [], "the page asks nobody but its own server"
    assert visit.complaints == []
