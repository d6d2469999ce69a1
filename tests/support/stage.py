"""The stage's server as its browser code sees it."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import numpy as np


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """An array from `{"dtype", "shape", "data"}`."""
    kind = {"u1": "u1", "f4": "<f4"}[packed["dtype"]]
    return np.frombuffer(b64decode(packed["data"]), kind).reshape(packed["shape"])


def ask(address: str, event: str, *arguments: Any, language: str = "en") -> httpx.Response:
    """POST one event; `address` ends in a slash."""
    return httpx.post(
        f"{address}gradio_api/run/stage_{event}",
        json={"data": list(arguments), "session_hash": "stage"},
        headers={"Accept-Language": language},
        timeout=120,
    )


def told(address: str, event: str, *arguments: Any) -> Any:
    """What an event answers."""
    response = ask(address, event, *arguments)
    assert response.status_code == 200, response.text
    (answer,) = response.json()["data"]
    return answer


def sentence(response: httpx.Response) -> str:
    """The sentence of a refused request."""
    assert 400 <= response.status_code < 500, response.text
    error = response.json()["error"]
    assert isinstance(error, str)
    return error


def subject(photo: str, model: str = "tiny-imagenet", crop: list[float] | None = None) -> Any:
    """A subject as the browser sends it."""
    return {"photo": photo, "model": model, "crop": crop}


def upload(address: str, photo: Path) -> str:
    """Upload a file; return its path on the server."""
    response = httpx.post(f"{address}gradio_api/upload", files={"files": (photo.name, photo.read_bytes())}, timeout=60)
    (path,) = response.raise_for_status().json()
    return str(path)
