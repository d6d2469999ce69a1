"""Start-up time: `python -m benchmarks.start`.

- `start`: from `python app.py` until its page is served, with the embedded model loaded, in units of importing torch,
  torchvision and gradio.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from .measure import Row, compare, machine

ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 600


@contextmanager
def running_server(
    *arguments: str, module: str = "", log: IO[str] | None = None, root: Path = ROOT
) -> Iterator[tuple[str, int]]:
    """Run app.py as a user does, or `module`; yield its address and process id.

    `log` receives standard error; `root` is the checkout to start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    process = subprocess.Popen(
        [sys.executable, *(("-m", module) if module else ("app.py",)), *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, process)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(address, timeout=TIMEOUT_SECONDS) as page:
                page.read()
            return
        except OSError:  # not listening yet, or the starting page has just been replaced by the app
            time.sleep(0.02)
    raise RuntimeError("The page did not start.")


def start_app() -> None:
    with running_server():
        pass


def import_libraries() -> None:
    subprocess.run([sys.executable, "-c", "import torch, torchvision, gradio"], check=True)


def rows(rounds: int = 5) -> list[Row]:
    return [compare("start", start_app, import_libraries, bound=1.05, rounds=rounds, warm_up=1)]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
