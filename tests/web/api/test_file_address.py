"""Addresses of uploaded files in place of their paths; other addresses are refused, and none is fetched."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError

from inception.web.api.file_address import local_path, localise
from inception.web.http.upload_paths import MAX_PATH
from support.paths import EXAMPLES

PHOTO, NET = EXAMPLES / "espresso.jpg", "tiny-imagenet"


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("http://127.0.0.1:7860/gradio_api/file=/tmp/a/b%20c.jpg", "/tmp/a/b c.jpg"),
        ("https://some.where/lens/gradio_api/file=/tmp/a/%C3%BC.jpg", "/tmp/a/ü.jpg"),
        ("/tmp/a/b.jpg", None),
        ("data:image/png;base64,AAAA", None),
        ("http://some.where/photo.jpg", None),
        ("ftp://some.where/gradio_api/file=/tmp/a.jpg", None),
        ("/gradio_api/file=/tmp/a.jpg", None),
        ("http://some.where/gradio_api/file=/" + "a" * MAX_PATH, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_path_is_taken_from_the_address_of_an_upload(source: str, path: str | None) -> None:
    assert local_path(source) == (source if path is None else path)


def test_addresses_are_replaced_wherever_a_request_names_a_file() -> None:
    sent = {"data": [{"path": "http://a/gradio_api/file=/tmp/x"}, [{"deep": {"path": "http://a/gradio_api/file=/y"}}]]}
    assert localise(sent)
    assert sent == {"data": [{"path": "/tmp/x"}, [{"deep": {"path": "/y"}}]]}
    for other in ({"path": None}, {"path": 3}, {"url": "http://a/gradio_api/file=/x"}, "path", [1.5], None):
        assert not localise(other)


def test_the_address_of_an_upload_is_accepted_as_a_photo(page_address: str) -> None:
    (path,) = httpx.post(f"{page_address}gradio_api/upload", files={"files": ("ü 1.jpg", PHOTO.read_bytes())}).json()
    client = Client(page_address, verbose=False)
    for host in (page_address, "https://where.the.proxy.is/lens/"):
        sent = handle_file(f"{host}gradio_api/file={quote(path)}")
        assert client.predict(sent, NET, 1, api_name="/predict")["top"][0]["label"] == "espresso"


def test_no_host_is_contacted_and_no_other_file_is_opened(
    page_address: str, http_server: Callable[..., str], tmp_path: Path
) -> None:
    fetched = []

    def respond(request: BaseHTTPRequestHandler) -> None:
        fetched.append(request.path)
        request.send_error(404)

    other_server = http_server(respond)
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(PHOTO.read_bytes())
    (path,) = httpx.post(f"{page_address}gradio_api/upload", files={"files": ("a.jpg", PHOTO.read_bytes())}).json()
    client = Client(page_address, verbose=False)
    upload_address = f"{other_server}/gradio_api/file={quote(path)}"
    assert client.predict(handle_file(upload_address), NET, 1, api_name="/predict")["top"][0]["label"] == "espresso"
    for file_address in (
        f"{other_server}/photo.jpg",
        f"{other_server}/gradio_api/file=/{other_server}/photo.jpg",
        f"{page_address}gradio_api/file={quote(str(secret))}",
        f"{page_address}gradio_api/file={quote(path)}/../../../{secret}",
        f"{page_address}gradio_api/file={quote(quote(path, safe=''), safe='')}",
    ):
        with pytest.raises((AppError, ValidationError)):
            client.predict(handle_file(file_address), NET, 1, api_name="/predict")
    # Nor in place of another argument: Gradio fetches every value that looks like a file.
    with pytest.raises(AppError):
        client.predict(handle_file(upload_address), NET, handle_file(upload_address), "zero", api_name="/network_table")
    assert fetched == []
