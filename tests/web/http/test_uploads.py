"""Clean-up of expired photos and sessions, and what an open page reports afterwards."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest

from benchmarks.visitors import PREFIX, RefusedError, Visitor
from inception import load, open_photo, predict
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.blocks import build, launch_options
from inception.web.http.uploads import (
    cleanup_lifespan,
    delete_old_files,
    expired_photo_error,
    paths_within,
    temporary_upload_folder,
)
from inception.web.words import say_error
from support.event_loop import run_coroutine
from support.launched import launch
from support.paths import EXAMPLES
from support.photos import distinct_photos
from support.waiting import wait_until

KEEP = 3.0


@dataclass(frozen=True)
class Served:
    """A server that keeps photos for three seconds; `examples` are the paths in its folder at the start."""

    address: str
    page: gr.Blocks
    folder: Path
    examples: frozenset[Path]

    @property
    def uploads(self) -> frozenset[Path]:
        """The paths that visitors have added to the folder."""
        return frozenset(paths_within(self.folder)) - self.examples


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with temporary_upload_folder() as folder:
        page = build(InferenceService(("tiny-imagenet",), choose_device("cpu")), KEEP)
        lifespan = {"lifespan": cleanup_lifespan(folder, KEEP)}
        address = launch(page, app_kwargs={**launch_options()["app_kwargs"], **lifespan})
        yield Served(address.rstrip("/"), page, folder, frozenset(paths_within(folder)))
        page.close()


def test_an_expired_photo_is_deleted_and_an_open_page_reports_it(served: Served) -> None:
    first, second = distinct_photos(2)

    async def refusal_sentence(visitor: Visitor, event: str, *arguments: object) -> str:
        with pytest.raises(RefusedError) as refusal:
            await visitor.request(event, *arguments)
        return str(refusal.value)

    async def visit() -> None:
        async with Visitor(served.address) as visitor:
            await visitor.show_photo(first)
            assert visitor.answer_label == "ox"
            photo = Path(visitor.photo_path)
            await asyncio.to_thread(wait_until, lambda: not photo.parent.exists())
            assert served.uploads == frozenset(), "its folder must be deleted too"
            assert all(path.exists() for path in served.examples)

            # Cached results are still shown; events that need the photo report that it was deleted.
            await visitor.unfold("5a")
            cropped = {**visitor.subject, "crop": [0, 0, 1]}
            assert await refusal_sentence(visitor, "scene", cropped, {}) == say_error("en", expired_photo_error())
            visitor.language = "zh"
            assert await refusal_sentence(visitor, "block", cropped, {}, "4c") == say_error("zh", expired_photo_error())

            await visitor.show_photo(second)
            await visitor.unfold("4c")

    run_coroutine(visit())


def test_a_partial_upload_is_deleted(served: Served) -> None:
    host, port = served.address.removeprefix("http://").split(":")
    photo = (EXAMPLES / "bison.jpg").read_bytes()
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'
    ) % (len(photo) + 200)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + photo[: len(photo) // 2])
        wait_until(lambda: served.uploads)
    wait_until(lambda: not served.uploads)


def test_new_files_and_files_to_keep_are_not_deleted(tmp_path: Path) -> None:
    for name in ("example/bison.jpg", "old/photo.jpg", "old/deep/empty/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "example" / "bison.jpg")
    keep = frozenset((tmp_path / "example").rglob("*")) | {tmp_path / "example"}
    delete_old_files(tmp_path, 60, keep)
    assert len(list(tmp_path.rglob("*"))) == 8
    wait_until(lambda: time.time() - (tmp_path / "link.jpg").lstat().st_ctime > 0.05)
    for _ in range(3):  # deleting a file updates its folder's time
        delete_old_files(tmp_path, -1, keep)
    assert frozenset(tmp_path.rglob("*")) == keep


def test_clean_up_continues_after_a_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class App:
        cleaned = 0

        @property
        def state_holder(self) -> SimpleNamespace:
            self.cleaned += 1
            if self.cleaned == 1:
                raise RuntimeError("a session without its lock")
            return SimpleNamespace(session_data={})

        def get_blocks(self) -> SimpleNamespace:
            queue = SimpleNamespace(pending_event_ids_session={}, sessions_in_progress=set)
            return SimpleNamespace(_queue=queue, temp_file_sets=[])

    app = App()

    async def serve() -> None:
        async with asyncio.timeout(60), cleanup_lifespan(tmp_path, 0.06)(app):
            while app.cleaned < 3:
                await asyncio.sleep(0.01)

    run_coroutine(serve())
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["a session without its lock"]


@pytest.mark.parametrize("is_fetched", [True, False])
def test_calls_without_a_session_leave_nothing_once_later_ones_took_their_place(
    served: Served, monkeypatch: pytest.MonkeyPatch, *, is_fetched: bool
) -> None:
    queue = served.page._queue
    monkeypatch.setattr(served.page.app.state_holder, "capacity", 3)
    monkeypatch.setattr(queue.pending_messages_per_session, "max_size", 3)
    with httpx.Client(base_url=f"{served.address}/gradio_api/call/", timeout=60) as client:
        for _ in range(9):
            event = client.post("models", json={"data": []}).raise_for_status().json()["event_id"]
            if is_fetched:
                assert "event: complete" in client.get(f"models/{event}").text
    wait_until(lambda: not queue.pending_event_ids_session)
    assert not queue.pending_messages_per_session


def test_the_upload_folder_is_created_where_configured_and_deleted_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "not" / "there" / "yet"))
    with temporary_upload_folder() as folder:
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert folder.parent == tmp_path / "not" / "there" / "yet"
        (folder / "photo.jpg").touch()
    assert list(folder.parent.iterdir()) == []
    assert os.environ["GRADIO_TEMP_DIR"] == str(folder.parent)
    monkeypatch.delenv("GRADIO_TEMP_DIR")
    with temporary_upload_folder() as folder:
        assert folder.is_dir()
    assert "GRADIO_TEMP_DIR" not in os.environ


def test_a_disconnected_client_leaves_no_data_and_does_not_affect_others(served: Served) -> None:
    address, page = served.address, served.page

    async def disconnect(photo: bytes) -> None:
        """Upload a photo, request its prediction, and disconnect once that has started."""
        async with Visitor(address) as visitor:
            file = {"path": await visitor.upload(photo), "meta": {"_type": "gradio.FileData"}}
            handlers = (await visitor.client.get("/config")).json()["dependencies"]
            number = next(handler["id"] for handler in handlers if handler["api_name"] == "predict")
            body = {"data": [file, visitor.model, 3], "fn_index": number, "session_hash": visitor.session}
            (await visitor.client.post(f"{PREFIX}/queue/join", json=body)).raise_for_status()
            stream = visitor.client.stream("GET", f"{PREFIX}/queue/data", params={"session_hash": visitor.session})
            async with stream as lines:
                async for line in lines.aiter_lines():
                    if "process_starts" in line:
                        return

    async def visits() -> None:
        *first, last = distinct_photos(9)
        await asyncio.gather(*map(disconnect, first))
        async with Visitor(address) as visitor:
            await visitor.show_photo(last)
            assert visitor.answer_label == predict(load(), open_photo(last)).top(1)[0].label

    run_coroutine(visits())
    queue = page._queue
    wait_until(lambda: not len(queue) and queue.get_active_worker_count() == 0)
    wait_until(lambda: not queue.event_ids_to_events)
    message_counts = [messages.qsize() for messages in dict(queue.pending_messages_per_session).values()]
    assert sum(message_counts) == 0, "no result may wait for a disconnected client"
    # Its session is deleted too.
    wait_until(lambda: not page.app.state_holder.session_data)
    wait_until(lambda: not served.uploads)
