"""The limit on the files that a server stores for visitors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client, handle_file

from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.vision.photo import MAX_BYTES
from inception.web.blocks import build
from inception.web.http import storage
from inception.web.http.errors import RequestRefusedError
from inception.web.http.storage import COUNT_SECONDS, Storage, stored_bytes
from inception.web.http.upload_form import MAX_UPLOAD_BYTES
from support.event_loop import run_coroutine
from support.guarded import FORM, JOIN, LIGHT, UPLOAD, Clock, guarded_client
from support.launched import launch
from support.paths import EXAMPLES


def page_with(*files: Path) -> gr.Blocks:
    page = gr.Blocks()
    page.temp_file_sets.append({str(file) for file in files})
    return page


def test_what_is_stored_and_received_is_counted_and_room_comes_back_with_deletion(tmp_path: Path) -> None:
    file, clock = tmp_path / "photo.jpg", Clock()
    file.write_bytes(bytes(6000))
    page, room = page_with(file, tmp_path / "deleted.jpg"), Storage(clock, 10_000)

    async def work() -> None:
        with pytest.raises(RequestRefusedError):
            await room.check(page, 4001)
        await room.check(page, 4000)
        room.add(3000)
        with pytest.raises(RequestRefusedError):
            await room.check(page, 1001)
        room.add(1000)
        with pytest.raises(RequestRefusedError):
            room.add(1)
        room.settle(4001)
        with pytest.raises(RequestRefusedError):
            await room.check(page)
        clock.now += COUNT_SECONDS  # of the upload nothing was stored
        await room.check(page, 4000)
        file.unlink()
        clock.now += COUNT_SECONDS
        await room.check(page, 10_000)

    run_coroutine(work())


def test_a_small_file_counts_as_much_as_it_takes_on_a_disk(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("empty", "small", "large")]
    for file, size in zip(files, (0, 1, 5000), strict=True):
        file.write_bytes(bytes(size))
    assert stored_bytes(page_with(*files)) == 2 * 4096 + 5000


def test_uploads_that_are_announced_but_not_sent_take_no_room() -> None:
    async def work() -> None:
        begun, finish = [], asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield b"x"
            begun.append(True)
            await finish.wait()

        async with guarded_client(Clock()) as client:
            size = {"Content-Length": str(MAX_BYTES), **FORM}
            count = 1 + storage.STORED_BYTES // MAX_BYTES
            uploads = [asyncio.create_task(client.post(UPLOAD, content=stalled(), headers=size)) for _ in range(count)]
            while len(begun) < count and not any(upload.done() for upload in uploads):
                await asyncio.sleep(0.01)
            assert (await client.post(UPLOAD, content=b"x", headers=FORM)).status_code == 200
            assert (await client.post(JOIN, json={"session_hash": "one", "data": []})).status_code == 200
            finish.set()
            assert {response.status_code for response in await asyncio.gather(*uploads)} == {200}

    run_coroutine(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize(("language", "said"), [("en", "please try again in 10 minutes"), ("zh", "请 10 分钟后再试")])
def test_uploads_and_calls_are_refused_where_there_is_no_room_and_the_page_goes_on(
    monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setattr(storage, "STORED_BYTES", MAX_UPLOAD_BYTES)

    async def work() -> None:
        async with guarded_client(Clock()) as client:
            client.headers["Accept-Language"] = language
            assert (await client.post(UPLOAD, content=bytes(MAX_UPLOAD_BYTES), headers=FORM)).status_code == 200
            for refused in (
                await client.post(UPLOAD, content=b"x", headers=FORM),
                await client.post(JOIN, json={"session_hash": "one", "data": []}),
                await client.post("/gradio_api/call/keep", json={"data": []}),
            ):
                assert refused.status_code == 429
                assert said in refused.json()["error"]
            assert (await client.post(LIGHT, json={"session_hash": "one", "data": []})).status_code == 200
            assert (await client.post("/gradio_api/mcp/", json={"id": 1})).status_code == 200, "it stores nothing"

    run_coroutine(work())


def test_photos_pictures_and_files_of_a_page_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    page = build(InferenceService(("tiny-imagenet",), choose_device("cpu")))
    address = launch(page)
    try:
        before = {path for path in (tmp_path / "files").rglob("*") if path.is_file()}
        counted = stored_bytes(page)
        client = Client(address, verbose=False, download_files=False)
        photo = handle_file(str(EXAMPLES / "bison.jpg"))
        client.predict(photo, "tiny-imagenet", "4a", "1x1", 0, "viridis", api_name="/channel")
        client.predict(photo, "maps", "tiny-imagenet", api_name="/keep")
        added = {path for path in (tmp_path / "files").rglob("*") if path.is_file()} - before
        assert {path.suffix for path in added} >= {".jpg", ".png", ".zip"}
        assert stored_bytes(page) - counted == sum(path.stat().st_size for path in added)
    finally:
        page.close()
