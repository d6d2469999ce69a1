"""Rate, size and concurrency limits: with a fake clock, with the guard around a small app, and at the served page."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client
from gradio_client.exceptions import ValidationError
from playwright.sync_api import Request as PlaywrightRequest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from inception.vision.photo import MAX_BYTES
from inception.web.http import guard, rate_limit
from inception.web.http.guard import RequestGuard
from inception.web.http.rate_limit import TokenBucket
from inception.web.http.upload_form import MEGABYTE
from support.event_loop import in_a_thread
from support.paths import EXAMPLES
from support.stage_visitor import StageVisit


class Clock:
    """A clock that the test moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


# ---------------------------------------------------------------- the token bucket


def test_a_bucket_can_be_emptied_at_once_and_fills_with_time() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 2, 8, clock)
    assert [bucket.take("a", 4), bucket.take("a", 4)] == [0, 0]
    assert bucket.take("a", 4) == pytest.approx(1.0)  # 2 are left, and 2 come in a second
    clock.now += 0.5
    assert bucket.take("a", 4) == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.take("a", 4) == 0
    clock.now += 3600
    assert [bucket.take("a", 4) for _ in range(3)] == [0, 0, pytest.approx(1.0)], "it does not overflow"


def test_the_tokens_are_there_after_the_returned_wait() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 0.7, 8, clock)
    bucket.take("a", 9.5)
    clock.now += bucket.take("a", 3.3) + 1e-6
    assert bucket.take("a", 3.3) == 0


def test_buckets_are_independent_and_their_number_is_bounded() -> None:
    clock = Clock()
    bucket = TokenBucket(1, 0.1, 3, clock)
    assert [bucket.take(name, 1) for name in "abc"] == [0, 0, 0]
    assert bucket.take("a", 1) == pytest.approx(10)
    assert [bucket.take(name, 1) for name in "de"] == [0, 0]
    assert len(bucket) == 3
    clock.now += 11
    assert len(bucket) == 0, "full buckets are forgotten"


# ---------------------------------------------------------------- the guard around an app that answers at once


async def answer(request: Request) -> Response:
    return JSONResponse({"answered": request.url.path, "bytes": len(await request.body())})


async def full(request: Request) -> Response:
    return JSONResponse({"detail": "Queue is full. Max size is 1 and size is 1."}, 503)


def guarded(clock: Clock, *routes: Route) -> httpx.AsyncClient:
    # Every route exists in the app, so that only the guard refuses.
    app = Starlette(routes=[*routes, Route("/{rest:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])])
    return client_at("127.0.0.1", RequestGuard(app, clock))


def client_at(address: str, app: ASGIApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://page")


JOIN, LIGHT, UPLOAD = "/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload"
FORM = {"Content-Type": "multipart/form-data; boundary=part"}


def test_a_class_of_thirty_at_the_same_instant_is_never_refused() -> None:
    async def lesson(client: httpx.AsyncClient, student: int) -> list[int]:
        session = {"session_hash": f"student{student}", "data": [], "fn_index": 1}
        responses = [await client.post(UPLOAD, headers={"Content-Length": "6000000", **FORM})]
        # A photo, five blocks and an explanation, each with a generous number of requests.
        for _ in range(1 + 5 + 1):
            responses += [await client.post(JOIN, json=session) for _ in range(5)]
            responses += [await client.post(LIGHT, json=session) for _ in range(15)]
        return [response.status_code for response in responses]

    async def work() -> list[list[int]]:
        async with guarded(Clock()) as client:
            return await asyncio.gather(*(lesson(client, student) for student in range(30)))

    lessons = in_a_thread(work())
    assert len(lessons) == 30
    assert {status for statuses in lessons for status in statuses} == {200}


@pytest.mark.parametrize(("language", "sentence"), [("en", "please wait {} seconds"), ("zh-CN", "请等待 {} 秒")])
def test_a_session_above_its_rate_is_refused_until_retry_after(language: str, sentence: str) -> None:
    async def work() -> None:
        clock = Clock()
        async with guarded(clock) as client:
            client.headers["Accept-Language"] = language
            mine, other = ({"session_hash": name, "data": []} for name in ("mine", "other"))
            for _ in range(rate_limit.BURST // rate_limit.QUEUED_COST):
                assert (await client.post(JOIN, json=mine)).status_code == 200
            refused = await client.post(JOIN, json=mine)
            assert refused.status_code == 429
            seconds = int(refused.headers["Retry-After"])
            assert seconds == 5
            assert sentence.format(seconds) in refused.json()["detail"] == refused.json()["error"]
            assert (await client.post(LIGHT, json=mine)).status_code == 429
            assert (await client.post(JOIN, json=other)).status_code == 200, "another session at the same address"
            clock.now += seconds
            assert (await client.post(JOIN, json=mine)).status_code == 200

    in_a_thread(work())


def test_a_camera_that_is_left_on_is_never_refused() -> None:
    async def work() -> set[int]:
        clock, statuses = Clock(), set()
        async with guarded(clock) as client:
            for _ in range(3000):  # frames, as many as the page sends at most
                clock.now += 0.12
                statuses.add((await client.post(LIGHT, json={"session_hash": "one", "data": []})).status_code)
        return statuses

    assert in_a_thread(work()) == {200}


def test_a_full_queue_is_reported_in_the_visitors_language() -> None:
    async def work() -> None:
        async with guarded(Clock(), Route(JOIN, full, methods=["POST"])) as client:
            response = await client.post(JOIN, json={"session_hash": "a"}, headers={"Accept-Language": "zh"})
            assert (response.status_code, response.headers["Retry-After"]) == (429, "10")
            assert response.json()["detail"] == "现在使用本页面的人非常多，请 10 秒后再试。"

    in_a_thread(work())


def test_concurrent_requests_are_bounded() -> None:
    async def work() -> None:
        finish, started = asyncio.Event(), []

        async def slow(request: Request) -> Response:
            started.append(request)
            await finish.wait()
            return Response("done")

        async with guarded(Clock(), Route(LIGHT, slow, methods=["POST"])) as client:
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

    in_a_thread(asyncio.wait_for(work(), 60))


def test_uploads_within_an_hour_are_bounded_for_all_visitors_together() -> None:
    async def work() -> None:
        clock = Clock()
        async with guarded(clock) as client:

            async def send() -> httpx.Response:
                return await client.post(UPLOAD, headers={"Content-Length": str(MAX_BYTES), **FORM})

            sent = 0
            while (response := await send()).status_code == 200:
                sent += MAX_BYTES
            assert sent <= rate_limit.STORED_BYTES < sent + MAX_BYTES
            assert response.status_code == 429
            assert "please try again in 2 minutes" in response.json()["error"]
            clock.now += 120
            assert (await send()).status_code == 200

    in_a_thread(work())


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_above_16_mb_is_refused(announced: bool) -> None:
    async def parts(megabytes: int) -> AsyncIterator[bytes]:
        yield b'{"data": ["'
        for _ in range(megabytes):
            yield b"x" * MEGABYTE
        yield b'"]}'

    async def work() -> None:
        async with guarded(Clock()) as client:
            large = {"data": ["x" * guard.MAX_BODY_BYTES]}
            refused = await client.post(JOIN, json=large) if announced else await client.post(JOIN, content=parts(16))
            assert refused.status_code == 413
            assert "at most 16 MB" in refused.json()["detail"]
            small = {"data": ["x" * 1000], "session_hash": "one"}
            allowed = await client.post(JOIN, json=small)
            assert allowed.json()["bytes"] == len(allowed.request.content), "and the app gets what was sent"

    in_a_thread(work())


def test_a_photo_as_a_data_address_may_fill_a_body(page_address: str) -> None:
    data = b64encode(os.urandom(11 * MEGABYTE)).decode()
    body = {"data": [{"url": f"data:image/jpeg;base64,{data}"}, "tiny-imagenet", 3]}
    event = httpx.post(f"{page_address}gradio_api/call/predict", json=body, timeout=60).json()["event_id"]
    result = httpx.get(f"{page_address}gradio_api/call/predict/{event}", timeout=60).text
    assert "This file is not a picture that can be read" in result


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 4_000, b"\xff\xfe", b"[NaN]"])
def test_invalid_json_is_refused_in_a_sentence(body: bytes) -> None:
    async def work() -> None:
        async with guarded(Clock()) as client:
            response = await client.post(JOIN, content=body)
            assert response.status_code == 400
            assert "could not be read" in response.json()["error"]

    in_a_thread(work())


# ---------------------------------------------------------------- requests that are meant to stop the server


@pytest.mark.parametrize("part", [b"{},", b"1,", b"[", b'"a":0,', b"\0,\0"], ids=range(5))
@pytest.mark.parametrize("path", [JOIN, LIGHT, "/gradio_api/call/predict", "/gradio_api/mcp/", "/gradio_api/cancel"])
def test_too_many_values_are_refused_while_they_arrive_and_never_parsed(
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
        async with guarded(Clock()) as client:
            response = await client.post(path, content=parts())
            assert response.status_code == 413
            assert "more than 5000 values" in response.json()["error"]

    in_a_thread(work())
    assert parsed == []
    assert len(read) < 10, "the rest is not read"


def test_a_large_body_is_parsed_in_a_thread(page_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_thread: list[bool] = []
    parse = guard.parse

    def recorded(body: bytes) -> Any:
        in_thread.append("AnyIO" in threading.current_thread().name)
        return parse(body)

    monkeypatch.setattr(guard, "parse", recorded)
    for size in (100, 2 * guard.LARGE_BODY_BYTES):
        body = {"data": [{"url": f"data:,{'x' * size}"}, "tiny-imagenet", 3]}
        httpx.post(f"{page_address}gradio_api/call/predict", json=body, timeout=60).raise_for_status()
    assert in_thread == [False, True]


def test_buffered_bodies_are_bounded_and_small_requests_are_answered_meanwhile() -> None:
    async def work() -> None:
        more = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b'{"data": ["' + b"x" * 2 * MEGABYTE
            await more.wait()
            yield b'"]}'

        app = Starlette(routes=[Route(JOIN, answer, methods=["POST"])])
        async with client_at("127.0.0.1", RequestGuard(app, Clock(), max_buffered_bytes=3 * MEGABYTE)) as client:
            first, second = (asyncio.create_task(client.post(JOIN, content=slow())) for _ in range(2))
            done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
            refused = done.pop().result()
            assert refused.status_code == 429
            assert "try again in 10 seconds" in refused.json()["error"]
            assert (await client.post(JOIN, json={"session_hash": "small"})).status_code == 200
            more.set()
            assert {response.status_code for response in await asyncio.gather(first, second)} == {413, 429}
            # The buffers have been released.
            assert (await client.post(JOIN, content=slow())).status_code == 413

    in_a_thread(asyncio.wait_for(work(), 60))


# ---------------------------------------------------------------- calls without a session


def test_calls_without_a_session_are_limited_by_client_address() -> None:
    async def work() -> None:
        clock = Clock()
        app = RequestGuard(Starlette(routes=[Route("/{rest:path}", answer, methods=["POST"])]), clock)
        call, tool, named = "/gradio_api/call/predict", "/gradio_api/mcp/", "/gradio_api/call/v2/predict"
        async with client_at("10.0.0.1", app) as client, client_at("10.0.0.2", app) as other:
            for number in range(rate_limit.ADDRESS_FACTOR * rate_limit.BURST // rate_limit.QUEUED_COST):
                assert (await client.post((call, tool, named)[number % 3], json={"data": []})).status_code == 200
            for path in (call, tool, named):
                # In a call with named arguments, `session_hash` is an argument.
                body = {"data": []} if path == call else {"session_hash": "mine"}
                refused = await client.post(path, json=body)
                assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
                assert "please wait 5 seconds" in refused.json()["error"] == refused.json()["detail"]
            assert (await other.post(call, json={"data": []})).status_code == 200, "another address"
            assert (await client.post(JOIN, json={"session_hash": "a"})).status_code == 200, "a page at the same one"
            clock.now += 5
            assert (await client.post(call, json={"data": []})).status_code == 200

    in_a_thread(work())


def test_gradios_python_client_raises_the_sentence_of_the_rate_limit(page_address: str) -> None:
    client = Client(page_address, verbose=False)
    limited, done = threading.Event(), threading.Event()

    async def flood() -> None:
        async with httpx.AsyncClient(base_url=page_address, timeout=60) as http:
            while not done.is_set():
                if 429 in await asyncio.gather(*(cancel_status(http, client.session_hash) for _ in range(50))):
                    limited.set()

    def call_repeatedly() -> None:
        for _ in range(50):  # a token may just have been added
            client.predict("tiny-imagenet", "3a", api_name="/anatomy")

    with ThreadPoolExecutor(1) as thread:
        flooding = thread.submit(asyncio.run, flood())
        try:
            assert limited.wait(90), "no limit was reached"
            with pytest.raises(ValidationError, match=r"Too many requests .* please wait 5 seconds"):
                call_repeatedly()
        finally:
            done.set()
            flooding.result(90)


# ---------------------------------------------------------------- uploads at the served page


def stored_paths() -> set[Path]:
    folder = Path(get_upload_folder())
    return set(folder.rglob("*")) if folder.is_dir() else set()


def form(photo_bytes: int) -> tuple[bytes, bytes, bytes]:
    head = b'--part\r\nContent-Disposition: form-data; name="files"; filename="large-test.jpg"\r\n\r\n'
    return head, b"\xff\xd8" + b"0" * (photo_bytes - 2), b"\r\n--part--\r\n"


@pytest.mark.parametrize(("language", "sentence"), [("en", "at most 40 MB"), ("zh", "照片最多 40 MB")])
@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(
    page_address: str, language: str, sentence: str, announced: bool
) -> None:
    before = stored_paths()
    parts = form(MAX_BYTES + 2 * MEGABYTE)
    body: Any = b"".join(parts) if announced else iter(parts)
    headers = {"Content-Type": "multipart/form-data; boundary=part", "Accept-Language": language}
    try:
        response = httpx.post(f"{page_address}gradio_api/upload", content=body, headers=headers, timeout=120)
    except httpx.WriteError:
        # Refused by its announced length: the connection may be closed while the client still sends.
        assert announced
    else:
        assert response.status_code == 413
        assert sentence in response.text
    assert not [path for path in stored_paths() - before if path.is_file()]


def test_a_form_with_too_many_files_leaves_none(page_address: str) -> None:
    before = stored_paths()
    head = form(2)[0]
    headers = {"Content-Type": "multipart/form-data; boundary=part"}
    for cut in (0, 3):  # so that boundaries arrive in two chunks
        body = (head + b"x\r\n") * 1000 + b"--part--\r\n"
        chunks = [body[start : start + 999] for start in range(cut, len(body), 999)]
        response = httpx.post(f"{page_address}gradio_api/upload", content=iter([body[:cut], *chunks]), headers=headers)
        assert response.status_code == 413
        assert "more than 8 parts" in response.json()["error"]
    assert not [path for path in stored_paths() - before if path.is_file()]


def test_an_aborted_upload_leaves_nothing(page_address: str) -> None:
    before = stored_paths()

    def aborted() -> Any:
        head, photo, _ = form(3 * MEGABYTE)
        yield head
        yield photo
        raise ConnectionAbortedError

    headers = {"Content-Type": "multipart/form-data; boundary=part"}
    with pytest.raises(ConnectionAbortedError):
        httpx.post(f"{page_address}gradio_api/upload", content=aborted(), headers=headers, timeout=60)
    end = time.monotonic() + 30
    while [path for path in stored_paths() - before if path.is_file()] and time.monotonic() < end:
        time.sleep(0.1)
    assert not [path for path in stored_paths() - before if path.is_file()]


def test_a_photo_of_the_largest_size_is_stored(page_address: str) -> None:
    before = stored_paths()
    head, photo, tail = form(MAX_BYTES)
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
def test_the_stage_says_that_a_photo_is_too_large(visit: StageVisit, tmp_path: Path, sentence: str) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(41 * MEGABYTE)
    visit.may_be_refused = True
    visit.upload(large)
    expect(visit.page.locator("#notice")).to_contain_text(sentence, timeout=60_000)
    visit.upload(EXAMPLES / "bison.jpg")
    expect(visit.page.locator("[data-stage=answer] h2")).to_contain_text("bison" if sentence.isascii() else "牛")


@pytest.mark.browser
def test_the_stage_shows_the_rate_limit_and_other_visitors_are_not_affected(
    visit: StageVisit, page_address: str
) -> None:
    sessions: list[str] = []

    def record_session(request: PlaywrightRequest) -> None:
        if request.method == "POST" and "/run/stage_" in request.url:
            sessions.append(json.loads(request.post_data or "{}")["session_hash"])

    visit.page.on("request", record_session)
    visit.unfold("3a")
    visit.may_be_refused = True
    limited, done = threading.Event(), threading.Event()

    async def flood() -> None:
        # In the stage's session, with requests that cost the server little.
        async with httpx.AsyncClient(base_url=page_address, timeout=60) as client:
            while not done.is_set():
                statuses = await asyncio.gather(*(cancel_status(client, sessions[-1]) for _ in range(50)))
                if 429 in statuses:
                    limited.set()

    async def another() -> int:
        async with httpx.AsyncClient(base_url=page_address, timeout=60) as client:
            return await cancel_status(client, "another")

    with ThreadPoolExecutor(1) as thread:
        flooding = thread.submit(asyncio.run, flood())
        try:
            assert limited.wait(90), "no limit was reached"
            notice = visit.page.locator("#notice")
            # Several clicks: a token may just have been added.
            for block in ("4a", "4b", "4d", "4e", "5a", "5b", "3b"):
                visit.page.locator(f"[data-block='{block}']").click()
                visit.page.wait_for_timeout(300)
                if notice.is_visible():
                    break
            expect(notice).to_contain_text("please wait 5 seconds and try again", timeout=30_000)
            assert in_a_thread(another()) == 200
        finally:
            done.set()
            flooding.result(90)
    # After the wait, the visitor is served again.
    visit.page.wait_for_timeout(6_000)
    visit.unfold("3a")
    visit.unfold("5a")
    visit.settle()
    expect(notice).to_be_hidden()


async def cancel_status(client: httpx.AsyncClient, session: str) -> int:
    """Ask the page to cancel an event that does not exist; return the status."""
    body = {"session_hash": session, "fn_index": 0, "event_id": "none"}
    return (await client.post("gradio_api/cancel", json=body)).status_code
