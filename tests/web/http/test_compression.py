"""Compression of responses: text if the client accepts it, pictures never."""

from __future__ import annotations

import gzip

import httpx

from support.stage import subject


def fetch_raw(address: str, path: str, body: object = None, encoding: str = "gzip") -> tuple[httpx.Headers, bytes]:
    headers = {"Accept-Encoding": encoding}
    with httpx.stream("POST" if body else "GET", address + path, json=body, headers=headers, timeout=60) as response:
        return response.headers, b"".join(response.iter_raw())


def test_json_is_compressed(page_address: str) -> None:
    body = {"data": [subject("example:bison"), {}, "3a"]}
    headers, content = fetch_raw(page_address, "gradio_api/run/stage_block", body)
    assert headers["content-encoding"] == "gzip"
    _, plain = fetch_raw(page_address, "gradio_api/run/stage_block", body, encoding="identity")
    assert len(content) < 0.6 * len(plain)
    # The times that Gradio adds differ between two calls.
    assert gzip.decompress(content).split(b'"is_generating"')[0] == plain.split(b'"is_generating"')[0]


def test_pictures_are_not_compressed_again(page_address: str) -> None:
    headers, content = fetch_raw(page_address, "stage/examples/bison.jpg")
    assert "content-encoding" not in headers
    assert content[:2] == b"\xff\xd8"


def test_a_refusal_is_not_compressed_for_clients_without_gzip(page_address: str) -> None:
    headers, content = fetch_raw(page_address, "nothing", encoding="identity")
    assert "content-encoding" not in headers
    assert b"error" in content
