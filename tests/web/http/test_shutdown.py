"""Graceful shutdown: a signal during work, and the middleware that refuses new requests."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware import Middleware

from benchmarks.visitors import PREFIX, Visitor
from inception.errors import UserError
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.vision.preprocessing import CAFFE
from inception.web.http import shutdown
from inception.web.http.listener import local_url
from inception.web.http.shutdown import DrainMiddleware, DrainState, drain, serve
from support.event_loop import run_coroutine
from support.networks import randomise
from support.photos import distinct_photos
from support.server import running


async def submit(visitor: Visitor, photo: bytes, model: str) -> str:
    """Queue a photo for `network_table`, as Gradio's clients do; return the event's id."""
    handlers = (await visitor.client.get("/config")).json()["dependencies"]
    number = next(handler["id"] for handler in handlers if handler["api_name"] == "network_table")
    data = [{"path": await visitor.upload(photo), "meta": {"_type": "gradio.FileData"}}, model, "", "zero"]
    body = {"data": data, "fn_index": number, "session_hash": visitor.session}
    response = await visitor.client.post(f"{PREFIX}/queue/join", json=body)
    return response.raise_for_status().json()["event_id"]


async def messages(visitor: Visitor) -> AsyncIterator[dict[str, Any]]:
    """Yield the server's messages to a visitor until all events are complete."""
    url, session = f"{PREFIX}/queue/data", {"session_hash": visitor.session}
    async with visitor.client.stream("GET", url, params=session) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))


async def health_while_stopping(visitor: Visitor) -> httpx.Response:
    """Poll the health check until it no longer reports 200; return its response."""
    for _ in range(200):
        if (health := await visitor.client.get("/healthz")).status_code != 200:
            break
        await asyncio.sleep(0.02)
    return health


async def stop_after_first_result(
    address: str, app: subprocess.Popen[str], stop_signal: signal.Signals
) -> dict[str, Any]:
    """Submit four photos and send the signal after the first result; return the results by event id."""
    async with Visitor(address) as visitor, Visitor(address) as idle:
        submitted = [await submit(visitor, photo, "tiny-imagenet") for photo in distinct_photos(4)]
        # An open page keeps this connection open for hours.
        url = f"{PREFIX}/heartbeat/{idle.session}"
        async with idle.client.stream("GET", url) as heartbeat:
            await anext(heartbeat.aiter_raw())
            results: dict[str, Any] = {}
            async for message in messages(visitor):
                if message["msg"] == "process_completed":
                    results[message["event_id"]] = message
                    if len(results) == 1:
                        assert (await visitor.client.get("/healthz")).status_code == 200
                        app.send_signal(stop_signal)
                        health = await health_while_stopping(visitor)
                        assert (health.status_code, health.json()["status"]) == (503, "stopping")
        assert sorted(results) == sorted(submitted)
        return results


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_requests_before_the_signal_are_answered_and_the_exit_status_is_0(
    stop_signal: signal.Signals, tmp_path: Path
) -> None:
    with running("app.py", "--device", "cpu", GRADIO_TEMP_DIR=str(tmp_path / "sent")) as (address, app):
        results = run_coroutine(stop_after_first_result(address, app, stop_signal))
        assert app.wait(60) == 0
    assert all(message["success"] for message in results.values())
    tables = [message["output"]["data"][0]["falls"] for message in results.values()]
    assert all(set(falls) == set(BLOCKS) for falls in tables)
    assert len({str(falls) for falls in tables}) == len(results), "each photo must have its own table"
    assert list((tmp_path / "sent").glob("inception-lens-*")) == [], "every photo must be deleted"
    assert "Traceback" not in (app.stderr.read() if app.stderr else "")


def test_work_that_takes_too_long_is_abandoned(tmp_path: Path) -> None:
    # Sixty tables of thirty-six forward passes each are minutes of work.
    description = Description("googlenet", ("cat", "dog"), CAFFE, UNKNOWN_PROVENANCE)
    checkpoint.save_checkpoint(
        tmp_path / "large.safetensors", randomise(InceptionV1(variant="googlenet", classes=2)).state_dict(), description
    )

    async def submit_many(address: str) -> None:
        async with Visitor(address) as visitor:
            for photo in distinct_photos(60):
                await submit(visitor, photo, "large.safetensors")

    with running("app.py", "--device", "cpu", "--model", tmp_path / "large.safetensors") as (address, app):
        run_coroutine(submit_many(address))
        app.send_signal(signal.SIGTERM)
        assert app.wait(60) == 0
    assert "still running 7 seconds after the signal to stop" in (app.stderr.read() if app.stderr else "")


def test_draining_refuses_new_requests_and_still_serves_results() -> None:
    state = DrainState()
    app = FastAPI(middleware=[Middleware(DrainMiddleware, state=state)])
    in_flight = []

    @app.api_route("/queue", methods=["GET", "POST"])
    async def queue() -> None:
        in_flight.append(state.in_flight)

    @app.api_route("/healthz", methods=["GET", "HEAD"])
    async def healthz() -> str:
        return "ok"

    @app.get("/heartbeat/x")
    async def heartbeat() -> None:
        in_flight.append(state.in_flight)

    with TestClient(app) as client:
        for method in ("post", "get"):
            assert getattr(client, method)("/queue").status_code == 200
        client.get("/heartbeat/x")
        assert in_flight == [1, 1, 0], "an open page must not count as in flight"
        assert client.get("/healthz").status_code == client.head("/healthz").status_code == 200
        state.is_draining = True
        for response in (client.get("/healthz"), client.head("/healthz")):
            assert (response.status_code, response.headers["retry-after"]) == (503, "60")
            assert response.headers["cache-control"] == "no-store"
        refused = client.post("/queue")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
        assert "please try again in a minute" in refused.json()["detail"]
        refused = client.post("/queue", headers={"Accept-Language": "zh-CN"})
        assert "请一分钟后再试" in refused.json()["detail"]
        assert client.get("/queue").status_code == 200
    assert state.in_flight == 0


def test_only_what_is_in_flight_at_the_deadline_is_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "DRAIN_SECONDS", shutdown.QUIET_SECONDS / 10)
    assert drain(gr.Blocks(), DrainState())
    assert not drain(gr.Blocks(), DrainState(in_flight=1))


def test_a_page_that_cannot_be_launched_is_an_error_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise UserError("server", "The server did not start.")

    page = gr.Blocks()
    monkeypatch.setattr(page, "launch", fail)
    with socket.socket() as listener, pytest.raises(UserError, match="did not start"):
        serve(page, listener)


def test_a_server_is_reached_by_an_address_of_this_machine() -> None:
    reached = {host: local_url(host, 80) for host in ("127.0.0.1", "0.0.0.0", "::1", "[::1]", "::")}
    assert reached["127.0.0.1"] == "http://127.0.0.1:80/"
    assert reached["0.0.0.0"] == "http://localhost:80/"
    assert {reached[host] for host in ("::1", "[::1]", "::")} == {"http://[::1]:80/"}
