"""Response times for other visitors during an attack: `python -m benchmarks.attacks`.

Starts the app as a user does and sends each attack once, from its own process. Meanwhile, repeats a small request, each
time on a new connection, and records its longest response time in seconds. Prints a table, and exits with status 1 if a
time is above one second. `--checkout FOLDER` measures another version of the project.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from .measure import machine
from .start import ROOT, running_server

ALLOWED_SECONDS = 1.0
TIMEOUT_SECONDS = 300
PAUSE_SECONDS = 0.02  # between two small requests
MEGABYTE = 2**20
SMALL_REQUEST = "/gradio_api/app_id"
JSON = "Content-Type: application/json"
FORM = "Content-Type: multipart/form-data; boundary=part"
MCP = (JSON, "Accept: application/json, text/event-stream")
FILE = b'--part\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'


@dataclass(frozen=True)
class Attack:
    """One request; `body` returns its body, given the path of a file that the attacker has uploaded."""

    name: str
    path: str
    body: Callable[[str], bytes]
    headers: Sequence[str] = (JSON,)
    method: str = "POST"
    chunk: int = 0  # bytes in each chunk; 0 for a body with Content-Length


@dataclass(frozen=True)
class Outcome:
    """Result of an attack.

    Attributes:
        name: of the attack.
        size: of its body, or of its head if it has none, in bytes.
        seconds: longest response time of another visitor's small request.
        status: HTTP status of the attack; 0 without a response.
        sentence: error message of the response, or why there was none.
    """

    name: str
    size: int
    seconds: float
    status: int
    sentence: str


def call(*values: str) -> bytes:
    """Return the body of a call with these values, each written as JSON."""
    return b'{"data":[%s]}' % ",".join(values).encode()


def fill(head: bytes, part: bytes, tail: bytes, size: int = 15 * MEGABYTE) -> bytes:
    """Return a body of at most `size` bytes that repeats `part`."""
    return head + part * ((size - len(head) - len(tail)) // len(part)) + tail


def tool(arguments: bytes) -> bytes:
    """Return the body of an MCP tool call."""
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"predict","arguments":%s}}' % arguments


def photo(megabytes: float) -> str:
    """Return a photo as a `data:` address, as JSON; its content is noise."""
    data = b64encode(os.urandom(int(megabytes * MEGABYTE) * 3 // 4)).decode()
    return json.dumps({"url": f"data:image/jpeg;base64,{data}", "meta": {"_type": "gradio.FileData"}})


PREDICT, VOTES, JOIN, UPLOAD = (
    f"/gradio_api/{name}" for name in ("call/predict", "call/branch_votes", "queue/join", "upload")
)
TINY = '"tiny-imagenet"'
ATTACKS = (
    Attack("a path of 1 MB", PREDICT, lambda _: call(json.dumps({"path": "/" + "a/" * 500_000}), TINY, "3")),
    Attack("a path of 15 MB", PREDICT, lambda _: fill(b'{"data":[{"path":"/', b"a/", b'"}]}')),
    Attack(
        "an uploaded path 120,000 times", PREDICT, lambda uploaded: call(*[json.dumps({"path": uploaded})] * 120_000)
    ),
    Attack("empty objects", PREDICT, lambda _: fill(b'{"data":[{}', b",{}", b"]}")),
    Attack("numbers", JOIN, lambda _: fill(b'{"session_hash":"a","fn_index":1,"data":[1', b",1", b"]}")),
    Attack("keys", PREDICT, lambda _: b"{%s}" % b",".join(b'"%07d":1' % number for number in range(1_200_000))),
    Attack("lists within lists", PREDICT, lambda _: fill(b'{"data":', b"[", b"")),
    Attack("a text", VOTES, lambda _: call("null", TINY, '"3a"', json.dumps("x" * 15 * MEGABYTE), '"zero"')),
    Attack("a text of escapes", PREDICT, lambda _: fill(b'{"data":["', b"\\u0041", b'"]}')),
    Attack("a number of 15 MB", PREDICT, lambda _: fill(b'{"data":[0.', b"1", b"]}")),
    Attack("blanks", PREDICT, lambda _: fill(b'{"data":[', b" ", b"]}")),
    Attack("a photo of noise", PREDICT, lambda _: call(photo(15), TINY, "3")),
    Attack("1-byte chunks", PREDICT, lambda _: fill(b'{"data":["', b"x", b'"]}', 4 * MEGABYTE), chunk=1),
    Attack("MCP: empty objects", "/gradio_api/mcp/", lambda _: tool(fill(b'{"a":[{}', b",{}", b"]}")), MCP),
    Attack("MCP: a text", "/gradio_api/mcp/", lambda _: tool(fill(b'{"model":"', b"x", b'"}')), MCP),
    Attack("MCP: a path", "/gradio_api/mcp/", lambda _: tool(fill(b'{"photo":{"path":"', b"/a", b'"}}')), MCP),
    Attack(
        "a form of 1000 files",
        UPLOAD,
        lambda _: (FILE + b"x\r\n") * 1000 + b"--part--\r\n",
        (FORM,),
    ),
    Attack("a form of line ends", UPLOAD, lambda _: fill(FILE, b"\r\n", b"", 39 * MEGABYTE), (FORM,)),
    Attack(
        "a form of boundaries",
        UPLOAD,
        lambda _: fill(FILE, b"\r\n--parx", b"", 39 * MEGABYTE),
        (FORM,),
    ),
    Attack(
        "a form in Punycode",
        UPLOAD,
        lambda _: fill(b'--part\r\nContent-Disposition: form-data; name="a"\r\n\r\n-', b"a", b"\r\n--part--\r\n"),
        (f"{FORM}; charset=punycode",),
    ),
    Attack(
        "a login of &", "/login", lambda _: b"&" * 15 * MEGABYTE, ("Content-Type: application/x-www-form-urlencoded",)
    ),
    Attack("a header of 30 MB", SMALL_REQUEST, lambda _: b"", ("X-Long: " + "a" * 30 * MEGABYTE,), "GET"),
    Attack("an address of 30 MB", SMALL_REQUEST + "?" + "a" * 30 * MEGABYTE, lambda _: b"", (), "GET"),
    Attack("an address of 60 kB", "/gradio_api/file=/" + "a/" * 30_000, lambda _: b"", (), "GET"),
    Attack("60 kB of languages", "/config", lambda _: b"", ("Accept-Language: " + "a;q=1," * 10_000,), "GET"),
)


def send(
    address: str, attack: Attack, uploaded: str, results: multiprocessing.SimpleQueue[tuple[int, int, str]]
) -> None:
    """Send one attack; put its size into `results` at the start, and size, status and sentence at the end."""
    body, server = attack.body(uploaded), urlsplit(address)
    length = "Transfer-Encoding: chunked" if attack.chunk else f"Content-Length: {len(body)}"
    lines = [f"{attack.method} {attack.path} HTTP/1.1", f"Host: {server.netloc}", "Connection: close", *attack.headers]
    head = "\r\n".join([*lines, length, "", ""]).encode()
    size = len(body) or len(head)
    with socket.create_connection((server.hostname, server.port), TIMEOUT_SECONDS) as connection:
        # The body is complete: building it is not part of the measurement.
        results.put((size, 0, ""))
        try:
            connection.sendall(head)
            for part in _encoded(body, attack.chunk):
                connection.sendall(part)
        except ConnectionError:
            pass  # refused before all of it was sent
        try:
            response = HTTPResponse(connection, method=attack.method)
            response.begin()
            status, sentence = response.status, _sentence(response.read(10_000))
        except (OSError, ValueError, HTTPException) as error:
            status, sentence = 0, type(error).__name__
    results.put((size, status, sentence))


def _encoded(body: bytes, chunk: int) -> Iterator[bytes]:
    """Yield the body as it is sent, in chunked encoding if `chunk` is not 0."""
    if not chunk:
        yield body
        return
    chunks = (body[start : start + chunk] for start in range(0, len(body), chunk))
    yield b"".join(b"%x\r\n%s\r\n" % (len(data), data) for data in chunks) + b"0\r\n\r\n"


def _sentence(body: bytes) -> str:
    """Return the error message in the body of a response."""
    try:
        content = json.loads(body)
    except ValueError:
        return body.decode(errors="replace").strip()[:80]
    error = content.get("error", content) if isinstance(content, dict) else content
    return str(error.get("message", error) if isinstance(error, dict) else error)


def time_small_request(address: str) -> float:
    """Return the response time of a small request in seconds, at most `TIMEOUT_SECONDS`."""
    server, start = urlsplit(address), time.monotonic()
    connection = HTTPConnection(server.hostname or "", server.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", SMALL_REQUEST)
        connection.getresponse().read()
    except TimeoutError:
        pass
    except OSError as error:
        raise SystemExit("The server no longer responds; see its log.") from error
    finally:
        connection.close()
    return time.monotonic() - start


def measure(address: str, attack: Attack, uploaded: str) -> Outcome:
    """Send an attack; repeat the small request until the response to the attack, and once more."""
    results: multiprocessing.SimpleQueue[tuple[int, int, str]] = multiprocessing.SimpleQueue()
    sender = multiprocessing.Process(target=send, args=(address, attack, uploaded, results), daemon=True)
    sender.start()
    results.get()
    longest, deadline = 0.0, time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline and results.empty():
        longest = max(longest, time_small_request(address))
        time.sleep(PAUSE_SECONDS)
    size, status, sentence = (0, 0, "no response") if results.empty() else results.get()
    sender.kill()
    sender.join()
    return Outcome(attack.name, size, max(longest, time_small_request(address)), status, sentence)


def row(outcome: Outcome) -> str:
    """Return a row of the table, in Markdown."""
    size = f"{outcome.size / MEGABYTE:.1f} MB" if outcome.size > MEGABYTE / 2 else f"{outcome.size / 1024:.0f} kB"
    return f"| {outcome.name} | {size} | {outcome.seconds:.2f} | {outcome.status or '–'} | {outcome.sentence} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of attacks (default: all)")
    parser.add_argument(
        "--checkout", type=Path, default=ROOT, help="version of the project to measure (default: this one)"
    )
    options = parser.parse_args(arguments)
    print(machine())
    print("| attack | size | longest time for others, s | status | error message |")
    print("|---|---:|---:|---|---|", flush=True)
    longest = 0.0
    with (
        tempfile.TemporaryFile("w+") as log,
        running_server("--device", "cpu", "--mcp", log=log, root=options.checkout) as (
            address,
            _,
        ),
    ):
        response = httpx.post(f"{address}/gradio_api/upload", files={"files": ("own.jpg", b"\xff\xd8")})
        (uploaded,) = response.raise_for_status().json()
        for attack in ATTACKS:
            if not options.names or attack.name in options.names:
                outcome = measure(address, attack, uploaded)
                print(row(outcome), flush=True)
                longest = max(longest, outcome.seconds)
        size = log.seek(0, os.SEEK_END)
    print(f"\nLongest time: {longest:.2f} s. Written to the log: {size / 1024:.0f} kB.")
    return int(longest > ALLOWED_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
