"""`python app.py` as a user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from gradio_client import Client, handle_file

from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.pretrained.zoo import GOOGLENET_FILE_NAMES
from inception.vision.preprocessing import IMAGENET
from support.networks import lively
from support.paths import EXAMPLES, ROOT
from support.server import free_port, running, wait_for
from support.stage import told


def test_the_app_serves_a_users_own_model_on_the_port_that_gradio_is_told(tmp_path: Path) -> None:
    description = Description("batchnorm", ("cat", "dog"), IMAGENET, UNKNOWN_PROVENANCE)
    checkpoint.save_checkpoint(tmp_path / "pets.safetensors", lively(InceptionV1(classes=2)).state_dict(), description)
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
    for model, said in ((tmp_path / "other.pth", "has the wrong tensors"), ("vgg", "choose one of")):
        run = subprocess.run(
            [sys.executable, "app.py", "--model", str(model)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert run.returncode == 2
        assert said in run.stderr
        assert "Traceback" not in run.stderr


def refused(*options: str, **environment: str) -> str:
    """What the app says, which ends with status 2 before it has loaded anything that takes time."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "app.py", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    imported = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    said = "\n".join(line for line in run.stderr.splitlines() if not line.startswith("import time:"))
    assert run.returncode == 2
    assert "Traceback" not in said
    assert not [line for line in imported if line.split("|")[-1].strip() in ("torch", "gradio")]
    return said


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_port_that_is_taken_is_an_error_and_no_other_is_taken_instead(way: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused("--port", port) if way == "option" else refused(GRADIO_SERVER_PORT=port)
    assert said == f"The port {port} is taken by another program; please stop that, or name another port with --port."


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80.5", "", "７８６０", "9" * 5000])
def test_what_is_no_port_is_refused_in_a_sentence(port: str) -> None:
    said = refused("--port", port)
    assert "it must be a whole number from 1 to 65535" in said
    assert len(said.splitlines()[-1]) < 250
    if port:  # an empty variable is none
        said = refused(GRADIO_SERVER_PORT=port)
        assert said.startswith("GRADIO_SERVER_PORT: the port is ")
        assert "it must be a whole number from 1 to 65535" in said
        assert len(said) < 250


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "a..b", "x" * 300, "127.0.0.1:80", "é\n"])
def test_what_is_no_host_of_this_machine_is_refused_in_a_sentence(host: str) -> None:
    for said in (refused("--host", host), refused(GRADIO_SERVER_NAME=host)):
        assert said.startswith("The host ")
        assert "is not an address of this machine; please name one with --host" in said
        assert len(said) < 250


def test_the_options_name_host_and_port_and_overrule_the_environment() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, elsewhere = free_port(), str(taken.getsockname()[1])
        command = ["app.py", "--device", "cpu", "--host", "127.0.0.2", "--port", str(port)]
        environment = {**os.environ, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": elsewhere}
        app = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(f"http://127.0.0.2:{port}/healthz", app)
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5)
        finally:
            app.terminate()
            assert app.wait(60) == 0


def test_the_health_check_is_small_and_keeps_no_state(page_address: str) -> None:
    for method in ("GET", "HEAD"):
        asked = urllib.request.Request(f"{page_address}healthz", method=method)
        with urllib.request.urlopen(asked, timeout=60) as told:
            assert told.status == 200
            assert told.read() == (b'{"status":"ok"}' if method == "GET" else b"")
            assert told.headers["cache-control"] == "no-store"
            assert "set-cookie" not in told.headers
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{page_address}healthz", data=b"", timeout=60)


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


@pytest.mark.parametrize(("host", "reached"), [("::1", "::1"), ("[::1]", "::1"), ("::", "::1")])
def test_the_page_is_served_on_ipv6(host: str, reached: str) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    port = free_port()
    command = [sys.executable, "app.py", "--device", "cpu", "--host", host, "--port", str(port)]
    app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(f"http://[{reached}]:{port}/healthz", app)
    finally:
        app.terminate()
        said, complaints = app.communicate(timeout=60)
    assert app.returncode == 0
    assert said == f"The page is at http://[{reached}]:{port}/\n"
    assert "Traceback" not in complaints


def test_the_page_begins_with_the_network_that_is_named(tmp_path: Path) -> None:
    (tmp_path / GOOGLENET_FILE_NAMES[0]).write_bytes(b"")  # it seems to be here, and is never opened
    command = ("app.py", "--model", "tiny-imagenet", "--device", "cpu")
    with running(*command, INCEPTION_WEIGHTS_DIR=str(tmp_path)) as (address, _):
        start = told(f"{address}/", "start")
    assert start["models"][1] == {"name": "googlenet", "available": True, "megabytes": None}
    assert start["first"] == "tiny-imagenet"
