"""`python app.py`: start, host and port, errors and health check."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import torch
from gradio_client import Client, handle_file

from inception.cli.serve import Request, service_for
from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.pretrained.zoo import GOOGLENET_FILE_NAMES
from inception.runtime.address import Address, address
from inception.vision.preprocessing import IMAGENET
from inception.web.http.starting import StartingPage
from inception.web.stage import network
from inception.web.stage.assets import example_photos
from support.command import run_inception
from support.networks import randomise
from support.paths import EXAMPLES, ROOT
from support.server import free_port, has_ipv6, running, wait_for


def test_the_app_serves_a_users_own_model_on_the_port_of_the_environment(tmp_path: Path) -> None:
    description = Description("batchnorm", ("cat", "dog"), IMAGENET, UNKNOWN_PROVENANCE)
    checkpoint.save_checkpoint(
        tmp_path / "pets.safetensors", randomise(InceptionV1(classes=2)).state_dict(), description
    )
    with running("app.py", "--model", tmp_path / "pets.safetensors", "--device", "cpu") as (address, _):
        response = Client(address, verbose=False).predict(
            handle_file(str(EXAMPLES / "bison.jpg")), "pets.safetensors", 5, api_name="/predict"
        )
    assert sorted(row["label"] for row in response["top"]) == ["cat", "dog"]


def test_the_app_starts_with_other_weights_if_a_download_fails(tmp_path: Path) -> None:
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    with running("app.py", "--model", "googlenet", "--device", "cpu", **offline) as (address, app):
        assert Client(address, verbose=False).predict(api_name="/models")[0]["model"] == "tiny-imagenet"
    stderr = app.stderr.read() if app.stderr else ""
    assert "could not be fetched" in stderr
    assert "Traceback" not in stderr


def test_an_unusable_model_is_reported_at_start(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "other.pth")
    for model, message in ((tmp_path / "other.pth", "has the wrong tensors"), ("vgg", "choose one of")):
        run = run_inception("serve", "--model", model)
        assert run.returncode == 2
        assert message in run.stderr
        assert "Traceback" not in run.stderr


def rejection_message(*options: str, **environment: str) -> str:
    """Return the error message of the app, which exits with status 2 before it imports torch or Gradio."""
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
    message = "\n".join(line for line in run.stderr.splitlines() if not line.startswith("import time:"))
    assert run.returncode == 2
    assert "Traceback" not in message
    assert not [line for line in imported if line.split("|")[-1].strip() in ("torch", "gradio")]
    return message


@pytest.mark.parametrize("source", ["option", "environment"])
def test_an_occupied_port_is_an_error_and_no_other_is_used(source: str) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = str(occupied.getsockname()[1])
        message = (
            rejection_message("--port", port) if source == "option" else rejection_message(GRADIO_SERVER_PORT=port)
        )
    assert (
        message == f"The port {port} is taken by another program; please stop that, or name another port with --port."
    )


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80.5", "", "７８６０", "9" * 5000])
def test_invalid_ports_are_rejected_in_a_sentence(port: str) -> None:
    message = rejection_message("--port", port)
    assert "it must be a whole number from 1 to 65535" in message
    assert len(message.splitlines()[-1]) < 250
    if port:  # an empty variable counts as unset
        message = rejection_message(GRADIO_SERVER_PORT=port)
        assert message.startswith("GRADIO_SERVER_PORT: the port is ")
        assert "it must be a whole number from 1 to 65535" in message
        assert len(message) < 250


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "a..b", "x" * 300, "127.0.0.1:80", "é\n"])
def test_hosts_other_than_this_machine_are_rejected_in_a_sentence(host: str) -> None:
    for message in (rejection_message("--host", host), rejection_message(GRADIO_SERVER_NAME=host)):
        assert message.startswith("The host ")
        assert "is not an address of this machine; please name one with --host" in message
        assert len(message) < 250


def test_host_and_port_options_override_the_environment() -> None:
    port = free_port()
    command = ["app.py", "--device", "cpu", "--host", "127.0.0.2", "--port", str(port)]
    environment = {**os.environ, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": "http"}
    app = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(f"http://127.0.0.2:{port}/healthz", app)
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5)
    finally:
        app.terminate()
        assert app.wait(60) == 0


def test_a_port_option_is_taken_where_that_of_the_environment_is_occupied(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(occupied.getsockname()[1]))
        port = free_port()
        assert address(None, port) == Address("127.0.0.1", port)


def test_the_health_check_is_small_and_stateless(page_address: str) -> None:
    for method in ("GET", "HEAD"):
        request = urllib.request.Request(f"{page_address}healthz", method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200
            assert response.read() == (b'{"status":"ok"}' if method == "GET" else b"")
            assert response.headers["cache-control"] == "no-store"
            assert "set-cookie" not in response.headers
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{page_address}healthz", data=b"", timeout=60)


NETWORK_LOGGER = """
import os, runpy, socket, sys
log = open(sys.argv[1], "a", buffering=1)
def local(host): return str(host) in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "None", "")
lookup, connect = socket.getaddrinfo, socket.socket.connect
def logged_lookup(host, *args, **kwargs):
    local(host) or log.write(f"lookup {host}\\n")
    return lookup(host, *args, **kwargs)
def logged_connect(self, address):
    isinstance(address, tuple) and (local(address[0]) or log.write(f"connect {address}\\n"))
    return connect(self, address)
socket.getaddrinfo, socket.socket.connect = logged_lookup, logged_connect
sys.argv = ["app.py", "--device", "cpu"]
runpy.run_path("app.py", run_name="__main__")
"""


def test_the_server_connects_to_no_other_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED")
    log = tmp_path / "network.log"
    log.touch()
    with running("-c", NETWORK_LOGGER, log) as (address, _):
        client = Client(address, verbose=False)
        client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 5, api_name="/predict")
    assert log.read_text() == ""


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_page_is_served_on_ipv6() -> None:
    port = free_port()
    command = [sys.executable, "app.py", "--device", "cpu", "--host", "[::1]", "--port", str(port)]
    app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(f"http://[::1]:{port}/healthz", app)
    finally:
        app.terminate()
        stdout, stderr = app.communicate(timeout=60)
    assert app.returncode == 0
    assert stdout == f"The page is at http://[::1]:{port}/\n"
    assert "Traceback" not in stderr


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_ipv6_addresses_are_listened_on(host: str) -> None:
    with closing(StartingPage(address(host, free_port()))) as page:
        assert httpx.get(f"http://[::1]:{page.address.port}/healthz").status_code == 503


def test_the_page_starts_with_the_requested_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / GOOGLENET_FILE_NAMES[0]).write_bytes(b"")  # an existing file that is never opened
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path))
    service, _ = service_for(request_for("tiny-imagenet"))
    start = network.start(service, example_photos())
    assert start["models"][1] == {"name": "googlenet", "available": True, "megabytes": None}
    assert start["first"] == "tiny-imagenet"


def request_for(model: str) -> Request:
    return Request(model, None, None, "cpu", "exact", 60, mcp=False, scale=None, ray_address=None)


def test_the_page_begins_with_the_network_that_replaces_an_unusable_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / GOOGLENET_FILE_NAMES[0]).write_bytes(b"no weights")
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(tmp_path))
    service, models = service_for(request_for("googlenet"))
    assert "The page begins with tiny-imagenet." in caplog.text
    assert network.start(service, example_photos())["first"] == "tiny-imagenet"
    assert models == service.models
