"""From the command to the first page: `python -m benchmarks.start`.

- `start`: `python app.py` until its page, which then has the embedded model, is served, in units of
  importing torch, torchvision and gradio and doing nothing with them.
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

from .measure import Row, compared, machine

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 600


@contextmanager
def served(
    *arguments: str, module: str = "", log: IO[str] | None = None, root: Path = ROOT
) -> Iterator[tuple[str, int]]:
    """The page, started as a user starts it, or what `module` serves: its address and the number of its process.

    What it says of errors goes into `log` if there is one. `root` is the checkout that is started.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
        process.wait(PATIENCE_SECONDS)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(address, timeout=PATIENCE_SECONDS) as page:
                page.read()
            return
        except OSError:  # also between the starting page and the app
            time.sleep(0.02)
    raise RuntimeError("The page did not start.")


def start() -> None:
    with served():
        pass


def libraries() -> None:
    subprocess.run([sys.executable, "-c", "import torch, torchvision, gradio"], check=True)


def rows(rounds: int = 5) -> list[Row]:
    return [compared("start", start, libraries, bound=1.05, rounds=rounds, warm_up=1)]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
