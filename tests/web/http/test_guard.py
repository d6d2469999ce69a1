"""What one visitor and all together may ask for: by a fake clock, at the door of a small app, and at the page."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
from inception.web.http import guard as door
from inception.web.http.guard import RequestGuard
from inception.web.http.rate_limit import TokenBucket
from support.event_loop import in_a_thread
from support.paths import EXAMPLES
from support.visitor import Visit


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


# ---------------------------------------------------------------- the allowance


def test_an_allowance_can_be_spent_at_once_and_comes_back_with_time() -> None:
    clock = Clock()
    allowance = TokenBucket(10, 2, 8, clock)
    assert [allowance.take("a", 4), allowance.take("a", 4)] == [0, 0]
    assert allowance.take("a", 4) == pytest.approx(1.0)  # 2 are left, and 2 come in a second
    clock.now += 0.5
    assert allowance.take("a", 4) == pytest.approx(0.5)
    clock.now += 0.5
    assert allowance.take("a", 4) == 0
    clock.now += 3600
    assert [allowance.take("a", 4) for _ in range(3)] == [0, 0, pytest.approx(1.0)], "it holds no more than full"


def test_whoever_waits_as_long_as_told_is_served() -> None:
    clock = Clock()
    allowance = TokenBucket(10, 0.7, 8, clock)
    allowance.take("a", 9.5)
    clock.now += allowance.take("a", 3.3) + 1e-6
    assert allowance.take("a", 3.3) == 0


def test_nobody_pays_for_another_and_only_so_many_are_remembered() -> None:
    clock = Clock()
    allowance = TokenBucket(1, 0.1, 3, clock)
    assert [allowance.take(name, 1) for name in "abc"] == [0, 0, 0]
    assert allowance.take("a", 1) == pytest.approx(10)
    assert [allowance.take(name, 1) for name in "de"] == [0, 0]
    assert len(allowance._left) == 3
    clock.now += 11
    assert len(allowance._left) == 0, "who has all back is forgotten"


# ---------------------------------------------------------------- the door, around an app that answers at once


async def answer(request: Request) -> Response:
    return JSONResponse({"answered": request.url.path, "bytes": len(await request.body())})


async def full(request: Request) -> Response:
    return JSONResponse({"detail": "Queue is full. Max size is 1 and size is 1."}, 503)


def guarded(clock: Clock, *routes: Route) -> httpx.AsyncClient:
    # As a client sees it, not as the app is meant: whatever it answers, the door has let it through.
    inner = Starlette(routes=[*routes, Route("/{rest:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])])
    return seen_from("127.0.0.1", RequestGuard(inner, clock))


def seen_from(address: str, app: ASGIApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://page")


JOIN, LIGHT, UPLOAD = "/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload"
FORM = {"Content-Type": "multipart/form-data; boundary=edge"}


def test_a_class_of_thirty_at_the_same_instant_is_never_refused() -> None:
    async def lesson(client: httpx.AsyncClient, student: int) -> list[int]:
        session = {"session_hash": f"student{student}", "data": [], "fn_index": 1}
        told = [await client.post(UPLOAD, headers={"Content-Length": "6000000", **FORM})]
        # A photo, five blocks and an explanation: what follows each of them is taken together generously.
        for _ in range(1 + 5 + 1):
            told += [await client.post(JOIN, json=session) for _ in range(5)]
            told += [await client.post(LIGHT, json=session) for _ in range(15)]
        return [reply.status_code for reply in told]

    async def work() -> list[list[int]]:
        async with guarded(Clock()) as client:
            return await asyncio.gather(*(lesson(client, student) for student in range(30)))

    lessons = in_a_thread(work())
    assert len(lessons) == 30
    assert {status for told in lessons for status in told} == {200}


@pytest.mark.parametrize(("language", "sentence"), [("en", "please wait {} seconds"), ("zh-CN", "请等待 {} 秒")])
def test_a_session_that_asks_too_fast_is_told_when_to_try_again(language: str, sentence: str) -> None:
    async def work() -> None:
        clock = Clock()
        async with guarded(clock) as client:
            client.headers["Accept-Language"] = language
            mine, other = ({"session_hash": name, "data": []} for name in ("mine", "other"))
            for _ in range(door.BURST // door.QUEUED_COST):
                assert (await client.post(JOIN, json=mine)).status_code == 200
            refused = await client.post(JOIN, json=mine)
            assert refused.status_code == 429
            seconds = int(refused.headers["Retry-After"])
            assert seconds == 5
            assert sentence.format(seconds) in refused.json()["detail"] == refused.json()["error"]
            assert (await client.post(LIGHT, json=mine)).status_code == 429
            assert (await client.post(JOIN, json=other)).status_code == 200, "from the same address, another visitor"
            clock.now += seconds
            assert (await client.post(JOIN, json=mine)).status_code == 200

    in_a_thread(work())


def test_a_camera_that_is_left_on_is_never_refused() -> None:
    async def work() -> set[int]:
        clock, told = Clock(), set()
        async with guarded(clock) as client:
            for _ in range(3000):  # frames, as many as the page sends at most
                clock.now += 0.12
                told.add((await client.post(LIGHT, json={"session_hash": "one", "data": []})).status_code)
        return told

    assert in_a_thread(work()) == {200}


def test_a_full_queue_is_told_in_the_visitors_language() -> None:
    async def work() -> None:
        async with guarded(Clock(), Route(JOIN, full, methods=["POST"])) as client:
            told = await client.post(JOIN, json={"session_hash": "a"}, headers={"Accept-Language": "zh"})
            assert (told.status_code, told.headers["Retry-After"]) == (429, "10")
            assert told.json()["detail"] == "现在使用本页面的人非常多，请 10 秒后再试。"

    in_a_thread(work())


def test_no_more_than_so_many_are_answered_at_once() -> None:
    async def work() -> None:
        leave, begun = asyncio.Event(), []

        async def slow(request: Request) -> Response:
            begun.append(request)
            await leave.wait()
            return Response("done")

        async with guarded(Clock(), Route(LIGHT, slow, methods=["POST"])) as client:
            posts = (client.post(LIGHT, json={"session_hash": f"s{number}"}) for number in range(door.AT_ONCE))
            asked = [asyncio.create_task(post) for post in posts]
            while len(begun) < door.AT_ONCE:
                await asyncio.sleep(0.01)
            refused = await client.post(LIGHT, json={"session_hash": "late"})
            assert refused.status_code == 429
            assert "try again in 10 seconds" in refused.json()["error"]
            leave.set()
            assert {reply.status_code for reply in await asyncio.gather(*asked)} == {200}
            assert (await client.post(LIGHT, json={"session_hash": "late"})).status_code == 200

    in_a_thread(asyncio.wait_for(work(), 60))


def test_what_is_stored_within_the_hour_has_a_bound_for_all() -> None:
    async def work() -> None:
        clock = Clock()
        async with guarded(clock) as client:

            async def send() -> httpx.Response:
                return await client.post(UPLOAD, headers={"Content-Length": str(MAX_BYTES), **FORM})

            sent = 0
            while (reply := await send()).status_code == 200:
                sent += MAX_BYTES
            assert sent <= door.STORED_BYTES < sent + MAX_BYTES
            assert reply.status_code == 429
            assert "please try again in 2 minutes" in reply.json()["error"]
            clock.now += 120
            assert (await send()).status_code == 200

    in_a_thread(work())


@pytest.mark.parametrize("announced", [True, False])
def test_no_request_but_an_upload_may_be_larger_than_a_photo_within_it(announced: bool) -> None:
    async def parts(megabytes: int) -> AsyncIterator[bytes]:
        yield b'{"data": ["'
        for _ in range(megabytes):
            yield b"x" * door.MEGABYTE
        yield b'"]}'

    async def work() -> None:
        async with guarded(Clock()) as client:
            heavy = {"data": ["x" * door.DATA_BYTES]}
            told = await client.post(JOIN, json=heavy) if announced else await client.post(JOIN, content=parts(16))
            assert told.status_code == 413
            assert "larger than the 16 MB" in told.json()["detail"]
            small = {"data": ["x" * 1000], "session_hash": "one"}
            allowed = await client.post(JOIN, json=small)
            assert allowed.json()["bytes"] == len(allowed.request.content), "and the app gets what was sent"

    in_a_thread(work())


def test_a_photo_within_a_request_may_take_nearly_all_of_it(page_address: str) -> None:
    data = b64encode(os.urandom(11 * door.MEGABYTE)).decode()
    sent = {"data": [{"url": f"data:image/jpeg;base64,{data}"}, "tiny-imagenet", 3]}
    event = httpx.post(f"{page_address}gradio_api/call/predict", json=sent, timeout=60).json()["event_id"]
    told = httpx.get(f"{page_address}gradio_api/call/predict/{event}", timeout=60).text
    assert "This file is not a picture that can be read" in told


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 4_000, b"\xff\xfe", b"[NaN]"])
def test_what_is_no_json_is_refused_in_a_sentence(body: bytes) -> None:
    async def work() -> None:
        async with guarded(Clock()) as client:
            told = await client.post(JOIN, content=body)
            assert told.status_code == 400
            assert "could not be read" in told.json()["error"]

    in_a_thread(work())


# ---------------------------------------------------------------- one request that is meant to stop the server


@pytest.mark.parametrize("part", [b"{},", b"1,", b"[", b'"a":0,', b"\0,\0"], ids=range(5))
@pytest.mark.parametrize("path", [JOIN, LIGHT, "/gradio_api/call/predict", "/gradio_api/mcp/", "/gradio_api/cancel"])
def test_too_many_values_are_refused_while_they_come_and_never_parsed(
    part: bytes, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, parsed = [], []
    monkeypatch.setattr(door, "parse", parsed.append)

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"data": ['
        for _ in range(15 * 16):
            taken.append(1)
            yield part * (door.MEGABYTE // 16 // len(part))

    async def work() -> None:
        async with guarded(Clock()) as client:
            told = await client.post(path, content=parts())
            assert told.status_code == 413
            assert "more than 5000 values" in told.json()["error"]

    in_a_thread(work())
    assert parsed == []
    assert len(taken) < 10, "the rest of it is not waited for"


def test_a_large_body_is_parsed_beside_the_event_loop(page_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []
    parse = door.parse

    def noted(body: bytes) -> Any:
        threads.append("AnyIO" in threading.current_thread().name)
        return parse(body)

    monkeypatch.setattr(door, "parse", noted)
    for size in (100, 2 * door.LARGE_BYTES):
        sent = {"data": [{"url": f"data:,{'x' * size}"}, "tiny-imagenet", 3]}
        httpx.post(f"{page_address}gradio_api/call/predict", json=sent, timeout=60).raise_for_status()
    assert threads == [False, True]


def test_others_are_answered_while_a_body_comes_and_no_more_is_held_than_all_may_send_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "HELD_BYTES", 3 * door.MEGABYTE)

    async def work() -> None:
        more = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b'{"data": ["' + b"x" * 2 * door.MEGABYTE
            await more.wait()
            yield b'"]}'

        async with guarded(Clock()) as client:
            first, second = (asyncio.create_task(client.post(JOIN, content=slow())) for _ in range(2))
            done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
            refused = done.pop().result()
            assert refused.status_code == 429
            assert "try again in 10 seconds" in refused.json()["error"]
            assert (await client.post(JOIN, json={"session_hash": "small"})).status_code == 200
            more.set()
            assert {reply.status_code for reply in await asyncio.gather(first, second)} == {413, 429}
            # What was held is given back.
            assert (await client.post(JOIN, content=slow())).status_code == 413

    in_a_thread(asyncio.wait_for(work(), 60))


# ---------------------------------------------------------------- calls without a session


def test_calls_without_a_session_are_counted_by_their_address() -> None:
    async def work() -> None:
        clock = Clock()
        inner = Starlette(routes=[Route("/{rest:path}", answer, methods=["POST"])])
        app = RequestGuard(inner, clock)
        call, tool, named = "/gradio_api/call/predict", "/gradio_api/mcp/", "/gradio_api/call/v2/predict"
        async with seen_from("10.0.0.1", app) as client, seen_from("10.0.0.2", app) as other:
            for number in range(door.CALLERS * door.BURST // door.QUEUED_COST):
                assert (await client.post((call, tool, named)[number % 3], json={"data": []})).status_code == 200
            for path in (call, tool, named):
                # Where arguments have names, what is called so is no session.
                told = {"data": []} if path == call else {"session_hash": "mine"}
                refused = await client.post(path, json=told)
                assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
                assert "please wait 5 seconds" in refused.json()["error"] == refused.json()["detail"]
            assert (await other.post(call, json={"data": []})).status_code == 200, "another address"
            assert (await client.post(JOIN, json={"session_hash": "a"})).status_code == 200, "a page at the same one"
            clock.now += 5
            assert (await client.post(call, json={"data": []})).status_code == 200

    in_a_thread(work())


def test_gradios_own_client_reads_the_sentence_when_it_asks_too_fast(page_address: str) -> None:
    client = Client(page_address, verbose=False)
    spent, enough = threading.Event(), threading.Event()

    async def hurry() -> None:
        async with httpx.AsyncClient(base_url=page_address, timeout=60) as fast:
            while not enough.is_set():
                if 429 in await asyncio.gather(*(cancelled(fast, client.session_hash) for _ in range(50))):
                    spent.set()

    def ask() -> None:
        for _ in range(50):  # there may just be room for one
            client.predict("tiny-imagenet", "3a", api_name="/anatomy")

    with ThreadPoolExecutor(1) as thread:
        hurrying = thread.submit(asyncio.run, hurry())
        try:
            assert spent.wait(90), "no limit was reached"
            with pytest.raises(ValidationError, match=r"faster than .* please wait 5 seconds"):
                ask()
        finally:
            enough.set()
            hurrying.result(90)


# ---------------------------------------------------------------- uploads at the real page


def stored() -> set[Path]:
    folder = Path(get_upload_folder())
    return set(folder.rglob("*")) if folder.is_dir() else set()


def form(bytes_of_photo: int) -> tuple[bytes, bytes, bytes]:
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="heavy-test.jpg"\r\n\r\n'
    return head, b"\xff\xd8" + b"0" * (bytes_of_photo - 2), b"\r\n--edge--\r\n"


@pytest.mark.parametrize(("language", "sentence"), [("en", "at most 40 MB"), ("zh", "照片最多 40 MB")])
@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(
    page_address: str, language: str, sentence: str, announced: bool
) -> None:
    before = stored()
    parts = form(MAX_BYTES + 2 * door.MEGABYTE)
    body: Any = b"".join(parts) if announced else (part for part in parts)
    headers = {"Content-Type": "multipart/form-data; boundary=edge", "Accept-Language": language}
    try:
        told = httpx.post(f"{page_address}gradio_api/upload", content=body, headers=headers, timeout=120)
    except httpx.WriteError:
        # Refused by what it announced: who goes on sending may find the connection closed before the answer.
        assert announced
    else:
        assert told.status_code == 413
        assert sentence in told.text
    assert not [path for path in stored() - before if path.is_file()]


def test_a_form_of_many_files_is_refused_before_they_are_stored(page_address: str) -> None:
    before = stored()
    head = form(2)[0]
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    for cut in (0, 3):  # an edge may come in two pieces
        body = (head + b"x\r\n") * 1000 + b"--edge--\r\n"
        pieces = [body[start : start + 999] for start in range(cut, len(body), 999)]
        told = httpx.post(f"{page_address}gradio_api/upload", content=iter([body[:cut], *pieces]), headers=headers)
        assert told.status_code == 413
        assert "more than 8 parts" in told.json()["error"]
    assert not [path for path in stored() - before if path.is_file()]


def test_an_upload_that_is_cut_off_leaves_nothing(page_address: str) -> None:
    before = stored()

    def cut() -> Any:
        head, photo, _ = form(3 * door.MEGABYTE)
        yield head
        yield photo
        raise ConnectionAbortedError

    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    with pytest.raises(ConnectionAbortedError):
        httpx.post(f"{page_address}gradio_api/upload", content=cut(), headers=headers, timeout=60)
    end = time.monotonic() + 30
    while [path for path in stored() - before if path.is_file()] and time.monotonic() < end:
        time.sleep(0.1)
    assert not [path for path in stored() - before if path.is_file()]


def test_a_photo_of_the_largest_size_is_stored(page_address: str) -> None:
    before = stored()
    head, photo, tail = form(MAX_BYTES)
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    told = httpx.post(f"{page_address}gradio_api/upload", content=head + photo + tail, headers=headers, timeout=120)
    (path,) = told.raise_for_status().json()
    assert Path(path) in stored() - before
    assert Path(path).stat().st_size == MAX_BYTES
    Path(path).unlink()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("visit", "sentence"),
    [
        ({"locale": "en-US"}, "This file has 41 MB; a photo may have at most 40 MB."),
        ({"locale": "zh-CN"}, "这个文件有 41 MB，照片最多 40 MB。"),
    ],
    indirect=["visit"],
)
def test_a_photo_that_is_too_heavy_is_refused_on_the_page_before_it_is_sent(
    visit: Visit, tmp_path: Path, sentence: str
) -> None:
    sent: list[str] = []
    visit.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    heavy = tmp_path / "heavy.jpg"
    with heavy.open("wb") as file:
        file.truncate(41 * door.MEGABYTE)
    said = visit.page.locator("#il-alarm [role=alert]")
    # Until the page has its language: that takes away what was said before.
    for _ in range(10):
        visit.upload(heavy)
        with suppress(AssertionError):
            expect(said).to_contain_text(sentence, timeout=5_000)
            break
    expect(said).to_contain_text(sentence)
    assert not [address for address in sent if "upload" in address]
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a" if sentence.isascii() else "模块 3a")


@pytest.mark.browser
def test_a_visitor_who_asks_too_fast_reads_it_on_the_page_and_others_go_on(visit: Visit, page_address: str) -> None:
    sessions: list[str] = []

    def remember(request: PlaywrightRequest) -> None:
        if request.method == "POST" and request.url.endswith(("/run/predict", "/queue/join?")):
            sessions.append(json.loads(request.post_data or "{}")["session_hash"])

    visit.page.on("request", remember)
    visit.upload(EXAMPLES / "bison.jpg")
    visit.panels_of("Block 3a")
    spent, enough = threading.Event(), threading.Event()

    async def hurry() -> None:
        # As fast as it can, in the same session, questions that cost the server nothing.
        async with httpx.AsyncClient(base_url=page_address, timeout=60) as client:
            while not enough.is_set():
                replies = await asyncio.gather(*(cancelled(client, sessions[-1]) for _ in range(50)))
                if 429 in replies:
                    spent.set()

    async def another() -> int:
        async with httpx.AsyncClient(base_url=page_address, timeout=60) as client:
            return await cancelled(client, "another")

    with ThreadPoolExecutor(1) as thread:
        hurrying = thread.submit(asyncio.run, hurry())
        try:
            assert spent.wait(90), "no limit was reached"
            toast = visit.page.locator(".toast-body, .il-refusal").first
            # A click may come just when there is room for one; not each time.
            for block in ("4a", "4b", "4c", "4d") * 5:
                visit.choose("block", block)
                visit.page.wait_for_timeout(300)
                if toast.count():
                    break
            expect(toast).to_contain_text("please wait 5 seconds and try again", timeout=30_000)
            assert in_a_thread(another()) == 200
        finally:
            enough.set()
            hurrying.result(90)
    # Whoever waits as long as told goes on.
    visit.page.wait_for_timeout(2_000)
    visit.choose("block", "4e")
    visit.panels_of("Block 4e")


async def cancelled(client: httpx.AsyncClient, session: str) -> int:
    """Ask the page to cancel what is not there: the status of its answer."""
    told = {"session_hash": session, "fn_index": 0, "event_id": "none"}
    return (await client.post("gradio_api/cancel", json=told)).status_code
