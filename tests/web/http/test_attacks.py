"""Requests that are meant to stop the server, or to fill its log: each is refused, and others are answered meanwhile.

How long the others wait is measured by `python -m benchmarks.attacks`; here it is looked at what is done, and when.
"""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from benchmarks.attacks import ATTACKS, SMALL, Attack, measured, small_request
from benchmarks.start import served
from inception.web.http.logs import BURST
from inception.web.http.protocol import HEAD_BYTES

PIECE = b64encode(b"PIECE OF A PHOTO" * 3).decode()[:40]
# What is stored, or is asked of the queue, as any photo would be: that it is none turns out later.
ACCEPTED = {"a photo that is none", "60 kB of languages"}
UNENDED = {"a form of line ends", "a form of boundaries"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an app in a process of its own, and the file of its log."""
    path = tmp_path_factory.mktemp("log") / "log"
    with path.open("w") as log, served("--device", "cpu", "--mcp", log=log) as (address, _):
        yield address, path


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_in_a_sentence_and_others_are_answered(server: tuple[str, Path], attack: Attack) -> None:
    address, log = server
    sent = httpx.post(f"{address}/gradio_api/upload", files={"files": ("own.jpg", b"\xff\xd8")}, timeout=60)
    (own,) = sent.raise_for_status().json()
    before = log.stat().st_size
    outcome = measured(address, attack, own)
    # A refused call of an assistant's tool is a JSON-RPC error with status 200, where its id could be read.
    rpc = outcome.status == 200 and attack.path.startswith("/gradio_api/mcp")
    accepted = attack.name in ACCEPTED | UNENDED
    assert outcome.status == 200 if accepted else rpc or 400 <= outcome.status < 500, outcome
    assert attack.name in ACCEPTED | UNENDED or outcome.said.startswith(
        ("A text", "What was sent", "This", "There is nothing", "A form")
    )
    assert log.stat().st_size == before, "what is refused is not written to the log"
    assert small_request(address) >= 0


@pytest.mark.parametrize(
    "kind", ["a header", "an address", "many headers", "trailers", "chunk extensions", "tiny chunks"]
)
def test_the_server_takes_no_more_of_a_head_than_is_allowed(server: tuple[str, Path], kind: str) -> None:
    address, _ = server
    host, _, port = address.removeprefix("http://").partition(":")
    chunked = b"POST /gradio_api/cancel HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    head, part = {
        "a header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a" * 65536),
        "an address": (b"GET /?", b"a" * 65536),
        "many headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 10_000),
        "trailers": (chunked + b"2\r\n{}\r\n0\r\nX: ", b"a" * 65536),
        "chunk extensions": (chunked + b"2;", b"a" * 65536),
        "tiny chunks": (chunked, b"1\r\n \r\n" * 10_000),
    }[kind]
    with socket.create_connection((host, int(port)), 60) as link:
        link.sendall(head)
        sent = taken_of(link, part, 64 * 2**20)
    # What lies in the buffers of the two systems has been sent, but not been taken.
    assert HEAD_BYTES < sent < 32 * 2**20
    assert httpx.get(f"{address}{SMALL}", timeout=60).status_code == 200


def taken_of(link: socket.socket, part: bytes, limit: int) -> int:
    """How many bytes can be sent before the connection is closed, up to a limit."""
    sent = 0
    while sent < limit:
        try:
            link.sendall(part)
        except ConnectionError:
            break
        sent += len(part)
    return sent


def test_headers_and_chunks_of_usual_sizes_pass(server: tuple[str, Path]) -> None:
    address, _ = server
    reply = httpx.get(f"{address}{SMALL}", headers={f"X-{number}": "a" * 1000 for number in range(40)}, timeout=60)
    assert reply.status_code == 200
    data = b64encode(os.urandom(3 * 2**20)).decode()
    body = f'{{"data":[{{"url":"data:image/jpeg;base64,{data}"}},"tiny-imagenet",3]}}'.encode()
    headers = {"Content-Type": "application/json"}
    with httpx.Client(timeout=60) as client:
        for _ in range(3):  # on one connection: what was counted of one request is not held against the next
            chunks = (body[start : start + 1024] for start in range(0, len(body), 1024))
            reply = client.post(f"{address}/gradio_api/call/predict", content=chunks, headers=headers)
            assert reply.status_code == 200


def call(address: str, name: str, *values: Any) -> str:
    """The answer of an endpoint, or why there is none."""
    told = httpx.post(f"{address}/gradio_api/call/{name}", json={"data": values}, timeout=60)
    if told.status_code != 200:
        return told.text
    return httpx.get(f"{address}/gradio_api/call/{name}/{told.json()['event_id']}", timeout=60).text


def test_the_log_holds_nothing_of_what_was_sent_and_does_not_grow_with_it(server: tuple[str, Path]) -> None:
    address, log = server
    photo = "data:image/jpeg;base64," + b64encode(b"PIECE OF A PHOTO" * 1000).decode()
    steering = "\x1b[2J\x07" * 10
    for value in (photo, photo[:1500], photo[25:], photo[25:1500], "x" * 10_000_000, "x" * 1999, steering, [photo]):
        call(address, "predict", value, "tiny-imagenet", 3)
        call(address, "predict", {"url": value}, "tiny-imagenet", 3)
        call(address, "anatomy", "tiny-imagenet", value)
        call(address, "anatomy", value, "3a")
        call(address, "branch_votes", None, "tiny-imagenet", "3a", value, "zero")
        httpx.post(f"{address}/gradio_api/call/v2/anatomy", json={"model": value, "block": "3a"}, timeout=60)
        httpx.post(f"{address}/gradio_api/run/{quote(str(value)[:1000], safe='')}", json={"data": [value]}, timeout=60)
    told = log.read_text()
    assert PIECE not in told
    assert not any(ord(character) < 32 and character not in "\n\t" for character in told)
    assert len(told) < BURST
    assert max(map(len, told.splitlines()), default=0) <= 503
