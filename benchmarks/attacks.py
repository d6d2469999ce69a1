"""How long other visitors wait while one request attacks: `python -m benchmarks.attacks`.

Starts the app as a user does, sends each attack once, from a process of its own, and meanwhile asks for something
small again and again, each time on a new connection: the longest time until that was answered, in seconds. Prints a
table and ends with 1 if it was more than one second. Another version is measured with `--checkout FOLDER`.
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
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from .measure import machine
from .start import ROOT, served

ALLOWED_SECONDS = 1.0
PATIENCE_SECONDS = 300
PAUSE_SECONDS = 0.02  # between two of the small requests
MEGABYTE = 2**20
SMALL = "/gradio_api/app_id"
JSON = "Content-Type: application/json"
FORM = "Content-Type: multipart/form-data; boundary=edge"
MCP = (JSON, "Accept: application/json, text/event-stream")
FILE = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'


@dataclass(frozen=True)
class Attack:
    """One request. `body` makes it from the path of a file that the attacker has uploaded."""

    name: str
    path: str
    body: Callable[[str], bytes]
    headers: Sequence[str] = (JSON,)
    method: str = "POST"
    chunk: int = 0  # bytes in each chunk; 0 for a body of announced length


@dataclass(frozen=True)
class Outcome:
    """What came of an attack: the size of its body, others' longest time, and what the attacker was told."""

    name: str
    size: int
    seconds: float
    status: int
    said: str


def call(*values: str) -> bytes:
    """The body of a call with these values, each JSON."""
    return b'{"data":[%s]}' % ",".join(values).encode()


def filled(head: bytes, part: bytes, tail: bytes, size: int = 15 * MEGABYTE) -> bytes:
    """`part` as often as it fits."""
    return head + part * ((size - len(head) - len(tail)) // len(part)) + tail


def tool(arguments: bytes) -> bytes:
    """A call of one of the assistants' tools."""
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"predict","arguments":%s}}' % arguments


def photo(megabytes: float) -> str:
    """A photo within the request, as JSON: noise, which is none."""
    data = b64encode(os.urandom(int(megabytes * MEGABYTE) * 3 // 4)).decode()
    return json.dumps({"url": f"data:image/jpeg;base64,{data}", "meta": {"_type": "gradio.FileData"}})


PREDICT, VOTES, JOIN, UPLOAD = (
    f"/gradio_api/{name}" for name in ("call/predict", "call/branch_votes", "queue/join", "upload")
)
TINY = '"tiny-imagenet"'
ATTACKS = (
    Attack("a path of 1 MB", PREDICT, lambda _: call(json.dumps({"path": "/" + "a/" * 500_000}), TINY, "3")),
    Attack("a path of 15 MB", PREDICT, lambda _: filled(b'{"data":[{"path":"/', b"a/", b'"}]}')),
    Attack("one's own path 120,000 times", PREDICT, lambda own: call(*[json.dumps({"path": own})] * 120_000)),
    Attack("empty objects", PREDICT, lambda _: filled(b'{"data":[{}', b",{}", b"]}")),
    Attack("numbers", JOIN, lambda _: filled(b'{"session_hash":"a","fn_index":1,"data":[1', b",1", b"]}")),
    Attack("keys", PREDICT, lambda _: b"{%s}" % b",".join(b'"%07d":1' % number for number in range(1_200_000))),
    Attack("lists within lists", PREDICT, lambda _: filled(b'{"data":', b"[", b"")),
    Attack("a text", VOTES, lambda _: call("null", TINY, '"3a"', json.dumps("x" * 15 * MEGABYTE), '"zero"')),
    Attack("a text of escapes", PREDICT, lambda _: filled(b'{"data":["', b"\\u0041", b'"]}')),
    Attack("a number of 15 MB", PREDICT, lambda _: filled(b'{"data":[0.', b"1", b"]}")),
    Attack("blanks", PREDICT, lambda _: filled(b'{"data":[', b" ", b"]}")),
    Attack("a photo that is none", PREDICT, lambda _: call(photo(15), TINY, "3")),
    Attack("1-byte chunks", PREDICT, lambda _: filled(b'{"data":["', b"x", b'"]}', 4 * MEGABYTE), chunk=1),
    Attack("MCP: empty objects", "/gradio_api/mcp/", lambda _: tool(filled(b'{"a":[{}', b",{}", b"]}")), MCP),
    Attack("MCP: a text", "/gradio_api/mcp/", lambda _: tool(filled(b'{"model":"', b"x", b'"}')), MCP),
    Attack("MCP: a path", "/gradio_api/mcp/", lambda _: tool(filled(b'{"photo":{"path":"', b"/a", b'"}}')), MCP),
    Attack(
        "a form of 1000 files",
        UPLOAD,
        lambda _: (FILE + b"x\r\n") * 1000 + b"--edge--\r\n",
        (FORM,),
    ),
    Attack("a form of line ends", UPLOAD, lambda _: filled(FILE, b"\r\n", b"", 39 * MEGABYTE), (FORM,)),
    Attack(
        "a form of boundaries",
        UPLOAD,
        lambda _: filled(FILE, b"\r\n--edgy", b"", 39 * MEGABYTE),
        (FORM,),
    ),
    Attack(
        "a form in Punycode",
        UPLOAD,
        lambda _: filled(b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\n-', b"a", b"\r\n--edge--\r\n"),
        (f"{FORM}; charset=punycode",),
    ),
    Attack(
        "a login of &", "/login", lambda _: b"&" * 15 * MEGABYTE, ("Content-Type: application/x-www-form-urlencoded",)
    ),
    Attack("a header of 30 MB", SMALL, lambda _: b"", ("X-Long: " + "a" * 30 * MEGABYTE,), "GET"),
    Attack("an address of 30 MB", SMALL + "?" + "a" * 30 * MEGABYTE, lambda _: b"", (), "GET"),
    Attack("an address of 60 kB", "/gradio_api/file=/" + "a/" * 30_000, lambda _: b"", (), "GET"),
    Attack("60 kB of languages", "/config", lambda _: b"", ("Accept-Language: " + "a;q=1," * 10_000,), "GET"),
)


def send(address: str, attack: Attack, own: str, answers: multiprocessing.SimpleQueue[tuple[int, int, str]]) -> None:
    """Send one attack; its size, the status and the sentence of the answer go into `answers`."""
    body, where = attack.body(own), urlsplit(address)
    length = "Transfer-Encoding: chunked" if attack.chunk else f"Content-Length: {len(body)}"
    lines = [f"{attack.method} {attack.path} HTTP/1.1", f"Host: {where.netloc}", "Connection: close", *attack.headers]
    head = "\r\n".join([*lines, length, "", ""]).encode()
    size = len(body) or len(head)
    with socket.create_connection((where.hostname, where.port), PATIENCE_SECONDS) as link:
        # When all is ready, so that making it is no part of what is measured.
        answers.put((size, 0, ""))
        try:
            link.sendall(head)
            for piece in _chunks(body, attack.chunk):
                link.sendall(piece)
        except ConnectionError:
            pass  # refused while it was sent
        try:
            reply = HTTPResponse(link, method=attack.method)
            reply.begin()
            status, said = reply.status, _sentence(reply.read(10_000))
        except (OSError, ValueError) as error:
            status, said = 0, type(error).__name__
        except Exception as error:  # http.client's own
            status, said = 0, type(error).__name__
    answers.put((size, status, said))


def _chunks(body: bytes, size: int) -> Iterator[bytes]:
    if not size:
        yield body
        return
    whole = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body, size))
    yield whole + b"0\r\n\r\n"


def _parts(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def _sentence(reply: bytes) -> str:
    try:
        told = json.loads(reply)
    except ValueError:
        return reply.decode(errors="replace").strip()[:80]
    error = told.get("error", told) if isinstance(told, dict) else told
    return str(error.get("message", error) if isinstance(error, dict) else error)


def small_request(address: str) -> float:
    """Seconds until something small is answered, or until nobody would wait any longer."""
    where, begun = urlsplit(address), time.monotonic()
    link = HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE_SECONDS)
    try:
        link.request("GET", SMALL)
        link.getresponse().read()
    except TimeoutError:
        pass
    except OSError as error:
        raise SystemExit("The server no longer answers; its log says why.") from error
    finally:
        link.close()
    return time.monotonic() - begun


def measured(address: str, attack: Attack, own: str) -> Outcome:
    """Send an attack and ask for something small until it has been answered, and once more."""
    answers: multiprocessing.SimpleQueue[tuple[int, int, str]] = multiprocessing.SimpleQueue()
    sender = multiprocessing.Process(target=send, args=(address, attack, own, answers), daemon=True)
    sender.start()
    answers.get()
    worst, end = 0.0, time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and answers.empty():
        worst = max(worst, small_request(address))
        time.sleep(PAUSE_SECONDS)
    size, status, said = (0, 0, "no answer") if answers.empty() else answers.get()
    sender.kill()
    sender.join()
    return Outcome(attack.name, size, max(worst, small_request(address)), status, said)


def row(outcome: Outcome) -> str:
    """One line of the table."""
    size = f"{outcome.size / MEGABYTE:.1f} MB" if outcome.size > MEGABYTE / 2 else f"{outcome.size / 1024:.0f} kB"
    return f"| {outcome.name} | {size} | {outcome.seconds:.2f} | {outcome.status or '–'} | {outcome.said} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of attacks; all without")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose app is started (default: this one)")
    options = parser.parse_args(arguments)
    print(machine())
    print("| attack | size | others' longest time, s | status | what the attacker is told |")
    print("|---|---:|---:|---|---|", flush=True)
    worst = 0.0
    with (
        tempfile.TemporaryFile("w+") as log,
        served("--device", "cpu", "--mcp", log=log, root=options.checkout) as (
            address,
            _,
        ),
    ):
        sent = httpx.post(f"{address}/gradio_api/upload", files={"files": ("own.jpg", b"\xff\xd8")})
        (own,) = sent.raise_for_status().json()
        for attack in ATTACKS:
            if not options.names or attack.name in options.names:
                outcome = measured(address, attack, own)
                print(row(outcome), flush=True)
                worst = max(worst, outcome.seconds)
        size = log.seek(0, os.SEEK_END)
    print(f"\nThe longest: {worst:.2f} s. What was written to the log: {size / 1024:.0f} kB.")
    return int(worst > ALLOWED_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
