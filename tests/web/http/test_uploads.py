"""What visitors send is gone when its time is over, and nothing of theirs stays behind; a page left open says so."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import pytest

from benchmarks.visitors import Visitor
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.blocks import build, launch_options
from inception.web.http.uploads import cleanup_lifespan, gone, sweep, temporary_upload_folder, within
from inception.web.text import say_error
from support.event_loop import in_a_thread
from support.paths import EXAMPLES
from support.photos import photos

KEEP = 3.0


def wait_until(it_is: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not it_is():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


@dataclass(frozen=True)
class Served:
    """A page that keeps photos for three seconds; `examples` lie in its folder from the beginning."""

    address: str
    page: gr.Blocks
    folder: Path
    examples: frozenset[Path]

    @property
    def left(self) -> frozenset[Path]:
        """What visitors have brought into the folder."""
        return frozenset(within(self.folder)) - self.examples


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with temporary_upload_folder() as folder:
        page, launched = build(InferenceService(("tiny-imagenet",), choose_device("cpu")), KEEP), launch_options()
        launched["app_kwargs"] = {**launched["app_kwargs"], "lifespan": cleanup_lifespan(folder, KEEP)}
        _, address, _ = page.launch(**launched, prevent_thread_lock=True, quiet=True)
        yield Served(address.rstrip("/"), page, folder, frozenset(within(folder)))
        page.close()


def test_a_photo_goes_when_its_time_is_over_and_a_page_left_open_says_so(served: Served) -> None:
    first, second = photos(2)

    async def visit() -> None:
        async with Visitor(served.address) as guest:
            await guest.photo(first)
            assert "ox" in str(guest.holds("il-answer"))
            sent = Path(guest.holds("il-photo")["path"])
            await asyncio.to_thread(wait_until, lambda: not sent.parent.exists())
            assert served.left == frozenset(), "the folder that it lay in has gone too"
            assert all(path.exists() for path in served.examples)

            # Nothing that is clicked now is an error; each answer says what has happened and what to do.
            await guest.change("il-block", "4c")
            assert say_error("en", gone()) in guest.holds("il-panels")
            await guest.change("il-top-k", 3)
            await guest.open_tab("votes")
            await guest.change("il-language", "zh")
            assert say_error("zh", gone()) in guest.holds("il-panels")
            await guest.change("il-model", "tiny-imagenet", "input")
            assert say_error("zh", gone()) in guest.holds("il-alarm")
            assert guest.holds("il-photo") is None, "a picture without its answer would be a riddle"

            await guest.photo(second)
            assert guest.holds("il-alarm") == ""
            assert "模块 4c" in guest.holds("il-panels")

    in_a_thread(visit())


def test_half_a_photo_goes_too(served: Served) -> None:
    """The sender is cut off in the middle."""
    host, port = served.address.removeprefix("http://").split(":")
    whole = (EXAMPLES / "bison.jpg").read_bytes()
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'
    ) % (len(whole) + 200)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + whole[: len(whole) // 2])
        wait_until(lambda: served.left)
    wait_until(lambda: not served.left)


def test_what_is_new_or_stays_is_not_swept(tmp_path: Path) -> None:
    for name in ("example/bison.jpg", "old/photo.jpg", "old/deep/empty/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "example" / "bison.jpg")
    stays = frozenset((tmp_path / "example").rglob("*")) | {tmp_path / "example"}
    sweep(tmp_path, 60, stays)
    assert len(list(tmp_path.rglob("*"))) == 8
    wait_until(lambda: time.time() - (tmp_path / "link.jpg").lstat().st_ctime > 0.05)
    for _ in range(3):  # a folder is as new as the last change within it
        sweep(tmp_path, -1, stays)
    assert frozenset(tmp_path.rglob("*")) == stays


def test_the_folder_lies_where_the_operator_says_and_is_gone_afterwards(
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


def test_a_browser_that_is_gone_in_the_middle_leaves_nothing_and_bothers_nobody(served: Served) -> None:
    address, page = served.address, served.page

    async def vanish(photo: bytes) -> None:
        """Send a photo, ask for its answer, listen until it is begun, and hang up."""
        async with Visitor(address) as guest:
            number = next(
                number
                for number, handler in enumerate(guest.handlers)
                if handler["queue"] and [guest.names["il-photo-name"], "change"] in map(list, handler["targets"])
            )
            sent = await guest.client.post(f"{guest.prefix}/upload", files={"files": ("photo.jpg", photo)})
            (path,) = sent.raise_for_status().json()
            file = {"path": path, "orig_name": "photo.jpg", "meta": {"_type": "gradio.FileData"}}
            guest.values |= {guest.names["il-photo"]: file, guest.names["il-photo-name"]: path}
            question = {
                "data": [guest.values.get(part) for part in guest.handlers[number]["inputs"]],
                "fn_index": number,
                "session_hash": guest.session,
            }
            (await guest.client.post(f"{guest.prefix}/queue/join", json=question)).raise_for_status()
            stream = guest.client.stream("GET", f"{guest.prefix}/queue/data", params={"session_hash": guest.session})
            async with stream as lines:
                async for line in lines.aiter_lines():
                    if "process_starts" in line:
                        return

    async def scene() -> None:
        *taken, last = photos(9)
        await asyncio.gather(*map(vanish, taken))
        async with Visitor(address) as guest:
            await guest.photo(last)
            assert "ox" in str(guest.holds("il-answer"))

    in_a_thread(scene())
    queue = page._queue
    wait_until(lambda: not len(queue) and queue.get_active_worker_count() == 0)
    wait_until(lambda: not queue.event_ids_to_events)
    waiting = [messages.qsize() for messages in dict(queue.pending_messages_per_session).values()]
    assert sum(waiting) == 0, "no answer lies about for somebody who will not fetch it"
    # Nor what their sessions were.
    wait_until(lambda: not page.app.state_holder.session_data)
    wait_until(lambda: not served.left)
