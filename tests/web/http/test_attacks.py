"""Denial of service: attacks are refused, and other requests are served meanwhile.

These tests check status codes, sentences and the log; `python -m benchmarks.attacks` measures how long others wait.
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

from benchmarks.attacks import ATTACKS, SMALL_REQUEST, Attack, measure, time_small_request
from benchmarks.start import running_server
from inception.web.http.logs import BURST
from inception.web.http.protocol import MAX_HEAD_BYTES

PIECE = b64encode(b"PIECE OF A PHOTO" * 3).decode()[:40]
# Accepted by the guard: the first is refused when it is decoded, forms without an end are stored for an hour.
ACCEPTED = {"a photo of noise", "60 kB of languages", "a form of line ends", "a form of boundaries"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an app in its own process, and its log file."""
    path = tmp_path_factory.mktemp("log") / "log"
    with path.open("w") as log, running_server("--device", "cpu", "--mcp", log=log) as (address, _):
        yield address, path


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_with_a_sentence_and_other_requests_are_served(
    server: tuple[str, Path], attack: Attack
) -> None:
    address, log = server
    response = httpx.post(f"{address}/gradio_api/upload", files={"files": ("own.jpg", b"\xff\xd8")}, timeout=60)
    (uploaded,) = response.raise_for_status().json()
    before = log.stat().st_size
    outcome = measure(address, attack, uploaded)
    # A refused tool call is a JSON-RPC error with status 200, if its id could be read.
    rpc = outcome.status == 200 and attack.path.startswith("/gradio_api/mcp")
    is_accepted = attack.name in ACCEPTED
    assert outcome.status == 200 if is_accepted else rpc or 400 <= outcome.status < 500, outcome
    assert is_accepted or outcome.sentence.startswith(("A text", "What was sent", "This", "There is nothing", "A form"))
    assert log.stat().st_size == before, "an attack must not write to the log"
    assert time_small_request(address) >= 0


@pytest.mark.parametrize(
    "kind", ["a header", "an address", "many headers", "trailers", "chunk extensions", "tiny chunks"]
)
def test_the_server_closes_a_connection_with_too_large_a_head(server: tuple[str, Path], kind: str) -> None:
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
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(head)
        sent = send_until_closed(connection, part, 64 * 2**20)
    # More than the limit, as the sockets of both sides have buffers.
    assert MAX_HEAD_BYTES < sent < 32 * 2**20
    assert httpx.get(f"{address}{SMALL_REQUEST}", timeout=60).status_code == 200


def send_until_closed(connection: socket.socket, part: bytes, limit: int) -> int:
    """Send a part repeatedly until the connection is closed or `limit` is reached; return the bytes sent."""
    sent = 0
    while sent < limit:
        try:
            connection.sendall(part)
        except ConnectionError:
            break
        sent += len(part)
    return sent


def test_headers_and_chunks_of_usual_sizes_are_accepted(server: tuple[str, Path]) -> None:
    address, _ = server
    response = httpx.get(
        f"{address}{SMALL_REQUEST}", headers={f"X-{number}": "a" * 1000 for number in range(40)}, timeout=60
    )
    assert response.status_code == 200
    data = b64encode(os.urandom(3 * 2**20)).decode()
    body = f'{{"data":[{{"url":"data:image/jpeg;base64,{data}"}},"tiny-imagenet",3]}}'.encode()
    headers = {"Content-Type": "application/json"}
    with httpx.Client(timeout=60) as client:
        for _ in range(3):  # on one connection: each request is counted separately
            chunks = (body[start : start + 1024] for start in range(0, len(body), 1024))
            response = client.post(f"{address}/gradio_api/call/predict", content=chunks, headers=headers)
            assert response.status_code == 200


def call(address: str, name: str, *values: Any) -> str:
    """Call an endpoint; return the text of its result or of the refusal."""
    response = httpx.post(f"{address}/gradio_api/call/{name}", json={"data": values}, timeout=60)
    if response.status_code != 200:
        return response.text
    return httpx.get(f"{address}/gradio_api/call/{name}/{response.json()['event_id']}", timeout=60).text


def test_the_log_quotes_no_input_and_stays_small(server: tuple[str, Path]) -> None:
    address, log = server
    photo = "data:image/jpeg;base64," + b64encode(b"PIECE OF A PHOTO" * 1000).decode()
    control = "\x1b[2J\x07" * 10
    for value in (photo, photo[:1500], photo[25:], photo[25:1500], "x" * 10_000_000, "x" * 1999, control, [photo]):
        call(address, "predict", value, "tiny-imagenet", 3)
        call(address, "predict", {"url": value}, "tiny-imagenet", 3)
        call(address, "anatomy", "tiny-imagenet", value)
        call(address, "anatomy", value, "3a")
        call(address, "branch_votes", None, "tiny-imagenet", "3a", value, "zero")
        httpx.post(f"{address}/gradio_api/call/v2/anatomy", json={"model": value, "block": "3a"}, timeout=60)
        httpx.post(f"{address}/gradio_api/run/{quote(str(value)[:1000], safe='')}", json={"data": [value]}, timeout=60)
    text = log.read_text()
    assert PIECE not in text
    assert not any(ord(character) < 32 and character not in "\n\t" for character in text)
    assert len(text) < BURST
    assert max(map(len, text.splitlines()), default=0) <= 503
