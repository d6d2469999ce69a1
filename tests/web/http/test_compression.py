"""Text is sent compressed to whoever takes it; pictures are not compressed again."""

from __future__ import annotations

import gzip

import httpx

from support.stage import subject


def raw(address: str, path: str, body: object = None, encoding: str = "gzip") -> tuple[httpx.Headers, bytes]:
    headers = {"Accept-Encoding": encoding}
    with httpx.stream("POST" if body else "GET", address + path, json=body, headers=headers, timeout=60) as response:
        return response.headers, b"".join(response.iter_raw())


def test_numbers_are_sent_compressed(page_address: str) -> None:
    body = {"data": [subject("example:bison"), {}, "3a"]}
    headers, sent = raw(page_address, "gradio_api/run/stage_block", body)
    assert headers["content-encoding"] == "gzip"
    _, plain = raw(page_address, "gradio_api/run/stage_block", body, encoding="identity")
    assert len(sent) < 0.6 * len(plain)
    # The times that Gradio adds differ between two calls.
    assert gzip.decompress(sent).split(b'"is_generating"')[0] == plain.split(b'"is_generating"')[0]


def test_pictures_are_sent_as_they_are(page_address: str) -> None:
    headers, sent = raw(page_address, "stage/examples/bison.jpg")
    assert "content-encoding" not in headers
    assert sent[:2] == b"\xff\xd8"


def test_a_refusal_is_compressed_text_or_plain(page_address: str) -> None:
    headers, sent = raw(page_address, "nothing", encoding="identity")
    assert "content-encoding" not in headers
    assert b"error" in sent
