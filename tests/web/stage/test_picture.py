"""Uploads: pictures for browsers that cannot show a photo's format, and camera frames that are not kept."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from support.paths import EXAMPLES
from support.stage import ask, sentence, subject, told


def upload(address: str, data: bytes, name: str) -> str:
    (path,) = httpx.post(f"{address}gradio_api/upload", files={"files": (name, data)}, timeout=60).json()
    return str(path)


def encoded(kind: str, size: tuple[int, int] = (1600, 900)) -> bytes:
    file = io.BytesIO()
    Image.open(EXAMPLES / "espresso.jpg").convert("RGB").resize(size).save(file, kind)
    return file.getvalue()


def test_a_tiff_is_a_jpeg_for_the_browser(page_address: str) -> None:
    path = upload(page_address, encoded("TIFF"), "photo.tiff")
    url = told(page_address, "picture", subject(path))["url"]
    kind, data = url.split(",")
    assert kind == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(b64decode(data)))
    assert (picture.format, picture.size) == ("JPEG", (1024, 576))
    expected = Image.open(io.BytesIO(encoded("TIFF"))).resize((1024, 576))
    assert np.abs(np.asarray(picture, float) - np.asarray(expected, float)).mean() < 6


def test_no_picture_is_made_of_a_foreign_file_or_of_none(page_address: str) -> None:
    assert sentence(ask(page_address, "picture", subject("/etc/passwd")))
    path = upload(page_address, b"no picture", "photo.tiff")
    assert "not a picture" in sentence(ask(page_address, "picture", subject(path)))


@pytest.mark.parametrize(("name", "is_kept"), [("camera-frame.jpg", False), ("photo.jpg", True)])
def test_a_frame_of_the_camera_is_deleted_once_it_is_read(page_address: str, name: str, *, is_kept: bool) -> None:
    path = upload(page_address, encoded("JPEG", (320, 320)), name)
    first = told(page_address, "scene", subject(path), {})
    assert Path(path).exists() == is_kept
    # What is asked of it next comes from memory.
    assert told(page_address, "scene", subject(path), {"4c": ["1x1"]})["digest"] == first["digest"]
    told(page_address, "block", subject(path), {}, "4c")
