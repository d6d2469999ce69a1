"""`python app.py` as a user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import torch
from conftest import EXAMPLES, ROOT, lively
from gradio_client import Client, handle_file

from inception import weights
from inception.model import InceptionV1
from inception.preprocessing import IMAGENET


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(address: str, app: subprocess.Popen[str]) -> None:
    for _ in range(120):
        assert app.poll() is None, app.stderr.read() if app.stderr else "the app ended"
        try:
            urllib.request.urlopen(address, timeout=5).read()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError("the page did not come up")


def test_the_app_serves_a_users_own_model_on_the_port_that_gradio_is_told(tmp_path: Path) -> None:
    description = weights.Description("batchnorm", ("cat", "dog"), IMAGENET, weights.UNKNOWN)
    weights.save(tmp_path / "pets.safetensors", lively(InceptionV1(classes=2)).state_dict(), description)
    port = free_port()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--model", str(tmp_path / "pets.safetensors"), "--device", "cpu"],
        cwd=ROOT,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}", app)
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        told = client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "pets.safetensors", 5, api_name="/predict")
        assert sorted(row["label"] for row in told["top"]) == ["cat", "dog"]
    finally:
        app.terminate()
        app.wait(timeout=20)


def test_the_app_starts_on_what_it_has_when_weights_cannot_be_fetched(tmp_path: Path) -> None:
    port = free_port()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--model", "googlenet", "--device", "cpu"],
        cwd=ROOT,
        env={
            **os.environ,
            "GRADIO_SERVER_PORT": str(port),
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "HF_HOME": str(tmp_path / "hub"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}", app)
        assert (
            Client(f"http://127.0.0.1:{port}", verbose=False).predict(api_name="/models")[0]["model"] == "tiny-imagenet"
        )
    finally:
        app.terminate()
        _, said = app.communicate(timeout=20)
    assert "could not be fetched" in said
    assert "Traceback" not in said


def test_the_app_says_at_once_what_is_wrong_with_a_model(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "other.pth")
    for model, said in ((tmp_path / "other.pth", "is not the network it should be"), ("vgg", "choose one of")):
        run = subprocess.run(
            [sys.executable, "app.py", "--model", str(model)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert run.returncode == 2
        assert said in run.stderr
        assert "Traceback" not in run.stderr


WATCHED = """
import os, runpy, socket, sys
log = open(sys.argv[1], "a", buffering=1)
def local(host): return str(host) in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "None", "")
lookup, connect = socket.getaddrinfo, socket.socket.connect
def watched_lookup(host, *rest, **named):
    local(host) or log.write(f"lookup {host}\\n")
    return lookup(host, *rest, **named)
def watched_connect(self, address):
    isinstance(address, tuple) and (local(address[0]) or log.write(f"connect {address}\\n"))
    return connect(self, address)
socket.getaddrinfo, socket.socket.connect = watched_lookup, watched_connect
sys.argv = ["app.py", "--device", "cpu"]
runpy.run_path("app.py", run_name="__main__")
"""


def test_the_server_asks_nobody_on_the_network(tmp_path: Path) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "GRADIO_ANALYTICS_ENABLED"}
    log = tmp_path / "asked.log"
    log.touch()
    app = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(log)],
        cwd=ROOT,
        env={**environment, "GRADIO_SERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}", app)
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 5, api_name="/predict")
    finally:
        app.terminate()
        app.wait(timeout=20)
    assert log.read_text() == ""
