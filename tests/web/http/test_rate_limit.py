"""Rate limits: with a fake clock, with the guard around a small app, and at the served page."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import ValidationError
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.routing import Route

from inception.web.http import rate_limit
from inception.web.http.guard import RequestGuard
from inception.web.http.rate_limit import RateLimits, TokenBucket
from support.event_loop import run_coroutine
from support.guarded import FORM, JOIN, LIGHT, UPLOAD, Clock, client_at, echo, guarded_client
from support.stage_visitor import StageVisit

# ---------------------------------------------------------------- the token bucket


def test_a_bucket_can_be_emptied_at_once_and_refills_over_time() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 2, 8, clock)
    assert [bucket.take("a", 4), bucket.take("a", 4)] == [0, 0]
    assert bucket.take("a", 4) == pytest.approx(1.0)  # 2 are left, and 2 are added each second
    clock.now += 0.5
    assert bucket.take("a", 4) == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.take("a", 4) == 0
    clock.now += 3600
    assert [bucket.take("a", 4) for _ in range(3)] == [0, 0, pytest.approx(1.0)], "capacity exceeded"


def test_the_tokens_are_available_after_the_returned_wait() -> None:
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
    assert len(bucket) == 0, "full buckets must be dropped"


# ---------------------------------------------------------------- the guard around an app that responds immediately


def test_thirty_simultaneous_visitors_are_never_refused() -> None:
    async def lesson(client: httpx.AsyncClient, student: int) -> list[int]:
        session = {"session_hash": f"student{student}", "data": [], "fn_index": 1}
        responses = [await client.post(UPLOAD, headers={"Content-Length": "6000000", **FORM})]
        # A photo, five blocks and an explanation, each with a generous number of requests.
        for _ in range(1 + 5 + 1):
            responses += [await client.post(JOIN, json=session) for _ in range(5)]
            responses += [await client.post(LIGHT, json=session) for _ in range(15)]
        return [response.status_code for response in responses]

    async def work() -> list[list[int]]:
        async with guarded_client(Clock()) as client:
            return await asyncio.gather(*(lesson(client, student) for student in range(30)))

    lessons = run_coroutine(work())
    assert len(lessons) == 30
    assert {status for statuses in lessons for status in statuses} == {200}


@pytest.mark.parametrize(("language", "sentence"), [("en", "please wait {} seconds"), ("zh-CN", "请等待 {} 秒")])
def test_a_session_above_its_rate_is_refused_until_retry_after(language: str, sentence: str) -> None:
    async def work() -> None:
        clock = Clock()
        async with guarded_client(clock) as client:
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

    run_coroutine(work())


def test_a_camera_that_is_left_on_is_never_refused() -> None:
    async def work() -> set[int]:
        clock, statuses = Clock(), set()
        async with guarded_client(clock) as client:
            for _ in range(3000):  # frames, at the page's highest rate
                clock.now += 0.12
                statuses.add((await client.post(LIGHT, json={"session_hash": "one", "data": []})).status_code)
        return statuses

    assert run_coroutine(work()) == {200}


# ---------------------------------------------------------------- calls without a session, and uploads


def test_calls_without_a_session_are_limited_by_client_address() -> None:
    async def work() -> None:
        clock = Clock()
        app = RequestGuard(Starlette(routes=[Route("/{rest:path}", echo, methods=["POST"])]), clock)
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
            assert (await client.post(JOIN, json={"session_hash": "a"})).status_code == 200, "with a session"
            clock.now += 5
            assert (await client.post(call, json={"data": []})).status_code == 200

    run_coroutine(work())


def test_uploads_are_limited_by_client_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "UPLOAD_BURST", 9)

    async def work() -> None:
        clock = Clock()
        app = RequestGuard(Starlette(routes=[Route("/{rest:path}", echo, methods=["POST"])]), clock)
        async with client_at("10.0.0.1", app) as client, client_at("10.0.0.2", app) as other:
            for _ in range(9):
                assert (await client.post(UPLOAD, content=b"x", headers=FORM)).status_code == 200
            refused = await client.post(UPLOAD, content=b"x", headers=FORM)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
            assert "please wait 5 seconds" in refused.json()["error"]
            assert (await other.post(UPLOAD, content=b"x", headers=FORM)).status_code == 200, "another address"
            assert (await client.post("/gradio_api/call/predict", json={"data": []})).status_code == 200
            clock.now += 5
            assert (await client.post(UPLOAD, content=b"x", headers=FORM)).status_code == 200

    run_coroutine(work())


def test_thirty_cameras_behind_one_address_are_never_refused() -> None:
    clock = Clock()
    limits = RateLimits(clock)
    for _ in range(5000):  # ten minutes of frames, at the page's highest rate
        clock.now += 0.12
        for _ in range(30):
            limits.charge_upload("school")


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


@pytest.mark.browser
def test_the_stage_shows_the_rate_limit_and_other_visitors_are_not_affected(
    visit: StageVisit, page_address: str
) -> None:
    visit.open()
    with visit.page.expect_request("**/run/stage_*") as request:
        visit.unfold("3a")
    session = json.loads(request.value.post_data or "{}")["session_hash"]
    visit.expects_rejections = True
    limited, done = threading.Event(), threading.Event()

    async def flood() -> None:
        # Cheap requests in the stage's session.
        async with httpx.AsyncClient(base_url=page_address, timeout=60) as client:
            while not done.is_set():
                statuses = await asyncio.gather(*(cancel_status(client, session) for _ in range(50)))
                if 429 in statuses:
                    limited.set()

    async def status_of_another_session() -> int:
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
            assert run_coroutine(status_of_another_session()) == 200
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
    """Cancel an event that does not exist; return the status code."""
    body = {"session_hash": session, "fn_index": 0, "event_id": "none"}
    return (await client.post("gradio_api/cancel", json=body)).status_code
