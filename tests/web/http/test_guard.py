"""Size and concurrency limits: with the guard around a small app, and at the served page."""

from __future__ import annotations

import asyncio
import os
import threading
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App
from gradio.utils import get_upload_folder
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inception.vision.photo import MAX_BYTES
from inception.web.http import guard, storage, upload_form
from inception.web.http.guard import RequestGuard
from inception.web.http.upload_form import MEGABYTE
from support.event_loop import run_coroutine
from support.guarded import FORM, JOIN, LIGHT, UPLOAD, Clock, client_at, echo, guarded_client
from support.paths import EXAMPLES
from support.stage_visitor import StageVisit
from support.waiting import wait_until

# ---------------------------------------------------------------- the guard around an app that responds immediately


async def full(request: Request) -> Response:
    return JSONResponse({"detail": "Queue is full. Max size is 1 and size is 1."}, 503)


def test_a_full_queue_is_reported_in_the_visitors_language() -> None:
    async def work() -> None:
        async with guarded_client(Clock(), Route(JOIN, full, methods=["POST"])) as client:
            response = await client.post(JOIN, json={"session_hash": "a"}, headers={"Accept-Language": "zh"})
            assert (response.status_code, response.headers["Retry-After"]) == (429, "10")
            assert response.json()["detail"] == "本页面现在非常繁忙，请 10 秒后再试。"

    run_coroutine(work())


def test_concurrent_requests_are_bounded() -> None:
    async def work() -> None:
        finish, started = asyncio.Event(), []

        async def slow(request: Request) -> Response:
            started.append(request)
            await finish.wait()
            return Response("done")

        async with guarded_client(Clock(), Route(LIGHT, slow, methods=["POST"])) as client:
            posts = (client.post(LIGHT, json={"session_hash": f"s{number}"}) for number in range(guard.MAX_CONCURRENT))
            requests = [asyncio.create_task(post) for post in posts]
            while len(started) < guard.MAX_CONCURRENT:
                await asyncio.sleep(0.01)
            refused = await client.post(LIGHT, json={"session_hash": "late"})
            assert refused.status_code == 429
            assert "try again in 10 seconds" in refused.json()["error"]
            finish.set()
            assert {response.status_code for response in await asyncio.gather(*requests)} == {200}
            assert (await client.post(LIGHT, json={"session_hash": "late"})).status_code == 200

    run_coroutine(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_above_16_mb_is_refused(announced: bool) -> None:
    async def parts(megabytes: int) -> AsyncIterator[bytes]:
        yield b'{"data": ["'
        for _ in range(megabytes):
            yield b"x" * MEGABYTE
        yield b'"]}'

    async def work() -> None:
        async with guarded_client(Clock()) as client:
            large = {"data": ["x" * guard.MAX_BODY_BYTES]}
            refused = await client.post(JOIN, json=large) if announced else await client.post(JOIN, content=parts(16))
            assert refused.status_code == 413
            assert "at most 16 MB" in refused.json()["detail"]
            small = {"data": ["x" * 1000], "session_hash": "one"}
            allowed = await client.post(JOIN, json=small)
            assert allowed.json()["bytes"] == len(allowed.request.content), "the app must receive the whole body"

    run_coroutine(work())


def test_a_large_photo_as_a_data_address_is_accepted(page_address: str) -> None:
    data = b64encode(os.urandom(11 * MEGABYTE)).decode()
    body = {"data": [{"url": f"data:image/jpeg;base64,{data}"}, "tiny-imagenet", 3]}
    event = httpx.post(f"{page_address}gradio_api/call/predict", json=body, timeout=60).json()["event_id"]
    result = httpx.get(f"{page_address}gradio_api/call/predict/{event}", timeout=60).text
    assert "This file is not a picture that can be read" in result


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 4_000, b"\xff\xfe", b"[NaN]"])
def test_invalid_json_is_refused_with_a_sentence(body: bytes) -> None:
    async def work() -> None:
        async with guarded_client(Clock()) as client:
            response = await client.post(JOIN, content=body)
            assert response.status_code == 400
            assert "could not be read" in response.json()["error"]

    run_coroutine(work())


@pytest.mark.parametrize(
    ("sent", "repeated"), [('"one"', "one"), ("7", 7), ('"\\ud800"', None), ("true", None), (f'"{"x" * 3000}"', None)]
)
def test_a_refusal_repeats_the_id_of_a_json_rpc_request_if_it_can(sent: str, repeated: int | str | None) -> None:
    async def work() -> None:
        async with guarded_client(Clock()) as client:
            body = f'{{"jsonrpc":"2.0","id":{sent},"method":"tools/list","params":"\\ud800"}}'
            response = await client.post("/gradio_api/mcp/", content=body.encode())
            document = response.json()
            if repeated is None:
                assert response.status_code in (400, 413)
                assert document["error"].endswith(".")
            else:
                assert response.status_code == 200
                assert document["id"] == repeated
                assert "could not be read" in document["error"]["message"]

    run_coroutine(work())


# ---------------------------------------------------------------- denial of service


@pytest.mark.parametrize("part", [b"{},", b"1,", b"[", b'"a":0,', b"\0,\0"], ids=range(5))
@pytest.mark.parametrize("path", [JOIN, LIGHT, "/gradio_api/call/predict", "/gradio_api/mcp/", "/gradio_api/cancel"])
def test_too_many_values_are_refused_before_the_body_is_complete_and_never_parsed(
    part: bytes, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, parsed = [], []
    monkeypatch.setattr(guard, "parse", parsed.append)

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"data": ['
        for _ in range(15 * 16):
            read.append(part)
            yield part * (MEGABYTE // 16 // len(part))

    async def work() -> None:
        async with guarded_client(Clock()) as client:
            response = await client.post(path, content=parts())
            assert response.status_code == 413
            assert "more than 5000 values" in response.json()["error"]

    run_coroutine(work())
    assert parsed == []
    assert len(read) < 10, "the remainder must not be read"


def test_a_large_body_is_parsed_in_a_thread(page_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_thread: list[bool] = []
    parse = guard.parse

    def record(body: bytes) -> Any:
        in_thread.append("AnyIO" in threading.current_thread().name)
        return parse(body)

    monkeypatch.setattr(guard, "parse", record)
    for size in (100, 2 * guard.LARGE_BODY_BYTES):
        body = {"data": [{"url": f"data:,{'x' * size}"}, "tiny-imagenet", 3]}
        httpx.post(f"{page_address}gradio_api/call/predict", json=body, timeout=60).raise_for_status()
    assert in_thread == [False, True]


def test_buffered_bodies_are_bounded_and_small_requests_are_served_meanwhile() -> None:
    async def work() -> None:
        resume = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b'{"data": ["' + b"x" * 2 * MEGABYTE
            await resume.wait()
            yield b'"]}'

        app = Starlette(routes=[Route(JOIN, echo, methods=["POST"])])
        async with client_at("127.0.0.1", RequestGuard(app, Clock(), max_buffered_bytes=3 * MEGABYTE)) as client:
            first, second = (asyncio.create_task(client.post(JOIN, content=slow())) for _ in range(2))
            done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
            refused = done.pop().result()
            assert refused.status_code == 429
            assert "try again in 10 seconds" in refused.json()["error"]
            assert (await client.post(JOIN, json={"session_hash": "small"})).status_code == 200
            resume.set()
            assert {response.status_code for response in await asyncio.gather(first, second)} == {413, 429}
            # The buffers have been released.
            assert (await client.post(JOIN, content=slow())).status_code == 413

    run_coroutine(asyncio.wait_for(work(), 60))


# ---------------------------------------------------------------- uploads to an app of Gradio's without a server


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which Gradio stores what the test uploads."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return tmp_path / "uploads"


def gradio_client() -> httpx.AsyncClient:
    """Return a client of an empty page behind the guard."""
    page = gr.Blocks()
    page.max_file_size = MAX_BYTES
    return client_at("127.0.0.1", App.create_app(page, app_kwargs={"middleware": [Middleware(RequestGuard)]}))


def files_within(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("language", "sentence"), [("en", "Nothing more of this file"), ("zh", "没有收到这个文件")])
def test_an_upload_of_which_nothing_more_comes_is_ended_and_leaves_no_file(
    uploads: Path, monkeypatch: pytest.MonkeyPatch, language: str, sentence: str
) -> None:
    monkeypatch.setattr(upload_form, "IDLE_SECONDS", 0.1)

    async def stalled() -> AsyncIterator[bytes]:
        yield form_parts(2)[0] + b"x"
        await asyncio.Event().wait()

    async def work() -> None:
        async with gradio_client() as client:
            headers = {**FORM, "Accept-Language": language}
            refused = await client.post(UPLOAD, content=stalled(), headers=headers)
            assert (refused.status_code, refused.headers["Connection"]) == (408, "close")
            assert sentence in refused.json()["error"]
            assert files_within(uploads) == []
            assert (await client.post(UPLOAD, content=b"".join(form_parts(9)), headers=FORM)).status_code == 200

    run_coroutine(asyncio.wait_for(work(), 60))


def test_an_upload_for_which_no_room_is_left_meanwhile_is_refused_and_leaves_no_file(
    uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "STORED_BYTES", 3 * MEGABYTE)
    head, photo, tail = form_parts(2 * MEGABYTE)
    size = {"Content-Length": str(len(head + photo + tail)), **FORM}

    async def work() -> None:
        begun, resume = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield head
            begun.set()
            await resume.wait()
            yield photo
            yield tail

        async with gradio_client() as client:
            upload = asyncio.create_task(client.post(UPLOAD, content=slow(), headers=size))
            await begun.wait()
            first = await client.post(UPLOAD, content=head + photo + tail, headers=FORM)
            resume.set()
            second = await upload
            assert (first.status_code, second.status_code) == (200, 429)
            assert "there is no room for more" in second.json()["error"]
            assert files_within(uploads) == [Path(first.json()[0])]

    run_coroutine(asyncio.wait_for(work(), 60))


def test_gradio_receives_no_query_with_an_upload() -> None:
    async def query(request: Request) -> Response:
        return JSONResponse(request.url.query)

    async def work() -> None:
        async with guarded_client(Clock(), Route(UPLOAD, query, methods=["POST"])) as client:
            response = await client.post(f"{UPLOAD}?upload_id=one", content=b"x", headers=FORM)
            assert (response.status_code, response.json()) == (200, "")

    run_coroutine(work())


# ---------------------------------------------------------------- uploads at the served page


def stored_paths() -> set[Path]:
    folder = Path(get_upload_folder())
    return set(folder.rglob("*")) if folder.is_dir() else set()


def form_parts(photo_bytes: int) -> tuple[bytes, bytes, bytes]:
    head = b'--part\r\nContent-Disposition: form-data; name="files"; filename="large-test.jpg"\r\n\r\n'
    return head, b"\xff\xd8" + b"0" * (photo_bytes - 2), b"\r\n--part--\r\n"


@pytest.mark.parametrize(("language", "sentence"), [("en", "at most 40 MB"), ("zh", "照片最多 40 MB")])
@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_that_is_too_large_is_refused_and_leaves_no_file(
    page_address: str, language: str, sentence: str, announced: bool
) -> None:
    before = stored_paths()
    parts = form_parts(MAX_BYTES + 2 * MEGABYTE)
    body: Any = b"".join(parts) if announced else iter(parts)
    headers = {"Content-Type": "multipart/form-data; boundary=part", "Accept-Language": language}
    try:
        response = httpx.post(f"{page_address}gradio_api/upload", content=body, headers=headers, timeout=120)
    except httpx.WriteError:
        # Refused by its Content-Length: the connection may be closed while the client is still sending.
        assert announced
    else:
        assert response.status_code == 413
        assert sentence in response.text
    assert not [path for path in stored_paths() - before if path.is_file()]


def test_a_form_with_too_many_files_leaves_no_file(page_address: str) -> None:
    before = stored_paths()
    head = form_parts(2)[0]
    headers = {"Content-Type": "multipart/form-data; boundary=part"}
    for cut in (0, 3):  # chunks split the boundaries at different places
        body = (head + b"x\r\n") * 1000 + b"--part--\r\n"
        chunks = [body[start : start + 999] for start in range(cut, len(body), 999)]
        response = httpx.post(f"{page_address}gradio_api/upload", content=iter([body[:cut], *chunks]), headers=headers)
        assert response.status_code == 413
        assert "more than 8 parts" in response.json()["error"]
    assert not [path for path in stored_paths() - before if path.is_file()]


def test_an_aborted_upload_leaves_no_file(page_address: str) -> None:
    before = stored_paths()

    def new_files() -> list[Path]:
        return [path for path in stored_paths() - before if path.is_file()]

    def aborted_body() -> Any:
        head, photo, _ = form_parts(3 * MEGABYTE)
        yield head
        yield photo
        wait_until(new_files)  # before that, there is nothing to leave behind
        raise ConnectionAbortedError

    headers = {"Content-Type": "multipart/form-data; boundary=part"}
    with pytest.raises(ConnectionAbortedError):
        httpx.post(f"{page_address}gradio_api/upload", content=aborted_body(), headers=headers, timeout=60)
    wait_until(lambda: not new_files())


def test_a_photo_of_the_maximum_size_is_stored(page_address: str) -> None:
    before = stored_paths()
    head, photo, tail = form_parts(MAX_BYTES)
    headers = {"Content-Type": "multipart/form-data; boundary=part"}
    response = httpx.post(f"{page_address}gradio_api/upload", content=head + photo + tail, headers=headers, timeout=120)
    (path,) = response.raise_for_status().json()
    assert Path(path) in stored_paths() - before
    assert Path(path).stat().st_size == MAX_BYTES
    Path(path).unlink()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("visit", "sentence"),
    [({"locale": "en-US"}, "a photo may have at most 40 MB"), ({"locale": "zh-CN"}, "照片最多 40 MB")],
    indirect=["visit"],
)
def test_the_stage_reports_a_photo_that_is_too_large(visit: StageVisit, tmp_path: Path, sentence: str) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(41 * MEGABYTE)
    visit.open()
    visit.expects_rejections = True
    visit.upload(large)
    expect(visit.page.locator("#notice")).to_contain_text(sentence, timeout=60_000)
    visit.upload(EXAMPLES / "bison.jpg")
    expect(visit.page.locator("[data-stage=answer] h2")).to_contain_text("bison" if sentence.isascii() else "牛")
