"""Uploads: JPEG copies of photos that browsers cannot decode, and deletion of camera frames."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from support.paths import EXAMPLES
from support.stage import error_message, event_result, post_event, subject


def upload(address: str, data: bytes, name: str) -> str:
    (path,) = httpx.post(f"{address}gradio_api/upload", files={"files": (name, data)}, timeout=60).json()
    return str(path)


def encoded(kind: str, size: tuple[int, int] = (1600, 900)) -> bytes:
    file = io.BytesIO()
    Image.open(EXAMPLES / "espresso.jpg").convert("RGB").resize(size).save(file, kind)
    return file.getvalue()


def test_a_tiff_is_converted_to_jpeg_for_the_browser(page_address: str) -> None:
    path = upload(page_address, encoded("TIFF"), "photo.tiff")
    url = event_result(page_address, "picture", subject(path))["url"]
    header, data = url.split(",")
    assert header == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(b64decode(data)))
    assert (picture.format, picture.size) == ("JPEG", (1024, 576))
    expected = Image.open(io.BytesIO(encoded("TIFF"))).resize((1024, 576))
    assert np.abs(np.asarray(picture, float) - np.asarray(expected, float)).mean() < 6


def test_foreign_files_and_invalid_photos_are_refused(page_address: str) -> None:
    assert error_message(post_event(page_address, "picture", subject("/etc/passwd")))
    path = upload(page_address, b"no picture", "photo.tiff")
    assert "not a picture" in error_message(post_event(page_address, "picture", subject(path)))


@pytest.mark.parametrize(("name", "is_stored"), [("camera-frame.jpg", False), ("photo.jpg", True)])
def test_a_camera_frame_is_deleted_after_it_is_read(page_address: str, name: str, *, is_stored: bool) -> None:
    path = upload(page_address, encoded("JPEG", (320, 320)), name)
    scene = event_result(page_address, "scene", subject(path), {})
    assert Path(path).exists() == is_stored
    # Further events use the cache.
    assert event_result(page_address, "scene", subject(path), {"4c": ["1x1"]})["digest"] == scene["digest"]
    event_result(page_address, "block", subject(path), {}, "4c")


def test_a_photo_that_has_been_deleted_must_be_chosen_again(page_address: str) -> None:
    path = upload(page_address, encoded("TIFF"), "photo.tiff")
    Path(path).unlink()
    sentence = "This server keeps a photo only for a while and has deleted this one; please choose it again."
    assert error_message(post_event(page_address, "picture", subject(path))) == sentence
