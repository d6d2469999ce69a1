"""Calls of the API whose sessions end while they wait, and sessions without a name."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import gradio as gr
import httpx
import pytest

from inception.web.api.checked_blocks import CheckedBlocks
from inception.web.http.uploads import delete_old_sessions
from support.launched import launch
from support.waiting import wait_until

CALL = "/gradio_api/call/slow"


@pytest.fixture
def server() -> Iterator[tuple[CheckedBlocks, Event, httpx.Client]]:
    """A page with one slow endpoint, which the test lets finish."""
    finish = Event()

    def slow(text: str) -> str:
        finish.wait(60)
        return text

    with CheckedBlocks(analytics_enabled=False) as page:
        text = gr.Textbox()
        text.submit(slow, text, text, concurrency_limit=1)
    with httpx.Client(base_url=launch(page), timeout=60) as client:
        yield page, finish, client
    finish.set()
    page.close()


def call(client: httpx.Client, session: str) -> httpx.Response:
    return client.post(CALL, json={"data": [session], "session_hash": session})


def result(client: httpx.Client, call: httpx.Response) -> str:
    return client.get(f"{CALL}/{call.json()['event_id']}").text


def running_and_waiting(page: CheckedBlocks, client: httpx.Client) -> tuple[httpx.Response, httpx.Response]:
    """Make two calls: one that is being processed, and one that waits for it."""
    running = call(client, "running")
    wait_until(lambda: any(page._queue.active_jobs))
    return running, call(client, "waiting")


def test_the_queue_outlasts_a_session_that_ends_while_its_call_waits(
    server: tuple[CheckedBlocks, Event, httpx.Client],
) -> None:
    page, finish, client = server
    running, waiting = running_and_waiting(page, client)
    call(client, "gone")
    page._queue.pending_messages_per_session.pop("gone")
    finish.set()
    # When the next call begins, those that wait are told their places.
    assert '"running"' in result(client, running)
    assert '"waiting"' in result(client, waiting)
    assert '"later"' in result(client, call(client, "later"))
    assert client.get("/healthz").status_code == 200


def test_a_session_with_a_waiting_call_is_kept(server: tuple[CheckedBlocks, Event, httpx.Client]) -> None:
    page, finish, client = server
    running, waiting = running_and_waiting(page, client)
    delete_old_sessions(page.app, age=0)
    finish.set()
    assert '"running"' in result(client, running)
    assert '"waiting"' in result(client, waiting)


@pytest.mark.parametrize("path", [CALL, "/gradio_api/run/slow", "/gradio_api/queue/join"])
def test_an_empty_session_is_refused(server: tuple[CheckedBlocks, Event, httpx.Client], path: str) -> None:
    _, _, client = server
    body: dict[str, Any] = {"data": ["x"], "fn_index": 0, "session_hash": ""}
    response = client.post(path, json=body)
    assert response.status_code == 400
    assert response.json()["detail"]


def test_a_stopped_queue_is_unhealthy(server: tuple[CheckedBlocks, Event, httpx.Client]) -> None:
    page, _, client = server
    assert client.get("/healthz").json() == {"status": "ok"}
    page._queue.close()
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (503, {"status": "the queue has stopped"})
