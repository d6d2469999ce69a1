"""Routes: only those that the page needs are served, and they refuse invalid requests with a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App

from support.raw_request import request

# The routes of Gradio's server that the page needs. Any other, of this version or a later one, is not served.
SERVED = {
    *("GET /", "GET /config", "GET /theme.css", "GET /favicon.ico", "GET /robots.txt", "GET /manifest.json"),
    *("GET /assets/{path}", "GET /static/{path}", "GET /svelte/{path}"),
    *("GET /gradio_api/info", "GET /gradio_api/openapi.json", "GET /gradio_api/startup-events"),
    *("GET /gradio_api/theme.css", "GET /gradio_api/app_id"),
    *("GET /gradio_api/queue/data", "GET /gradio_api/queue/status", "GET /gradio_api/heartbeat/{session_hash}"),
    *("GET /gradio_api/call/{api_name}/{event_id}", "GET /gradio_api/call/v2/{api_name}/{event_id}"),
    *("POST /gradio_api/upload", "POST /gradio_api/queue/join", "POST /gradio_api/run/{api_name}"),
    *("POST /gradio_api/call/{api_name}", "POST /gradio_api/call/v2/{api_name}"),
    *("POST /gradio_api/cancel", "POST /gradio_api/reset"),
}
# Refused with another sentence (`file=x` is not an upload), or open for as long as the page is.
TESTED_ELSEWHERE = {"GET /gradio_api/file={path_or_url}", "GET /gradio_api/heartbeat/{session_hash}"}


def routes_of(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        nested = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
        if nested:
            yield from routes_of(nested, prefix + getattr(route, "path", ""))
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, prefix + route.path


def test_only_the_routes_that_the_page_needs_are_served(page_address: str) -> None:
    with gr.Blocks() as empty:
        pass
    served, route_count = set(), 0
    for method, path in routes_of(App.create_app(empty).routes):
        route = f"{method} {path.replace(':path}', '}')}"
        if method == "HEAD" or route in TESTED_ELSEWHERE:
            continue
        route_count += 1
        example_path = re.sub(r"{\w+(:path)?}", "x", path)
        _, body = request(page_address, example_path, method, b"{}" if method == "POST" else None)
        if b"There is nothing here" not in body:
            served.add(route.rstrip("/") if len(path) > 1 else route)
    assert route_count > 60
    assert served - SERVED == set()
    assert {"GET /", "GET /config", "POST /gradio_api/queue/join"} <= served
    others = ("/monitoring/summary", "/gradio_api/runs", "/gradio_api/deep_link?session_hash=x", "/gradio_api/user")
    assert {request(page_address, path)[0] for path in others} == {404}
    for path in ("component_server", "process_recording", "stream/x", "vibe-edit", "run-history/connect"):
        assert request(page_address, f"/gradio_api/{path}", "POST", b"{}")[0] == 404


UNKNOWN = {"data": [], "session_hash": "nobody"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("run/nothing", UNKNOWN),
        ("run/nothing/", UNKNOWN),
        ("run/predict", UNKNOWN),  # a queued function, which can only be called through the queue
        ("call/nothing", UNKNOWN),
        ("call/v2/nothing", {}),
        ("call/v2/stage_network", {}),  # an event of the page, not in the API's description
        ("call/v2", {}),
        *(
            (path, {**UNKNOWN, "fn_index": number})
            for path in ("queue/join", "run/predict")
            for number in (99999, -1, "55", 5.5, True, [55], 10**18, None)
            if not (path == "run/predict" and number is None)
        ),
        ("queue/join", []),
    ],
)
@pytest.mark.parametrize(("language", "sentence"), [("en", "has no such function"), ("zh", "没有这个功能")])
def test_a_call_of_an_unknown_function_is_refused_with_a_sentence(
    page_address: str, path: str, body: Any, language: str, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    headers = {"Accept-Language": language}
    response = httpx.post(f"{page_address}gradio_api/{path}", json=body, headers=headers, timeout=60)
    assert response.status_code == 404
    assert sentence in response.json()["error"] == response.json()["detail"]
    assert "".join(capfd.readouterr()) == "", "the refusal must not write to the log"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("queue/join", {"data": 3, "fn_index": 5, "session_hash": "a"}),
        ("queue/join", {"data": [], "fn_index": 5, "session_hash": {}}),
        ("queue/join", {"data": [], "fn_index": 5}),
        ("call/predict", {"data": {}}),
        ("cancel", {}),
        ("cancel", [1]),
        ("reset", {"event_id": 7}),
    ],
)
def test_a_body_that_gradio_cannot_read_is_refused_without_quoting_it(page_address: str, path: str, body: Any) -> None:
    response = httpx.post(f"{page_address}gradio_api/{path}", json=body, timeout=60)
    assert 400 <= response.status_code < 500
    sentence = response.json().get("error", response.json()["detail"])  # Gradio's own errors have `detail` alone
    assert sentence.startswith(("What was sent could not be read", "Session hash not found"))
    assert "input" not in response.text


@pytest.mark.parametrize("path", ["queue/data", "call/x/y", "call/v2/x/y"])
def test_fetching_an_unknown_event_is_refused_with_a_sentence(
    page_address: str, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    response = httpx.get(f"{page_address}gradio_api/{path}", timeout=60)
    assert 400 <= response.status_code < 500
    assert response.json()["error"].endswith(".")
    assert "".join(capfd.readouterr()) == ""


def test_urls_that_are_too_long_are_refused_and_long_file_names_are_not_found(page_address: str) -> None:
    for path in ("/assets/" + "a" * 400, "/static/" + "a/" * 400, "/assets/a%00b"):
        assert request(page_address, path)[0] == 404
    for path in ("/?model=" + "a" * 5000, "/gradio_api/file=/" + "a/" * 3000, "/config?" + "&" * 5000):
        status, body = request(page_address, path)
        assert status == 414
        assert "address is too long" in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=part; charset=punycode", b"--part--"),
        ("multipart/form-data; charset=idna; boundary=part", b"--part--"),
        ("multipart/form-data", b"--part--"),
        ("multipart/form-data; boundary=" + "e" * 100, b"--part--"),
        ("text/plain", b"--part--"),
        ("multipart/form-data; boundary=part", b"not a form"),
        (
            "multipart/form-data; boundary=part",
            b'--part\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--part--',
        ),
        ("multipart/form-data; boundary=part", b"--part\r\nContent-Disposition: form-data\r\n\r\nx\r\n--part--"),
        ("multipart/form-data; boundary=part", b"--part\r\nX: " + b"x" * 100_000 + b"\r\n\r\nx\r\n--part--"),
        (
            "multipart/form-data; boundary=part",
            b'--part\r\nContent-Disposition: form-data; name="files"; filename=".."\r\n\r\nx\r\n--part--',
        ),
    ],
    ids=range(10),
)
@pytest.mark.parametrize("query", ["", "?upload_id=one"])
def test_an_invalid_form_is_refused_with_a_sentence(page_address: str, kind: str, body: bytes, query: str) -> None:
    headers = {"Content-Type": kind}
    response = httpx.post(f"{page_address}gradio_api/upload{query}", content=body, headers=headers, timeout=60)
    assert response.status_code == 400
    assert "could not be read" in response.json()["error"]
