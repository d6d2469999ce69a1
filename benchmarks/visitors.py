"""Visitors without a browser, who use the stage as its own script does: many of them fit beside it on one machine."""

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

PATIENCE_SECONDS = 300
PREFIX = "/gradio_api"
FIRST_BLOCK = "4c"


class RefusedError(Exception):
    """What the stage says to a request that it refuses."""


@dataclass
class Visitor:
    """One open stage: what it shows, and a session at the server. To be used in `async with`."""

    address: str
    model: str = ""  # the first, if none is named
    language: str = "en"
    block: str = FIRST_BLOCK
    received: int = 0  # bytes of answers
    photo_path: str = ""
    scene: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)  # the unfolded block, by what the stage asked
    ahead: asyncio.Future[list[Any]] | None = None  # what was requested with the photo: channels, worth, votes

    async def __aenter__(self) -> Visitor:
        self.session = "".join(random.choices(string.ascii_lowercase, k=12))
        # The server closes a connection after five seconds without a request, just when the next one may be sent.
        limits = httpx.Limits(keepalive_expiry=3)
        self.client = httpx.AsyncClient(base_url=self.address, timeout=PATIENCE_SECONDS, limits=limits)
        start = await self.ask("start")
        self.model = self.model or start["models"][0]["name"]
        self.labels: list[str] = (await self.ask("network", self.model))["labels"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def ask(self, event: str, *arguments: Any) -> Any:
        """What an event of the stage answers.

        Raises:
            RefusedError: with the sentence, if it is refused.
        """
        reply = await self.client.post(
            f"{PREFIX}/run/stage_{event}",
            json={"data": arguments, "session_hash": self.session},
            headers={"Accept-Language": self.language},
        )
        self.received += len(reply.content)
        if 400 <= reply.status_code < 500:
            raise RefusedError(reply.json()["error"])
        (answer,) = reply.raise_for_status().json()["data"]
        return answer

    @property
    def subject(self) -> dict[str, Any]:
        """The photo and the network, as events take them."""
        return {"photo": self.photo_path, "model": self.model, "crop": None}

    @property
    def logits(self) -> np.ndarray:
        """Of the photo, as they were sent."""
        return np.frombuffer(base64.b64decode(self.scene["logits"]["data"]), "<f4")

    @property
    def answer_label(self) -> str:
        """The most probable class."""
        return self.labels[int(self.logits.argmax())]

    async def sent(self, data: bytes, name: str = "photo.jpg") -> str:
        """Send a file; the path by which the server knows it."""
        reply = await self.client.post(f"{PREFIX}/upload", files={"files": (name, data)})
        (path,) = reply.raise_for_status().json()
        return str(path)

    async def photo(self, data: bytes, name: str = "photo.jpg") -> None:
        """Send a photo and wait for all that the stage shows of it."""
        await self.answer(data, name)
        await self.unfold(self.block)

    async def answer(self, data: bytes, name: str = "photo.jpg", *, alone: bool = False) -> None:
        """Send a photo and wait for its answer and the 36 mean maps.

        Unless it is to come `alone`, what else is shown of it is requested at the same time; `unfold` waits for that.
        """
        path = await self.sent(data, name)
        subject = {**self.subject, "photo": path}
        scene = asyncio.ensure_future(self.ask("scene", subject, {}))
        if not alone:
            asked = {
                "block": (subject, {}, self.block),
                "worth": (subject, [], self.block),
                "votes": (subject, self.block),
            }
            self.ahead = asyncio.gather(
                *(self.ask(event, *arguments) for event, arguments in asked.items()), return_exceptions=True
            )
        self.scene = await scene
        self.photo_path = path

    async def unfold(self, block: str) -> None:
        """Choose a block and wait for its channels, their worth, the votes and the receptive fields."""
        subject, best = self.subject, int(self.logits.argmax())
        asked = {
            "block": (subject, {}, block),
            "votes": (subject, block),
            "worth": (subject, [best], "3a"),
            "field": (subject, block),
        }
        if self.shown.get("of") == (self.photo_path, self.model):
            del asked["worth"]  # of all blocks at once, and remembered in the browser
        if self.ahead:
            found, self.ahead = await self.ahead, None
            for error in found:
                if isinstance(error, BaseException):
                    raise error
            if block == self.block:
                self.shown.update(block=found[0], votes=found[2])
                del asked["block"], asked["votes"]
        told = await asyncio.gather(*(self.ask(name, *arguments) for name, arguments in asked.items()))
        self.shown.update(zip(asked, told, strict=True), of=(self.photo_path, self.model))
        self.block = block

    async def switch(self, off: dict[str, list[str]]) -> dict[str, Any]:
        """Switch branches off and wait for the scene and the channels that follow; the new scene."""
        scene, self.shown["block"] = await asyncio.gather(
            self.ask("scene", self.subject, off), self.ask("block", self.subject, off, self.block)
        )
        return dict(scene)


async def visitors(address: str, count: int) -> list[Visitor]:
    """That many open stages."""
    return list(await asyncio.gather(*(Visitor(address).__aenter__() for _ in range(count))))
