"""Ctrl+C at any time: one line on stderr, exit status 130, no traceback and no partial file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inception.cli.main import run
from inception.pretrained.zoo import GOOGLENET_FILES
from inception.runtime.files import write_file
from support.paths import EXAMPLES, ROOT

TIMEOUT_SECONDS = 200
BISON = EXAMPLES / "bison.jpg"


@contextmanager
def started(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start the command line in its own process, and kill it at the end if it still runs."""
    command = [sys.executable, "-m", "inception", *map(str, arguments)]
    environment = {**os.environ, **options.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as run:
        try:
            yield run
        finally:
            run.kill()


def wait_until(condition: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert run.poll() is None, "the process ended early"
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def interrupt_process(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Send SIGINT; return exit status, stdout and stderr."""
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=TIMEOUT_SECONDS)
    return run.returncode, out, err


COMMANDS = {
    "predict": ["predict", BISON],
    "folder": ["predict", EXAMPLES, "--out", "OUT.parquet"],
    "maps": ["maps", BISON, "--block", "3a", "--out", "OUT"],
    "explain": ["explain", BISON, "--block", "3a"],
    "visualize": ["visualize", "3a:1x1:0", "--out", "OUT"],
    "atlas": ["atlas", "tiny-imagenet", "--data", EXAMPLES, "--out", "OUT"],
    "evaluate": ["evaluate", "tiny-imagenet", "--data", EXAMPLES],
    "models": ["models", "--model", "tiny-imagenet"],
    "summary": ["summary"],
    "train": ["train", "--data", EXAMPLES, "--out", "OUT"],
    "serve": ["serve"],
}
# The library whose loading marks each of these moments during the imports.
MOMENTS = {"numpy": "_multiarray_umath", "torch": "libtorch_cpu", "pillow": "_imaging"}


@pytest.mark.parametrize(
    ("name", "moment"),
    [*((name, "torch") for name in COMMANDS), *(("predict", moment) for moment in MOMENTS if moment != "torch")],
)
def test_interrupt_during_imports(name: str, moment: str, tmp_path: Path) -> None:
    arguments = [str(word).replace("OUT", str(tmp_path / "out")) for word in COMMANDS[name]]
    with started(*arguments) as run:
        mapped = Path(f"/proc/{run.pid}/maps")
        wait_until(lambda: MOMENTS[moment] in mapped.read_text(), run)
        assert interrupt_process(run) == (130, "", "Interrupted.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["predict", "--json"], ["explain", "--block", "4c"]])
def test_interrupt_between_photos_keeps_the_printed_lines(command: list[str]) -> None:
    with started(*command, *[BISON] * 2000) as run:
        assert run.stdout
        first = run.stdout.readline()
        assert "bison.jpg" in first
        status, out, err = interrupt_process(run)
    assert (status, err) == (130, "Interrupted.\n")
    lines = (first + out).splitlines()
    photos = [line for line in lines if "bison.jpg" in line]
    assert 1 <= len(photos) < 2000
    assert out == "" or out.endswith("\n"), "only complete lines are printed"


def test_interrupt_leaves_no_partial_pictures(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started("maps", *[BISON] * 500, "--block", "3a", "--out", out) as run:
        wait_until(lambda: out.is_dir() and len(list(out.iterdir())) >= 3, run)
        status, _, err = interrupt_process(run)
    assert (status, err) == (130, "Interrupted.\n")
    pictures = sorted(out.iterdir())
    assert {picture.suffix for picture in pictures} == {".png"}
    for picture in pictures:
        Image.open(picture).load()


def test_an_interrupted_write_leaves_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "picture.png"
    write_file(file, b"before")

    class Cut(bytes):
        """Data of which half is written before Ctrl+C."""

    def interrupt(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        opened_file = original_open(path, mode, *arguments, **options)
        write = opened_file.write

        class HalfWriter:
            def __enter__(self) -> HalfWriter:
                return self

            def __exit__(self, *_: object) -> None:
                opened_file.close()

            def write(self, data: bytes) -> None:
                write(data[: len(data) // 2])
                raise KeyboardInterrupt

        return HalfWriter()

    original_open = Path.open
    monkeypatch.setattr(Path, "open", interrupt)
    for name in ("picture.png", "new.png"):
        with pytest.raises(KeyboardInterrupt):
            write_file(tmp_path / name, Cut(b"what comes after"))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    assert file.read_bytes() == b"before"


def test_interrupt_in_a_terminal_during_an_evaluation(tmp_path: Path) -> None:
    for name in ("bison", "espresso"):
        (tmp_path / name).mkdir()
        for number in range(1000):
            (tmp_path / name / f"{number}.jpg").symlink_to(EXAMPLES / f"{name}.jpg")
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))

    def set_controlling_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that ^C is sent to this process

    options = {"stdin": slave, "stderr": slave, "start_new_session": True, "preexec_fn": set_controlling_terminal}
    with started("evaluate", "tiny-imagenet", "--data", tmp_path, **options) as run:
        os.close(slave)
        output = read_until(master, "1/32", run)  # from the progress bar; 64 photos a batch
        os.write(master, b"\x03")
        assert run.wait(TIMEOUT_SECONDS) == 130
        output += read_until(master, None, run)
        assert run.stdout
        assert run.stdout.read() == ""
    os.close(master)
    assert "Traceback" not in output
    last_line = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-?]*[@-~]", "", output).rstrip())[-1]
    assert last_line.strip().removeprefix("^C") == "Interrupted."


def read_until(master: int, text: str | None, run: subprocess.Popen[str]) -> str:
    """Return the terminal's output until `text` appears, or to its end."""
    output = ""
    while text is None or text not in output:
        try:
            data = os.read(master, 65536)
        except OSError:  # raised by Linux if the other end is closed
            break
        if not data:
            break
        output += data.decode(errors="replace")
    assert text is None or text in output, output
    return output


def test_interrupt_during_a_download_leaves_no_partial_weights(
    tmp_path: Path, http_server: Callable[[Callable[[BaseHTTPRequestHandler], None]], str]
) -> None:
    half_sent, released = threading.Event(), threading.Event()
    size = GOOGLENET_FILES[0].size

    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("ETag", f'"{hashlib.sha256(b"").hexdigest()}"')
        request.send_header("X-Repo-Commit", "0" * 40)
        request.send_header("Content-Length", str(size))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(bytes(size // 2))
            request.wfile.flush()
            half_sent.set()
            released.wait(TIMEOUT_SECONDS)

    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {
        "HF_ENDPOINT": http_server(respond),
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TMPDIR": str(temporary),
    }
    with started("predict", BISON, "--model", "googlenet", env=environment) as run:
        wait_until(half_sent.is_set, run)
        assert interrupt_process(run) == (130, "", "Interrupted.\n")
    released.set()
    assert list(temporary.iterdir()) == []
    remaining = [path for path in (tmp_path / "hub").rglob("*") if path.is_file() and path.stat().st_size]
    assert not [path for path in remaining if path.suffix in (".onnx", ".safetensors")]


def test_interrupt_before_the_first_checkpoint_does_not_suggest_resuming(tmp_path: Path) -> None:
    """There is no checkpoint that --resume could use."""
    data = tmp_path / "data"
    for name in ("bison", "espresso"):
        (data / name).mkdir(parents=True)
        for number in range(2000):
            (data / name / f"{number}.jpg").symlink_to(EXAMPLES / f"{name}.jpg")
    out = tmp_path / "out"
    with started("train", "--data", data, "--out", out, "--from", "scratch") as run:
        wait_until(out.is_dir, run)  # opening the photos, which comes next, takes a while
        assert interrupt_process(run) == (130, "", "Interrupted.\n")


def test_an_interrupt_while_acquiring_a_lock_is_reported_as_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    """`with lock:` raises RuntimeError if the interrupt arrives before the lock is acquired."""

    class Command:
        def make_context(self, *_: object) -> Any:
            return nullcontext()

        def invoke(self, _: object) -> int:
            raise KeyboardInterrupt

    class Unlocked(Command):
        def invoke(self, _: object) -> int:
            lock = threading.Lock()
            try:
                raise KeyboardInterrupt
            finally:
                lock.release()

    class Broken(Command):
        def invoke(self, _: object) -> int:
            threading.Lock().release()
            return 0

    for command in (Command(), Unlocked()):
        assert run(command, "program", []) == 130
        assert capsys.readouterr().err == "Interrupted.\n"
    with pytest.raises(RuntimeError, match="unlocked"):
        run(Broken(), "program", [])
