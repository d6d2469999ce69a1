"""Simulated visitors without a browser, who send the same requests as the stage's script.

Many of them fit beside the server on one machine.
"""

from __future__ import annotations

import asyncio
import base64
import random
import string
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx
import numpy as np

TIMEOUT_SECONDS = 300
PREFIX = "/gradio_api"
FIRST_BLOCK = "4c"


class RefusedError(Exception):
    """A request was refused; the message is the server's sentence."""


@dataclass
class Visitor:
    """An open stage with its session at the server; use it with `async with`.

    Attributes:
        address: of the server.
        model: name of the network; empty for the first.
        language: of the server's sentences.
        block: the unfolded block.
        received: bytes of all responses.
        photo_path: path of the photo at the server.
        scene: response of the event `scene`.
        shown: responses about the unfolded block, by event.
        prefetched: requests that were sent along with the photo: channels, worth and votes.
    """

    address: str
    model: str = ""
    language: str = "en"
    block: str = FIRST_BLOCK
    received: int = 0
    photo_path: str = ""
    scene: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    prefetched: asyncio.Future[list[Any]] | None = None

    async def __aenter__(self) -> Visitor:
        self.session = "".join(random.choices(string.ascii_lowercase, k=12))
        # The server closes a connection after five idle seconds, which may coincide with the next request.
        limits = httpx.Limits(keepalive_expiry=3)
        self.client = httpx.AsyncClient(base_url=self.address, timeout=TIMEOUT_SECONDS, limits=limits)
        start = await self.request("start")
        self.model = self.model or start["models"][0]["name"]
        self.labels: list[str] = (await self.request("network", self.model))["labels"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def request(self, event: str, *arguments: Any) -> Any:
        """Send an event of the stage and return its result.

        Raises:
            RefusedError: if the status code is 4xx.
        """
        response = await self.client.post(
            f"{PREFIX}/run/stage_{event}",
            json={"data": arguments, "session_hash": self.session},
            headers={"Accept-Language": self.language},
        )
        self.received += len(response.content)
        if 400 <= response.status_code < 500:
            raise RefusedError(response.json()["error"])
        (result,) = response.raise_for_status().json()["data"]
        return result

    @property
    def subject(self) -> dict[str, Any]:
        """The photo and the network, in the form that events expect."""
        return {"photo": self.photo_path, "model": self.model, "crop": None}

    @property
    def logits(self) -> np.ndarray:
        """Logits of the photo, as received."""
        return np.frombuffer(base64.b64decode(self.scene["logits"]["data"]), "<f4")

    @property
    def answer_label(self) -> str:
        """Label of the most probable class."""
        return self.labels[int(self.logits.argmax())]

    async def upload(self, data: bytes, name: str = "photo.jpg") -> str:
        """Upload a file and return its path at the server."""
        response = await self.client.post(f"{PREFIX}/upload", files={"files": (name, data)})
        (path,) = response.raise_for_status().json()
        return str(path)

    async def show_photo(self, data: bytes, name: str = "photo.jpg") -> None:
        """Upload a photo and wait for everything that the stage shows of it."""
        await self.predict(data, name)
        await self.unfold(self.block)

    async def predict(self, data: bytes, name: str = "photo.jpg", *, scene_only: bool = False) -> None:
        """Upload a photo and wait for its logits and the 36 mean maps.

        Unless `scene_only`, the rest of what the stage shows is requested simultaneously; `unfold` waits for it.
        """
        path = await self.upload(data, name)
        subject = {**self.subject, "photo": path}
        scene = asyncio.ensure_future(self.request("scene", subject, {}))
        if not scene_only:
            requests = {
                "block": (subject, {}, self.block),
                "worth": (subject, [], self.block),
                "votes": (subject, self.block),
            }
            self.prefetched = asyncio.gather(
                *(self.request(event, *arguments) for event, arguments in requests.items()), return_exceptions=True
            )
        self.scene = await scene
        self.photo_path = path

    async def unfold(self, block: str) -> None:
        """Choose a block and wait for its channels, their worth and the votes."""
        subject, best = self.subject, int(self.logits.argmax())
        requests = {
            "block": (subject, {}, block),
            "votes": (subject, block),
            "worth": (subject, [best], "3a"),
        }
        if self.shown.get("of") == (self.photo_path, self.model):
            del requests["worth"]  # covers all blocks, and is cached in the browser
        if self.prefetched:
            prefetched, self.prefetched = await self.prefetched, None
            for error in prefetched:
                if isinstance(error, BaseException):
                    raise error
            if block == self.block:
                self.shown.update(block=prefetched[0], votes=prefetched[2])
                del requests["block"], requests["votes"]
        results = await asyncio.gather(*(self.request(event, *arguments) for event, arguments in requests.items()))
        self.shown.update(zip(requests, results, strict=True), of=(self.photo_path, self.model))
        self.block = block

    async def switch(self, off: dict[str, list[str]]) -> dict[str, Any]:
        """Ablate branches, wait for the new scene and channels, and return the scene."""
        scene, self.shown["block"] = await asyncio.gather(
            self.request("scene", self.subject, off), self.request("block", self.subject, off, self.block)
        )
        return dict(scene)


async def open_visitors(address: str, count: int) -> list[Visitor]:
    """Open `count` stages simultaneously."""
    return list(await asyncio.gather(*(Visitor(address).__aenter__() for _ in range(count))))
