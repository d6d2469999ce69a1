"""The app, run in a subprocess."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from support.paths import ROOT


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def has_ipv6() -> bool:
    """Whether this machine has the address ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def wait_for(address: str, app: subprocess.Popen[str]) -> None:
    """Wait until the page of the app responds."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert app.poll() is None, app.stderr.read() if app.stderr else "the app ended"
        try:
            urllib.request.urlopen(address, timeout=5).read()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the page did not come up")


@contextmanager
def started(*command: object, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the app on a free port without waiting for it; yield its address and the process."""
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
        yield f"http://127.0.0.1:{port}", app
    finally:
        app.terminate()
        app.wait(timeout=60)


@contextmanager
def running(*command: object, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the app and wait for its page; yield its address and the process."""
    with started(*command, **environment) as (address, app):
        wait_for(address, app)
        yield address, app
