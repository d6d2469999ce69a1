"""The app is told to stop while it works: what it has accepted is answered, and it ends well."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks.visitors import Visitor
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.vision.preprocessing import CAFFE
from inception.web.http.shutdown import DrainMiddleware
from support.event_loop import in_a_thread
from support.networks import lively
from support.photos import photos
from support.server import running


async def ask(guest: Visitor, photo: bytes, model: str) -> str:
    """Have a photo explained, as the page's own script asks for it; returns what the question is called."""
    sent = await guest.client.post(f"{guest.prefix}/upload", files={"files": ("photo.jpg", photo)})
    (path,) = sent.raise_for_status().json()
    number = next(n for n, handler in enumerate(guest.handlers) if handler["api_name"] == "network_table")
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, model, "", "zero"]
    question = {"data": data, "fn_index": number, "session_hash": guest.session}
    accepted = await guest.client.post(f"{guest.prefix}/queue/join", json=question)
    return accepted.raise_for_status().json()["event_id"]


async def messages(guest: Visitor) -> AsyncIterator[dict[str, Any]]:
    """What the server tells this visitor until it has answered all."""
    way, who = f"{guest.prefix}/queue/data", {"session_hash": guest.session}
    async with guest.client.stream("GET", way, params=who) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))


async def health_while_it_stops(guest: Visitor) -> httpx.Response:
    """What load balancers are told from then on."""
    for _ in range(200):
        if (health := await guest.client.get("/healthz")).status_code != 200:
            break
        await asyncio.sleep(0.02)
    return health


async def told_to_stop_half_way(address: str, app: subprocess.Popen[str], how: signal.Signals) -> dict[str, Any]:
    """The answers to questions of which only the first was answered before the signal."""
    async with Visitor(address) as guest, Visitor(address) as idle:
        asked = [await ask(guest, photo, "tiny-imagenet") for photo in photos(4)]
        # An open page holds this for hours.
        way = f"{idle.prefix}/heartbeat/{idle.session}"
        async with idle.client.stream("GET", way) as beats:
            await anext(beats.aiter_raw())
            answers: dict[str, Any] = {}
            async for message in messages(guest):
                if message["msg"] == "process_completed":
                    answers[message["event_id"]] = message
                    if len(answers) == 1:
                        assert (await guest.client.get("/healthz")).status_code == 200
                        app.send_signal(how)
                        health = await health_while_it_stops(guest)
                        assert (health.status_code, health.json()["status"]) == (503, "stopping")
        assert sorted(answers) == sorted(asked)
        return answers


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_was_asked_before_the_signal_is_answered_and_the_exit_status_is_0(
    how: signal.Signals, tmp_path: Path
) -> None:
    with running("app.py", "--device", "cpu", GRADIO_TEMP_DIR=str(tmp_path / "sent")) as (address, app):
        answers = in_a_thread(told_to_stop_half_way(address, app, how))
        assert app.wait(60) == 0
    assert all(message["success"] for message in answers.values())
    tables = [message["output"]["data"][0]["falls"] for message in answers.values()]
    assert all(set(falls) == set(BLOCKS) for falls in tables)
    assert len({str(falls) for falls in tables}) == len(answers), "each got the table of their own photo"
    assert list((tmp_path / "sent").glob("inception-lens-*")) == [], "no photo stays behind"
    assert "Traceback" not in (app.stderr.read() if app.stderr else "")


def test_more_than_can_be_finished_does_not_keep_it(tmp_path: Path) -> None:
    """Sixty tables of thirty-six passes each are minutes of work."""
    description = Description("googlenet", ("cat", "dog"), CAFFE, UNKNOWN_PROVENANCE)
    checkpoint.save_checkpoint(
        tmp_path / "large.safetensors", lively(InceptionV1(variant="googlenet", classes=2)).state_dict(), description
    )

    async def too_much(address: str) -> None:
        async with Visitor(address) as guest:
            for photo in photos(60):
                await ask(guest, photo, "large.safetensors")

    with running("app.py", "--device", "cpu", "--model", tmp_path / "large.safetensors") as (address, app):
        in_a_thread(too_much(address))
        app.send_signal(signal.SIGTERM)
        assert app.wait(60) == 0
    assert "Some questions were not answered" in (app.stderr.read() if app.stderr else "")


def test_a_closed_door_turns_away_who_asks_and_lets_those_fetch_who_asked_before() -> None:
    door = DrainMiddleware()
    app = FastAPI(middleware=[door.middleware()])
    inside = []

    @app.api_route("/queue", methods=["GET", "POST"])
    async def queue() -> None:
        inside.append(door.inside)

    @app.api_route("/healthz", methods=["GET", "HEAD"])
    async def healthz() -> str:
        return "ok"

    @app.get("/heartbeat/x")
    async def heartbeat() -> None:
        inside.append(door.inside)

    with TestClient(app) as client:
        for way in ("post", "get"):
            assert getattr(client, way)("/queue").status_code == 200
        client.get("/heartbeat/x")
        assert inside == [1, 1, 0], "a page that is merely open is not waited for"
        assert client.get("/healthz").status_code == client.head("/healthz").status_code == 200
        door.closed = True
        for told in (client.get("/healthz"), client.head("/healthz")):
            assert (told.status_code, told.headers["retry-after"]) == (503, "60")
            assert told.headers["cache-control"] == "no-store"
        refused = client.post("/queue")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
        assert "please try again in a minute" in refused.json()["detail"]
        assert client.get("/queue").status_code == 200
    assert door.inside == 0
