"""Requests to the events of the stage, as the browser sends them."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import numpy as np


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Decode an array from `{"dtype", "shape", "data"}`."""
    dtype = {"u1": "u1", "f4": "<f4"}[packed["dtype"]]
    return np.frombuffer(b64decode(packed["data"]), dtype).reshape(packed["shape"])


def post_event(address: str, event: str, *arguments: Any, language: str = "en") -> httpx.Response:
    """Send an event; `address` ends in a slash."""
    return httpx.post(
        f"{address}gradio_api/run/stage_{event}",
        json={"data": list(arguments), "session_hash": "stage"},
        headers={"Accept-Language": language},
        timeout=120,
    )


def event_result(address: str, event: str, *arguments: Any) -> Any:
    """Send an event and return its result."""
    response = post_event(address, event, *arguments)
    assert response.status_code == 200, response.text
    (result,) = response.json()["data"]
    return result


def error_message(response: httpx.Response) -> str:
    """Return the message of a response with a status of 4xx."""
    assert 400 <= response.status_code < 500, response.text
    message = response.json()["error"]
    assert isinstance(message, str)
    return message


def subject(photo: str, model: str = "tiny-imagenet", crop: list[float] | None = None) -> Any:
    """Return a subject as the browser sends it."""
    return {"photo": photo, "model": model, "crop": crop}


def upload(address: str, photo: Path) -> str:
    """Upload a file; return its path on the server."""
    response = httpx.post(f"{address}gradio_api/upload", files={"files": (photo.name, photo.read_bytes())}, timeout=60)
    (path,) = response.raise_for_status().json()
    return str(path)
