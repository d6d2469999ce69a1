"""`python app.py` as a user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
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
    end = time.monotonic() + 240
    while time.monotonic() < end:
        assert app.poll() is None, app.stderr.read() if app.stderr else "the app ended"
        try:
            urllib.request.urlopen(address, timeout=5).read()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError("the page did not come up")


@contextmanager
def running(*command: object, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The app in a process of its own, once its page is up: the address, and the process."""
    port = free_port()
    app = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}", app)
        yield f"http://127.0.0.1:{port}", app
    finally:
        app.terminate()
        app.wait(timeout=60)


def test_the_app_serves_a_users_own_model_on_the_port_that_gradio_is_told(tmp_path: Path) -> None:
    description = weights.Description("batchnorm", ("cat", "dog"), IMAGENET, weights.UNKNOWN)
    weights.save(tmp_path / "pets.safetensors", lively(InceptionV1(classes=2)).state_dict(), description)
    with running("app.py", "--model", tmp_path / "pets.safetensors", "--device", "cpu") as (address, _):
        told = Client(address, verbose=False).predict(
            handle_file(str(EXAMPLES / "bison.jpg")), "pets.safetensors", 5, api_name="/predict"
        )
    assert sorted(row["label"] for row in told["top"]) == ["cat", "dog"]


def test_the_app_starts_on_what_it_has_when_weights_cannot_be_fetched(tmp_path: Path) -> None:
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    with running("app.py", "--model", "googlenet", "--device", "cpu", **offline) as (address, app):
        assert Client(address, verbose=False).predict(api_name="/models")[0]["model"] == "tiny-imagenet"
    said = app.stderr.read() if app.stderr else ""
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


def test_the_server_asks_nobody_on_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED")
    log = tmp_path / "asked.log"
    log.touch()
    with running("-c", WATCHED, log) as (address, _):
        client = Client(address, verbose=False)
        client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 5, api_name="/predict")
    assert log.read_text() == ""
